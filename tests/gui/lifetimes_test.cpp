#include <algorithm>
#include <random>

#include "gui/instant.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

std::vector<BufferId> alive(const Run& run, std::int64_t change) {
  std::vector<BufferId> buffers;
  for (const std::size_t row : run.alive().alive_after(change)) {
    buffers.push_back(run.alive().lifetime(row).buffer);
  }
  return buffers;
}

}  // namespace

TEST_CASE("what is alive at an instant equals a replay up to it") {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    const Trace trace = test::random_trace({.seed = seed, .change_count = 70 * seed * seed});
    const Timeline timeline = recorded_timeline(trace);
    const auto run = run_of(trace);
    for (std::int64_t change = -1; change < run->pyramid().change_count(); change += 1 + seed) {
      auto expected = live_after(trace, timeline, change);
      auto found = alive(*run, change);
      std::int64_t bytes = 0;
      for (const BufferId buffer : found) bytes += counted_bytes(run->trace()[buffer]);
      REQUIRE(bytes == run->pyramid().total_after(change));
      std::sort(expected.begin(), expected.end());
      std::sort(found.begin(), found.end());
      REQUIRE(found == expected);
    }
  }
}

TEST_CASE("alive buffers come largest first") {
  const auto run = run_of(test::random_trace({.seed = 9, .change_count = 3000}));
  const auto rows = alive_rows(*run, run->timeline().run_peak.change);
  REQUIRE(rows.size() == run->timeline().run_peak.owners.size());
  CHECK(std::is_sorted(rows.begin(), rows.end(),
                       [](const AliveRow& a, const AliveRow& b) { return a.bytes > b.bytes; }));
  CHECK(alive_rows(*run, run->timeline().run_peak.change, 5).size() == 5);
}

//  op      f     .     g  h
//  y    |--#-----------#--#--|      idle between f and g: 70 ns
//  time 0  10   20     90 110 120
TEST_CASE("uses of a buffer give first use, last use and the longest idle time") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId y = sketch.buffer("y", layer, Category::activation, 1000);
  const OpId f = sketch.op("f", layer, Phase::forward);
  const OpId other = sketch.op("other", layer, Phase::forward);
  const OpId g = sketch.op("g", layer, Phase::backward);
  const OpId h = sketch.op("h", layer, Phase::backward);
  for (const OpId op : {f, g, h}) sketch.operand(op, y);
  sketch.alloc(y);
  sketch.wait(10);
  sketch.run(f, 10);
  sketch.run(other, 70);
  sketch.run(g, 20);
  sketch.run(h, 10);
  sketch.free(y);
  const auto run = run_of(sketch.trace);
  const auto rows = alive_rows(*run, 0);
  REQUIRE(rows.size() == 1);
  CHECK(rows.front() == AliveRow{.buffer = y,
                                 .bytes = 1024,
                                 .alloc_ns = 0,
                                 .free_ns = 120,
                                 .first_use_ns = 10,
                                 .last_use_ns = 110,
                                 .idle_ns = 70});
  CHECK(alive_rows(*run, 1).empty());
}

TEST_CASE("a use of a view is a use of its storage") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId y = sketch.buffer("y", layer, Category::activation, 1000);
  const BufferId view = sketch.buffer("y.view", layer, Category::activation, 500);
  sketch.trace.buffers[view.index()].storage = y;
  const OpId f = sketch.op("f", layer, Phase::forward);
  sketch.operand(f, view);
  sketch.operand(f, y);
  sketch.alloc(y);
  sketch.wait(3);
  sketch.run(f, 10);
  const auto run = run_of(sketch.trace);
  const auto rows = alive_rows(*run, 0);
  REQUIRE(rows.size() == 1);
  CHECK(rows.front().first_use_ns == 3);
  CHECK(rows.front().free_ns == -1);
  CHECK(run->uses().uses(y, 0, 100).size() == 1);
}

TEST_CASE("an instant between two changes shows the state before and the op that runs") {
  const auto run = run_of(test::training_trace({.layer_count = 2, .step_count = 1}));
  const RunTimeline& timeline = run->timeline();
  const OpSpan span = timeline.spans[3];
  const std::int64_t middle_ns = (span.begin_ns + span.end_ns) / 2;
  const std::int64_t change = run->pyramid().change_at(middle_ns, Axis::time);
  const Instant instant = instant_at(*run, change, middle_ns, Axis::time);
  CHECK(instant.op == span.op);
  CHECK(instant.time_ns == middle_ns);
  CHECK(instant.step == 0);
  CHECK(instant.total_bytes == run->pyramid().total_after(change));
  CHECK(timeline.changes[static_cast<std::size_t>(change)].time_ns <= middle_ns);
}

TEST_CASE("statistics of a range equal a walk over it, unit by unit") {
  const auto run = run_of(test::random_trace({.seed = 21, .change_count = 400}));
  std::mt19937 random(4);
  for (int i = 0; i < 50; ++i) {
    const ViewRange whole = run->whole(Axis::time);
    const auto below = [&random](std::int64_t n) {
      return static_cast<std::int64_t>(random()) % n;
    };
    const std::int64_t begin = below(whole.span());
    const ViewRange range{begin, begin + 1 + below(whole.end - begin)};
    const RangeStatistics found = range_statistics(*run, range, Axis::time);
    double sum = 0;
    for (std::int64_t t = range.begin; t < range.end; ++t) {
      sum +=
          static_cast<double>(run->pyramid().total_after(run->pyramid().change_at(t, Axis::time)));
    }
    CHECK(found.mean_bytes == Approx(sum / static_cast<double>(range.span())));
    std::int64_t allocs = 0;
    std::int64_t frees = 0;
    for (std::size_t row = 0; row < run->timeline().changes.size(); ++row) {
      const MemoryChange change = run->timeline().changes[row];
      if (change.time_ns < range.begin || change.time_ns >= range.end) continue;
      (change.delta_bytes > 0 ? allocs : frees) += 1;
    }
    CHECK(found.alloc_count == allocs);
    CHECK(found.free_count == frees);
    CHECK(found.peak_bytes >= found.min_bytes);
    CHECK(static_cast<double>(found.peak_bytes) >= found.mean_bytes);
  }
}

//  bytes  .  3  .  .
//         .  #  2  5  .     peaks of prominence 2: the 3 and the 5
//         1  #  1  #  0
TEST_CASE("local peaks stand out on both sides") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  std::vector<BufferId> buffers;
  const auto up = [&](std::int64_t granules) {
    buffers.push_back(sketch.buffer("b", layer, Category::activation, granules * k_granule_bytes));
    sketch.alloc(buffers.back());
  };
  const auto down = [&] {
    sketch.free(buffers.back());
    buffers.pop_back();
  };
  up(1);
  up(2);   // change 1: 3 granules, a peak
  down();  // 1
  up(1);   // 2: too small to stand out before the rise goes on
  up(3);   // change 4: 5 granules, a peak
  down();
  down();
  down();
  const auto run = run_of(sketch.trace);
  CHECK(find_local_peaks(run->timeline().changes, 2 * k_granule_bytes) ==
        std::vector<std::int64_t>{1, 4});
  CHECK(find_local_peaks(run->timeline().changes, 9 * k_granule_bytes).empty());
}
