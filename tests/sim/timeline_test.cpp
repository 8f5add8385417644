// Bytes over time. Drawings: memory up, time right.
#include "sim/timeline.h"

#include <numeric>

#include "../catch.h"
#include "random_program.h"
#include "sim/check.h"
#include "small_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// One buffer of `granules` x 256 bytes.
Buffer granules(const std::string& name, std::int64_t count, Category category) {
  Buffer b = buffer(name, {count * 64});
  b.category = category;
  return b;
}

///  granules   w: 1, a: 2, b: 3
///      |        b b
///      |        b b
///      |        b b
///      |    a a a
///      |    a a a
///      |  w w w w w w
///      +--------------  op   fill(w) relu(w,a) relu(a,b) relu(b,w)
Trace drawing() {
  Trace t;
  t.streams = {{.name = "compute"}};
  t.buffers = {granules("w", 1, Category::weight), granules("a", 2, Category::activation),
               granules("b", 3, Category::temporary)};
  t.ops = {lasting(5, fill(0, 1)), lasting(10, relu(0, 0, 1, 1)), lasting(20, relu(1, 1, 2, 1)),
           lasting(40, relu(2, 1, 0, 1))};
  t.program = {{alloc(0), run(0)},
               {alloc(1), run(1), alloc(2), run(2), release(1), run(3), release(2)},
               {release(0)}};
  return t;
}

CategoryBytes of(std::initializer_list<std::pair<Category, std::int64_t>> parts) {
  CategoryBytes out{};
  for (const auto& [category, bytes] : parts) out[static_cast<std::size_t>(category)] = bytes;
  return out;
}

/// Invariant 1: the sum over categories, kept by hand, against the product's figures.
void sums_match(const Trace& trace, const Timeline& timeline, const BruteForce& truth) {
  REQUIRE(timeline.changes.size() == truth.after.size());
  std::int64_t total = 0;
  CategoryBytes by_category{};
  for (std::size_t i = 0; i < timeline.changes.size(); ++i) {
    const MemoryChange& c = timeline.changes[i];
    total += c.delta_bytes;
    by_category[static_cast<std::size_t>(trace[c.buffer].category)] += c.delta_bytes;
    REQUIRE(by_category == truth.after[i]);
    REQUIRE(std::accumulate(by_category.begin(), by_category.end(), std::int64_t{0}) == total);
    REQUIRE((i == 0 || timeline.changes[i - 1].time_ns <= c.time_ns));
  }
  REQUIRE(total == 0);
}

}  // namespace

TEST_CASE("the replay of a drawing has its heights, times, owners and ops") {
  const Timeline t = replay(drawing());
  CHECK(t.peak.bytes == 6 * 256);
  CHECK(t.peak.change == 2);
  CHECK(t.peak.time_ns == 15);
  CHECK(t.peak.by_category ==
        of({{Category::weight, 256}, {Category::activation, 512}, {Category::temporary, 768}}));
  CHECK(t.peak.owners == std::vector{BufferId{2}, BufferId{1}, BufferId{0}});
  CHECK(t.run_peak == t.peak);
  CHECK(t.changes == std::vector<MemoryChange>{{0, BufferId{0}, 256, -1, OpId{0}},
                                               {5, BufferId{1}, 512, 0, OpId{1}},
                                               {15, BufferId{2}, 768, 0, OpId{2}},
                                               {35, BufferId{1}, -512, 0, OpId{2}},
                                               {75, BufferId{2}, -768, 0, OpId{3}},
                                               {75, BufferId{0}, -256, -1, OpId{}}});
  CHECK(t.spans ==
        std::vector<OpSpan>{
            {OpId{0}, -1, 0, 5}, {OpId{1}, 0, 5, 15}, {OpId{2}, 0, 15, 35}, {OpId{3}, 0, 35, 75}});
  CHECK(t.step_ns == 70);
  CHECK(t.end_ns == 75);
}

TEST_CASE("an evaluation follows every n-th step, once at least, and keeps its peak to itself") {
  Trace t = drawing();
  const Timeline without = replay(t, {}, 5);
  CHECK(without.eval_peak == Peak{});
  t.meta.eval_every = 2;
  t.buffers.push_back(granules("large", 50, Category::activation));
  t.ops.push_back(lasting(1000, fill(3, 1)));
  t.ops.back().phase = Phase::eval;
  t.program.eval = {alloc(3), run(static_cast<int>(t.ops.size()) - 1), release(3)};
  const Timeline with = replay(t, {}, 5);
  CHECK(with.peak.bytes == without.peak.bytes);
  CHECK(with.step_ns == without.step_ns);
  CHECK(with.eval_peak.bytes == 51 * 256);
  CHECK(with.eval_peak.owners == std::vector{BufferId{3}, BufferId{0}});
  CHECK(with.run_peak == with.eval_peak);
  CHECK(with.step_begin_ns == std::vector<std::int64_t>{5, 75, 1145, 1215, 2285});
  CHECK(replay(t, {}, 1).eval_peak.bytes == 51 * 256);
  CHECK(replay(t, {}, 1).changes.size() == replay(drawing(), {}, 1).changes.size() + 2);
}

TEST_CASE("every step of several repeats the first") {
  const Timeline one = replay(drawing(), {}, 1);
  const Timeline three = replay(drawing(), {}, 3);
  CHECK(three.step_begin_ns == std::vector<std::int64_t>{5, 75, 145});
  CHECK(three.step_ns == one.step_ns);
  CHECK(three.peak.bytes == one.peak.bytes);
  CHECK(three.peak.owners == one.peak.owners);
  CHECK(three.changes.size() == 2 + 3 * 4);
}

TEST_CASE("the step's peak leaves out what only init holds, the run's peak does not") {
  Trace t = drawing();
  t.buffers.push_back(granules("staging", 100, Category::temporary));
  t.program.init = {alloc(3), release(3), alloc(0), run(0)};
  const Timeline timeline = replay(t);
  CHECK(timeline.peak.bytes == 6 * 256);
  CHECK(timeline.run_peak.bytes == 100 * 256);
}

TEST_CASE("each space has its own bytes, views and empty buffers have none") {
  Trace t = drawing();
  t.buffers[1].space = {SpaceKind::host_pinned, 0};
  t.buffers.push_back(granules("empty", 0, Category::input));
  t.buffers.push_back(granules("view", 1, Category::input));
  t.buffers[4].storage = BufferId{0};
  t.program.init.push_back(alloc(3));
  CHECK(replay(t).peak.bytes == 4 * 256);
  CHECK(replay(t, {SpaceKind::host_pinned, 0}).peak.bytes == 2 * 256);
  CHECK(replay(t, {SpaceKind::host_pageable, 0}).peak == Peak{});
  CHECK(replay(t, {SpaceKind::device, 1}).peak == Peak{});
}

TEST_CASE("a step that allocates nothing has the peak of what lives into it") {
  Trace t = drawing();
  t.program.body = {};
  CHECK(replay(t).peak.bytes == 256);
}

TEST_CASE("an op on another stream runs beside compute until an event is waited for") {
  Trace t;
  t.streams = {{.name = "compute"}, {.name = "copy", .kind = StreamKind::device_to_host}};
  t.ops = {lasting(10, fill(0, 1)),
           record(0),
           on(1, wait(0)),
           on(1, lasting(100, copy(0, 1, 1, 1))),
           on(1, record(1)),
           lasting(30, fill(2, 1)),
           wait(1),
           lasting(5, fill(2, 2))};
  t.buffers = {buffer("a", {4}), buffer("host", {4}), buffer("c", {4})};
  for (int i = 0; i < 8; ++i) t.program.body.push_back(run(i));
  const Timeline timeline = replay(t);
  CHECK(timeline.spans == std::vector<OpSpan>{{OpId{0}, 0, 0, 10},
                                              {OpId{3}, 0, 10, 110},
                                              {OpId{5}, 0, 10, 40},
                                              {OpId{7}, 0, 110, 115}});
  CHECK(timeline.step_ns == 115);
}

TEST_CASE("an op on another stream does not begin before it is issued") {
  Trace t;
  t.streams = {{.name = "compute"}, {.name = "copy"}};
  t.ops = {lasting(50, fill(0, 1)), on(1, lasting(10, fill(1, 1))), on(1, lasting(10, fill(1, 2)))};
  t.buffers = {buffer("a", {4}), buffer("b", {4})};
  t.program.body = {run(0), run(1), run(2)};
  CHECK(replay(t).spans ==
        std::vector<OpSpan>{{OpId{0}, 0, 0, 50}, {OpId{1}, 0, 50, 60}, {OpId{2}, 0, 60, 70}});
  CHECK(replay(t).end_ns == 70);
}

TEST_CASE("time does not change the order of bytes: any durations, same changes") {
  Trace fast = drawing();
  Trace slow = drawing();
  for (Op& op : slow.ops) op.duration_ns *= 1000;
  for (Op& op : fast.ops) op.duration_ns = -1;
  const Timeline a = replay(fast);
  const Timeline b = replay(slow);
  REQUIRE(a.changes.size() == b.changes.size());
  for (std::size_t i = 0; i < a.changes.size(); ++i) {
    CHECK(a.changes[i].buffer == b.changes[i].buffer);
    CHECK(a.changes[i].delta_bytes == b.changes[i].delta_bytes);
  }
  CHECK(a.end_ns == 0);
}

TEST_CASE("invariant 1: at every instant categories sum to the live bytes (random programs)") {
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    const Trace trace = seed % 2 == 0 ? random_program(seed) : random_program_with_eval(seed);
    CAPTURE(seed);
    for (int steps : {1, 3}) {
      const Timeline timeline = replay(trace, {}, steps);
      const BruteForce truth = brute_force(trace, {}, steps);
      sums_match(trace, timeline, truth);
      REQUIRE(timeline.peak.bytes == truth.step_peak_bytes);
      REQUIRE(timeline.run_peak.bytes == truth.run_peak_bytes);
      REQUIRE(timeline.eval_peak.bytes == truth.eval_peak_bytes);
      const auto& parts = timeline.peak.by_category;
      REQUIRE(std::accumulate(parts.begin(), parts.end(), std::int64_t{0}) == timeline.peak.bytes);
    }
  }
}

TEST_CASE("invariant 2: the recording of a run has the peak of its replay (random programs)") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Trace trace = random_program(seed);
    const Timeline planned = replay(trace, {}, 2);
    // A recorder that sees what the replay did.
    std::int64_t time_ns = 0;
    const auto play = [&](const std::vector<Instruction>& lines) {
      for (const Instruction& line : lines) {
        if (line.kind == InstructionKind::run) continue;
        trace.events.push_back(
            {line.kind == InstructionKind::alloc ? EventKind::alloc : EventKind::free, ++time_ns,
             line.index, -1, 0});
      }
    };
    play(trace.program.init);
    for (int step = 0; step < 2; ++step) {
      trace.events.push_back({EventKind::step_begin, time_ns, step, -1, 0});
      play(trace.program.body);
      trace.events.push_back({EventKind::step_end, time_ns, step, -1, 0});
    }
    play(trace.program.final);
    const Timeline recorded = timeline_of(trace);
    CAPTURE(seed);
    REQUIRE(recorded.peak.bytes == planned.peak.bytes);
    REQUIRE(recorded.peak.owners == planned.peak.owners);
    REQUIRE(recorded.peak.by_category == planned.peak.by_category);
    REQUIRE(recorded.run_peak.bytes == planned.run_peak.bytes);
    REQUIRE(recorded.changes.size() == planned.changes.size());
  }
}

TEST_CASE("a recording without steps has the peak of the whole run") {
  Trace t;
  t.buffers = {granules("a", 1, Category::unknown), granules("b", 2, Category::unknown)};
  t.events = {{EventKind::alloc, 1, 0, -1, 0},
              {EventKind::alloc, 2, 1, -1, 0},
              {EventKind::free, 5, 0, -1, 0}};
  const Timeline timeline = timeline_of(t);
  CHECK(timeline.peak.bytes == 768);
  CHECK(timeline.peak.time_ns == 2);
  CHECK(timeline.end_ns == 5);
}

TEST_CASE("a recording with holes never has negative bytes or bytes counted twice") {
  Trace t;
  t.buffers = {granules("a", 1, Category::unknown), granules("b", 2, Category::unknown)};
  t.events = {{EventKind::free, 1, 0, -1, 0},  {EventKind::alloc, 2, 1, -1, 0},
              {EventKind::alloc, 3, 1, -1, 0}, {EventKind::free, 4, 1, -1, 0},
              {EventKind::free, 5, 1, -1, 0},  {EventKind::alloc, 6, 0, -1, 0}};
  const Timeline timeline = timeline_of(t);
  CHECK(timeline.peak.bytes == 512);
  CHECK(timeline.changes.size() == 3);
}

TEST_CASE("only complete steps have a peak of a step") {
  Trace t;
  t.buffers = {granules("a", 1, Category::unknown), granules("b", 2, Category::unknown)};
  t.events = {{EventKind::step_begin, 0, 0, -1, 0}, {EventKind::alloc, 1, 0, -1, 0},
              {EventKind::free, 2, 0, -1, 0},       {EventKind::step_end, 3, 0, -1, 0},
              {EventKind::step_begin, 4, 1, -1, 0}, {EventKind::alloc, 5, 1, -1, 0}};
  const Timeline timeline = timeline_of(t);
  CHECK(timeline.peak.bytes == 256);
  CHECK(timeline.run_peak.bytes == 512);
  CHECK(timeline.step_ns == 3);
}

TEST_CASE("buffers alive at an instant come largest first, ties by row") {
  const Timeline t = replay(drawing());
  CHECK(live_after(drawing(), t, -1).empty());
  CHECK(live_after(drawing(), t, 1) == std::vector{BufferId{1}, BufferId{0}});
  CHECK(live_after(drawing(), t, 5).empty());
}
