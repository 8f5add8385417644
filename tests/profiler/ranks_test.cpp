// Programs of several ranks as threads; the first is the ZeRO-1 step that was written by hand.
#include "profiler/ranks.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>

#include "sim/check.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/profiler/programs.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

std::vector<Trace> zero1() {
  return read_ranks(std::string(TIDEMARK_SOURCE_DIR) + "/tests/golden/zero1/zero1.tmk.json");
}

RanksResult run_zero1(const std::vector<Trace>& programs, RunOptions options = {}) {
  const Dataset data = small_table();
  options.data = &data;
  options.steps = 4;
  options.poison = true;
  return execute_ranks(programs, options);
}

std::int64_t hash_of(const Trace& trace, std::int32_t step, const std::string& name) {
  for (const Digest& d : trace.digests) {
    if (d.step == step && trace[d.buffer].name == name) return d.hash;
  }
  FAIL("no digest of " << name << " after step " << step);
  return 0;
}

Buffer& buffer_of(Trace& trace, const std::string& name) {
  return trace.buffers[buffer_named(trace, name).index()];
}

}  // namespace

TEST_CASE("the ZeRO-1 step by hand runs on two ranks, each in its own 2048 bytes") {
  const RanksResult result = run_zero1(zero1(), {.device_memory_bytes = 2048});
  CHECK(result.ended_by == -1);
  REQUIRE(result.ranks.size() == 2);
  for (const RunResult& rank : result.ranks) {
    CHECK_FALSE(rank.stopped);
    CHECK(rank.trace.meta.kind == TraceKind::measured);
    REQUIRE(rank.trace.arenas.size() == 1);
    CHECK(rank.trace.arenas[0].high_water_bytes == 2048);
    CHECK(rank.trace.steps.size() == 4);
  }
}

TEST_CASE("after each step all ranks have the same weights and report the same loss") {
  const RanksResult result = run_zero1(zero1());
  const Trace& a = result.ranks[0].trace;
  const Trace& b = result.ranks[1].trace;
  for (std::int32_t step = 0; step < 4; ++step) {
    const auto row = static_cast<std::size_t>(step);
    CHECK(hash_of(a, step, "linear.w") == hash_of(b, step, "linear.w"));
    CHECK(a.steps[row].loss == b.steps[row].loss);
    if (step > 0) {
      CHECK(hash_of(a, step, "linear.w") != hash_of(a, step - 1, "linear.w"));
    }
  }
  const RanksResult again = run_zero1(zero1());
  CHECK(again.ranks[0].trace.digests == a.digests);
  CHECK(again.ranks[1].trace.digests == b.digests);
}

TEST_CASE("a rank that runs out of memory ends all ranks, and every trace is readable") {
  std::vector<Trace> programs = zero1();
  buffer_of(programs[1], "input.x").offset_bytes = 2048;
  const RanksResult result = run_zero1(programs, {.device_memory_bytes = 2048});
  CHECK(result.ended_by == 1);
  CHECK(result.ranks[1].shortage.has_value());
  CHECK(result.ranks[0].stopped);
  CHECK_FALSE(result.ranks[0].shortage.has_value());
  for (const RunResult& rank : result.ranks) {
    const Trace read = from_bytes(to_binary(rank.trace), "rank");
    CHECK(read == rank.trace);
    CHECK(read.steps.empty());
    CHECK(std::ranges::any_of(read.events,
                              [](const Event& e) { return e.kind == EventKind::op_end; }));
  }
}

TEST_CASE("all ranks end when they are asked to, before or during the steps") {
  std::atomic<bool> cancel{true};
  RanksResult result = run_zero1(zero1(), {.cancel = &cancel});
  for (const RunResult& rank : result.ranks) CHECK(rank.cancelled);
  cancel = false;
  RunOptions options{.cancel = &cancel};
  options.on_step = [&cancel](const StepRecord&) { cancel = true; };
  result = run_zero1(zero1(), options);
  for (const RunResult& rank : result.ranks) {
    CHECK(rank.cancelled);
    CHECK(rank.trace.steps.size() <= 3);
  }
  CHECK(result.ranks[0].trace.steps.size() == 1);
}

TEST_CASE("a dry run of several ranks counts what each would hold") {
  const RanksResult result = execute_ranks(zero1(), {.backend = BackendKind::dry, .steps = 2});
  for (const RunResult& rank : result.ranks) {
    CHECK(rank.trace.arenas.at(0).peak_live_bytes == 2048);
  }
}

TEST_CASE("groups that would wait for each other in a circle are refused") {
  std::vector<Trace> ring;
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    Trace t;
    t.meta.level = 2;
    t.meta.rank = rank;
    t.meta.rank_count = 3;
    t.streams = {{.name = "compute"}};
    t.groups = {{.name = "a", .ranks = {0, 1}},
                {.name = "b", .ranks = {1, 2}},
                {.name = "c", .ranks = {0, 2}}};
    Buffer x;
    x.name = "x";
    x.space.rank = rank;
    x.shape = {4};
    x.size_bytes = 16;
    t.buffers = {x};
    const auto line = [](InstructionKind kind, std::int32_t row) { return Instruction{kind, row}; };
    Op fill;
    fill.name = "fill";
    fill.kind = OpKind::fill;
    fill.stream = StreamId{0};
    fill.operands = {{"y", BufferId{0}, -1, 1}};
    fill.attributes = {{.name = "value"}};
    t.ops = {fill};
    t.program.body = {line(InstructionKind::alloc, 0), line(InstructionKind::run, 0)};
    // Rank 0: a then c; rank 1: b then a; rank 2: c then b.
    const std::array<std::array<std::int64_t, 2>, 3> order{{{0, 2}, {1, 0}, {2, 1}}};
    std::int32_t version = 1;
    for (const std::int64_t group : order[static_cast<std::size_t>(rank)]) {
      Op reduce = fill;
      reduce.name = "reduce";
      reduce.kind = OpKind::all_reduce;
      reduce.operands = {{"x", BufferId{0}, version, version + 1}};
      reduce.attributes = {{.name = "group", .integer = group},
                           {.name = "sequence"},
                           {.name = "order", .text = "rank"}};
      ++version;
      t.ops.push_back(reduce);
      t.program.body.push_back(
          line(InstructionKind::run, static_cast<std::int32_t>(t.ops.size()) - 1));
    }
    t.program.body.push_back(line(InstructionKind::free, 0));
    ring.push_back(t);
  }
  CHECK(check_ranks(ring).empty());
  CHECK_THROWS_WITH(execute_ranks(ring, {.steps = 1}), Catch::Contains("in a circle"));
  std::swap(ring[0].program.body[2], ring[0].program.body[3]);  // c then a: all can meet
  std::swap(ring[0].ops[1].operands, ring[0].ops[2].operands);
  CHECK(execute_ranks(ring, {.steps = 1}).ended_by == -1);
}

TEST_CASE("programs that cannot run together are refused") {
  const Dataset data = small_table();
  const RunOptions options{.data = &data};
  CHECK_THROWS_AS(execute(zero1()[0], options), InputError);  // a collective alone
  CHECK_THROWS_AS(execute_ranks(std::vector{zero1()[0]}, options), InputError);
  std::vector<Trace> other_order = zero1();
  for (Op& op : other_order[1].ops) {
    if (op.kind == OpKind::all_gather) op.attributes[2].text = "tree";
  }
  CHECK_THROWS_AS(execute_ranks(other_order, options), InputError);
  std::vector<Trace> two_streams = zero1();
  two_streams[0].ops[op_named(two_streams[0], "linear.w.all_gather").index()].stream = StreamId{0};
  CHECK_THROWS_AS(execute_ranks(two_streams, options), InputError);
}
