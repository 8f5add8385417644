#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

#include "gui/pyramid.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

/// The judge: states after every change, one by one, and plain loops over them.
struct BruteForce {
  explicit BruteForce(const Run& run) : timeline(run.timeline()) {
    BandBytes state{};
    for (std::size_t row = 0; row < timeline.changes.size(); ++row) {
      const MemoryChange change = timeline.changes[row];
      const Band band = band_of(run.trace()[change.buffer].category);
      state[static_cast<std::size_t>(band)] += change.delta_bytes;
      states.push_back(state);
    }
  }

  [[nodiscard]] BandBytes after(std::int64_t change) const {
    return change < 0 ? BandBytes{} : states[static_cast<std::size_t>(change)];
  }

  /// All changes whose states are visible in [begin, end).
  [[nodiscard]] std::vector<std::int64_t> visible(ViewRange range, Axis axis) const {
    std::vector<std::int64_t> found;
    std::int64_t before = -1;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(states.size()); ++i) {
      const std::int64_t at =
          axis == Axis::change ? i : timeline.changes[static_cast<std::size_t>(i)].time_ns;
      if (at < range.begin) before = i;
      if (at >= range.begin && at < range.end) found.push_back(i);
    }
    const bool at_begin =
        !found.empty() &&
        (axis == Axis::change ? found.front() : time_ns(found.front())) == range.begin;
    if (!at_begin) found.insert(found.begin(), before);
    return found;
  }

  [[nodiscard]] std::int64_t time_ns(std::int64_t change) const {
    return timeline.changes[static_cast<std::size_t>(change)].time_ns;
  }

  [[nodiscard]] Extremes extremes(const std::vector<std::int64_t>& changes) const {
    Extremes found{-1, -2, std::numeric_limits<std::int64_t>::max()};
    for (const std::int64_t change : changes) {
      const std::int64_t total = total_bytes(after(change));
      if (total > found.max_bytes) found = {total, change, found.min_bytes};
      found.min_bytes = std::min(found.min_bytes, total);
    }
    return found;
  }

  const RunTimeline& timeline;
  std::vector<BandBytes> states;
};

}  // namespace

TEST_CASE("each column is the highest state that brute force finds in it") {
  std::mt19937 random(11);
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    const auto run = run_of(test::random_trace({.seed = seed, .change_count = 50 + 173 * seed}));
    const BruteForce judge(*run);
    for (const Axis axis : {Axis::time, Axis::change}) {
      const ColumnScale scale{test::random_range(random, run->whole(axis)),
                              static_cast<int>(random() % 90) + 1};
      const auto columns = run->pyramid().columns(scale, axis);
      REQUIRE(static_cast<int>(columns.size()) == scale.width_px);
      for (int x = 0; x < scale.width_px; ++x) {
        const std::int64_t begin = scale.column_begin(x);
        const std::int64_t end = std::max(scale.column_begin(x + 1), begin + 1);
        const PixelColumn& column = columns[static_cast<std::size_t>(x)];
        REQUIRE(column.extremes == judge.extremes(judge.visible({begin, end}, axis)));
        REQUIRE(column.at_max == judge.after(column.extremes.max_change));
      }
    }
  }
}

TEST_CASE("in every column the categories sum to the total") {
  const auto run = run_of(test::random_trace({.seed = 3, .change_count = 5000}));
  for (const int width_px : {1, 17, 1000, 4000}) {
    for (const PixelColumn& column :
         run->pyramid().columns({run->whole(Axis::time), width_px}, Axis::time)) {
      REQUIRE(total_bytes(column.at_max) == column.extremes.max_bytes);
    }
  }
}

TEST_CASE("zooming never changes the peak") {
  const auto run = run_of(test::random_trace({.seed = 5, .change_count = 20'000}));
  const RunTimeline& timeline = run->timeline();
  ViewRange range = run->whole(Axis::time);
  for (int zoom = 0; zoom < 20; ++zoom) {
    for (const int width_px : {3, 100, 1919}) {
      const ColumnScale scale{range, width_px};
      const auto columns = run->pyramid().columns(scale, Axis::time);
      const auto highest = std::max_element(columns.begin(), columns.end(),
                                            [](const PixelColumn& a, const PixelColumn& b) {
                                              return a.extremes.max_bytes < b.extremes.max_bytes;
                                            });
      REQUIRE(highest->extremes.max_bytes == timeline.run_peak.bytes);
      REQUIRE(highest->at_max == by_band(timeline.run_peak.by_category));
      REQUIRE(highest->extremes.max_change == timeline.run_peak.change);
    }
    const ColumnScale scale{range, 1000};
    range = clamped(scale.zoomed(0.7, scale.column_of(timeline.run_peak.time_ns)),
                    run->whole(Axis::time));
  }
}

TEST_CASE("extremes of every range of changes equal brute force") {
  const auto run = run_of(test::random_trace({.seed = 8, .change_count = 900}));
  const BruteForce judge(*run);
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const ViewRange range = test::random_range(random, {0, run->pyramid().change_count()});
    std::vector<std::int64_t> changes;
    for (std::int64_t c = range.begin; c < range.end; ++c) changes.push_back(c);
    REQUIRE(run->pyramid().extremes(range.begin, range.end) == judge.extremes(changes));
  }
}

TEST_CASE("a run without changes is an empty column, not a fault") {
  const auto run = run_of(Trace{});
  const auto columns = run->pyramid().columns({run->whole(Axis::time), 10}, Axis::time);
  REQUIRE(columns.size() == 10);
  CHECK(columns.front() == PixelColumn{.extremes = {0, -1, 0}, .at_max = {}});
}
