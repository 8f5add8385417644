// The columns of the window say the same as the rows of the planner.
#include "gui/run_timeline.h"

#include "sim/run_state.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;

namespace {

void check_same(const RunTimeline& found, const Timeline& expected) {
  REQUIRE(found.changes.size() == expected.changes.size());
  for (std::size_t i = 0; i < expected.changes.size(); ++i) {
    REQUIRE(found.changes[i] == expected.changes[i]);
  }
  CHECK(found.spans == expected.spans);
  CHECK(found.step_begin_ns == expected.step_begin_ns);
  CHECK(found.peak == expected.peak);
  CHECK(found.run_peak == expected.run_peak);
  CHECK(found.eval_peak == expected.eval_peak);
  CHECK(found.begin_ns == expected.begin_ns);
  CHECK(found.end_ns == expected.end_ns);
  CHECK(found.step_ns == expected.step_ns);
}

}  // namespace

TEST_CASE("columns of a recording equal the rows of sim's timeline") {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    const Trace trace = test::random_trace({.seed = seed, .change_count = 400 * seed});
    Trace taken = trace;
    const RunTimeline found = take_timeline(taken);
    check_same(found, recorded_timeline(trace));
    CHECK(found.event_count == static_cast<std::int64_t>(trace.events.size()));
  }
  const Trace trace = test::training_trace({.recompute = true});
  Trace taken = trace;
  check_same(take_timeline(taken), recorded_timeline(trace));
}

TEST_CASE("what is said about a run is the same without its events") {
  Trace trace = test::training_trace({.step_count = 2});
  const auto add = [&trace](EventKind kind, std::int32_t index, std::int64_t size_bytes) {
    const std::int64_t time_ns = trace.events.back().time_ns + 5;
    trace.events.push_back(
        {.kind = kind, .time_ns = time_ns, .index = index, .size_bytes = size_bytes});
  };
  const auto check_words = [&trace] {
    Trace taken = trace;
    const RunTimeline timeline = take_timeline(taken);
    CHECK(taken.events.size() < 20);
    CHECK(shortage_line(taken) == shortage_line(trace));
    CHECK(state_line(taken) == state_line(trace));
    CHECK(peak_scope(taken, recorded_timeline(trace)) ==
          peak_scope(trace, recorded_timeline(trace)));
  };
  check_words();
  add(EventKind::out_of_memory, 3, 1 << 20);
  check_words();  // ended so
  add(EventKind::alloc, 0, 0);
  check_words();  // and went on
  add(EventKind::out_of_memory, 3, 1 << 21);
  add(EventKind::free, 0, 0);
  check_words();
}

//  reserved  0 10 30 25     host  - 2 2 -
TEST_CASE("segments and host memory are levels beside the stack") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId host = sketch.buffer("h", layer, Category::activation, 512);
  sketch.trace.buffers[host.index()].space.kind = SpaceKind::host_pinned;
  const auto segment = [&sketch](EventKind kind, std::int64_t time_ns, std::int64_t bytes) {
    sketch.trace.events.push_back({.kind = kind, .time_ns = time_ns, .size_bytes = bytes});
  };
  sketch.wait(1);
  segment(EventKind::segment_alloc, 1, 10);
  sketch.alloc(host);
  sketch.wait(4);
  segment(EventKind::segment_map, 5, 20);
  segment(EventKind::segment_unmap, 5, 5);
  sketch.free(host);
  const RunTimeline timeline = take_timeline(sketch.trace);
  CHECK(timeline.reserved == std::vector<LevelPoint>{{1, 10}, {5, 25}});
  CHECK(timeline.host == std::vector<LevelPoint>{{1, 512}, {5, 0}});
  CHECK(timeline.changes.empty());
}

TEST_CASE("the first change from a time on") {
  Trace trace = test::random_trace({.seed = 4, .change_count = 200});
  const RunTimeline timeline = take_timeline(trace);
  for (std::int64_t t = -1; t < timeline.end_ns + 2; ++t) {
    std::size_t expected = 0;
    while (expected < timeline.changes.size() && timeline.changes.time_ns(expected) < t) ++expected;
    REQUIRE(timeline.changes.first_from(t) == expected);
  }
}
