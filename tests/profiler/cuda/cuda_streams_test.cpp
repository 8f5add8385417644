// What orders the streams of the CUDA backend: on devices whose streams do nothing before somebody
// waits for them, a wait that is missing computes with the wrong values.
#include <algorithm>

#include "../offload_program.h"
#include "fake_plugin.h"
#include "sim/compare.h"
#include "sim/search.h"
#include "tests/catch.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Late = FakePlugin::Late;
constexpr std::array k_orders{Late::none, Late::all, Late::first, Late::others};

Trace run_late(const Trace& program, const Dataset& data, Late late, RunOptions options = {}) {
  FakePlugin fake;
  fake.late = late;
  options.backend = BackendKind::cuda;
  options.steps = 3;
  options.device_memory_bytes =
      options.device_memory_bytes > 0 ? options.device_memory_bytes : std::int64_t{64} << 20;
  options.data = &data;
  options.cuda = &fake.api;
  Trace trace = run(program, options);
  CHECK(fake.live_bytes == 0);
  CHECK(fake.live_handles == 0);
  return trace;
}

/// The same program where the wait for one event, or all of a stream, is no wait any more: its
/// event is one that was reached long ago.
Trace without_wait(Trace program, const std::string& name) {
  Op& op = program.ops[op_named(program, name).index()];
  REQUIRE(op.kind == OpKind::wait_event);
  op.attributes[0].integer = 999;
  return program;
}

/// A plan of gpt2-tiny that moves activations, or optimizer state, to the host and back.
Trace offloaded(const Trace& recorded, const std::string& method) {
  SearchRequest request;
  request.budget_bytes = figures_of(recorded).peak_bytes * 8 / 10;
  request.allow_recompute = false;
  request.method = method;
  request.link_bytes_per_s = 10e9;
  request.link_latency_ns = 5000;
  const SearchResult result = search(recorded, request);
  REQUIRE(result.feasible);
  REQUIRE(figures_of(result.planned).copied_bytes > 0);
  return result.planned;
}

}  // namespace

TEST_CASE("cuda streams: an offload changes no bit, whichever stream is late") {
  const Dataset data = small_table();
  Trace program = offloaded_mlp();
  place_first_fit(program);
  const Trace kept = run_late(build_program(small_mlp()), data, Late::none);
  for (const Late late : k_orders) {
    CAPTURE(static_cast<int>(late));
    for (const MemoryGiver giver : {MemoryGiver::automatic, MemoryGiver::cuda_async}) {
      const Trace trace = run_late(program, data, late, {.allocator = giver});
      CHECK(trace.digests == kept.digests);
      CHECK(losses(trace) == losses(kept));
    }
  }
}

TEST_CASE("cuda streams: a wait that is missing is seen") {
  const Dataset data = small_table();
  const Trace program = offloaded_mlp();
  const Trace kept = run_late(program, data, Late::none);
  // 0: the copy to the host waits for the producer; 3: compute waits for the copy back.
  for (const char* wait : {"wait_event0", "wait_event3"}) {
    CAPTURE(wait);
    const Trace wrong = without_wait(program, wait);
    CHECK(std::ranges::any_of(k_orders, [&](Late late) {
      return run_late(wrong, data, late, {.check = false}).digests != kept.digests;
    }));
  }
}

TEST_CASE("cuda streams: planned offload of activations and of optimizer state changes no bit") {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 4;
  const Dataset data = data_for(config);
  const Trace recorded = run(build_program(config), {.steps = 2, .data = &data});
  const Trace kept = run_late(build_program(config), data, Late::none);
  for (const char* method : {"offload", "state"}) {
    const Trace planned = offloaded(recorded, method);
    for (const Late late : {Late::all, Late::first, Late::others}) {
      CAPTURE(method, static_cast<int>(late));
      const Trace trace =
          run_late(planned, data, late, {.device_memory_bytes = planned.plan.height_bytes});
      const Comparison same = compare(kept, trace);
      CHECK(same.first_difference.empty());
      CHECK(same.compared_steps == 3);
      CHECK(compare(planned, trace).peak_error_bytes == 0);
    }
  }
}

TEST_CASE("cuda streams: batches wait in two pieces of pinned memory, in turn") {
  RunConfig config = small_mlp();
  config.batch = 24;
  config.accumulation = 6;
  const Dataset data = data_for(config);
  const Trace program = build_program(config);
  const Trace at_once = run_late(program, data, Late::none);
  CHECK(run_late(program, data, Late::all).digests == at_once.digests);
}
