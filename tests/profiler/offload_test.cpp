// Copies on their own streams, ordered by events, for real and on the virtual clock.
#include <algorithm>

#include "profiler/recorder.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "tests/catch.h"
#include "tests/profiler/offload_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Trace executed(const Trace& program, RunOptions options = {}) {
  const Dataset data = small_table();
  options.data = &data;
  return run(program, options);
}

/// Times of one op of the last step.
CopySpan last_span(const Trace& trace, const std::string& name) {
  CopySpan span{op_named(trace, name), 0, 0};
  for (const Event& event : trace.events) {
    if (event.index != span.op.value) continue;
    if (event.kind == EventKind::op_begin) span.begin_ns = event.time_ns;
    if (event.kind == EventKind::op_end) span.end_ns = event.time_ns;
  }
  return span;
}

constexpr const char* k_out = "relu0.y to relu0.y.host";
constexpr const char* k_in = "relu0.y.host to relu0.y.back";

}  // namespace

TEST_CASE("an offloaded program passes the checker") {
  const std::vector<Finding> findings = check(offloaded_mlp());
  for (const Finding& finding : findings) UNSCOPED_INFO(finding.place << ": " << finding.message);
  CHECK(findings.empty());
}

TEST_CASE("invariant 4: offload changes no bit of losses, weights and optimizer state") {
  const Trace kept = executed(build_program(small_mlp()));
  Trace program = offloaded_mlp();
  for (const bool placed : {false, true}) {
    if (placed) place_first_fit(program);
    const Trace offloaded = executed(program, {.poison = true});
    CHECK(offloaded.digests == kept.digests);
    CHECK(losses(offloaded) == losses(kept));
  }
}

TEST_CASE("the host side has its own arena, counted apart") {
  const Trace trace = executed(offloaded_mlp());
  REQUIRE(trace.arenas.size() == 2);
  CHECK(trace.arenas[0].space.kind == SpaceKind::device);
  CHECK(trace.arenas[1].space.kind == SpaceKind::host_pinned);
  CHECK(trace.arenas[1].high_water_bytes == 256);
  CHECK(trace.arenas[1].peak_live_bytes == 256);
}

TEST_CASE("a host side that is too small runs out by itself") {
  const Dataset data = small_table();
  const RunResult result = execute(offloaded_mlp(), {.host_memory_bytes = 128, .data = &data});
  REQUIRE(result.shortage.has_value());
  CHECK(result.shortage->space.kind == SpaceKind::host_pinned);
  CHECK(result.trace[result.shortage->buffer].name == "relu0.y.host");
}

TEST_CASE("a throttled link takes at least the declared time, and waits see the copy done") {
  Trace program = offloaded_mlp();
  for (Stream& stream : program.streams) {
    if (stream.kind != StreamKind::compute) stream.latency_ns = 3'000'000;
    if (stream.kind != StreamKind::compute) stream.link_bytes_per_s = 80'000;  // 80 B: 1 ms
  }
  const Trace trace = executed(program, {.steps = 2});
  for (const char* name : {k_out, k_in}) {
    const CopySpan span = last_span(trace, name);
    CHECK(span.end_ns - span.begin_ns >= 4'000'000);
  }
  CHECK(trace.steps.back().wall_ns >= 8'000'000);
  CHECK(last_span(trace, "wait_event1").end_ns >= last_span(trace, k_out).end_ns);
  CHECK(last_span(trace, "wait_event3").end_ns >= last_span(trace, k_in).end_ns);
  CHECK(trace.digests == executed(build_program(small_mlp()), {.steps = 2}).digests);
}

TEST_CASE("events of all streams are in time order, memory events as they were issued") {
  const Trace cpu = executed(offloaded_mlp());
  const auto by_time = [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; };
  CHECK(std::is_sorted(cpu.events.begin(), cpu.events.end(), by_time));
  const Trace dry = executed(offloaded_mlp(), {.backend = BackendKind::dry});
  CHECK(std::is_sorted(dry.events.begin(), dry.events.end(), by_time));
  CHECK(memory_events(cpu) == memory_events(dry));
}

TEST_CASE("dry copies take the time of their link and overlap with compute") {
  Trace program = offloaded_mlp();
  for (Op& op : program.ops) op.duration_ns = op.kind == OpKind::copy ? -1 : 100;
  for (Stream& stream : program.streams) {
    if (stream.kind != StreamKind::compute) stream.link_bytes_per_s = 8e9;  // 80 B: 10 ns
    if (stream.kind != StreamKind::compute) stream.latency_ns = 5;
  }
  const Trace trace = executed(program, {.backend = BackendKind::dry});
  CHECK(last_span(trace, k_out).end_ns - last_span(trace, k_out).begin_ns == 15);
  std::int64_t computing = 0;
  for (const Instruction& line : program.program.body) {
    if (line.kind != InstructionKind::run || is_structural(program[line.op()].kind)) continue;
    computing += 100;
  }
  CHECK(trace.steps.back().wall_ns == computing + 2 * 15);
}

TEST_CASE("a copy on the compute stream is done on return") {
  Trace program = offloaded_mlp();
  for (Op& op : program.ops) op.stream = StreamId{std::size_t{0}};
  CHECK(executed(program).digests == executed(build_program(small_mlp())).digests);
}

TEST_CASE("cancelling while copies are queued ends in order") {
  std::atomic<bool> cancel{false};
  Trace program = offloaded_mlp();
  for (Stream& stream : program.streams) stream.latency_ns = 2'000'000;
  RunOptions options{.steps = 1000, .cancel = &cancel};
  const Dataset data = small_table();
  options.data = &data;
  options.on_step = [&](const StepRecord&) { cancel = true; };
  const RunResult result = execute(program, options);
  CHECK(result.cancelled);
  CHECK(result.trace.steps.size() == 1);
}
