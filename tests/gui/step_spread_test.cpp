#include "gui/step_spread.h"

#include <algorithm>
#include <random>

#include "gui/legend.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;

namespace {

/// Steps of the same ops; step s keeps `kept[s]` MiB that the others do not have.
Trace steps_that_differ(const std::vector<std::int64_t>& kept) {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("layer");
  const BufferId weight = sketch.buffer("weight", layer, Category::weight, 1 << 20);
  const BufferId work = sketch.buffer("work", layer, Category::temporary, 2 << 20);
  const OpId op = sketch.op("op", layer, Phase::forward);
  sketch.alloc(weight);
  sketch.wait(10);  // or it would be of the first step
  for (std::size_t step = 0; step < kept.size(); ++step) {
    const BufferId more =
        sketch.buffer("more" + std::to_string(step), layer, Category::activation, kept[step] << 20);
    sketch.begin_step(static_cast<std::int32_t>(step));
    sketch.alloc(more);
    sketch.run(op, 100);
    sketch.alloc(work);
    sketch.run(op, 100 + 10 * static_cast<std::int64_t>(step));
    sketch.free(work);
    sketch.free(more);
    sketch.wait(10);
    sketch.end_step(static_cast<std::int32_t>(step));
  }
  return sketch.trace;
}

/// The same by a look at every step and every change, for steps with equal numbers of changes.
void check_against_all(const Run& run) {
  const StepSpread& spread = run.spread();
  const std::size_t steps = run.timeline().step_begin_ns.size();
  const ViewRange last = run.steady_step(Axis::change);
  REQUIRE(static_cast<std::int64_t>(spread.most.size()) == last.span() + 1);
  for (std::size_t point = 0; point < spread.most.size(); ++point) {
    std::vector<std::int64_t> totals;
    for (std::size_t row = 0; row < steps; ++row) {
      const std::int64_t begin = run.step(row, Axis::change).begin;
      totals.push_back(run.pyramid().total_after(begin + static_cast<std::int64_t>(point) - 1));
    }
    std::sort(totals.begin(), totals.end());
    CHECK(spread.least[point] == totals.front());
    CHECK(spread.median[point] == totals[(steps - 1) / 2]);
    CHECK(spread.most[point] == totals.back());
  }
}

}  // namespace

TEST_CASE("each point of a step has the least, the median and the most of all steps") {
  check_against_all(*test::run_of(steps_that_differ({3, 9, 1, 4, 2})));
  check_against_all(*test::run_of(steps_that_differ({3, 9, 1, 4})));
  check_against_all(*test::run_of(steps_that_differ({5})));
}

TEST_CASE("a peak that only one step has is seen over the steady step, whatever its length") {
  Trace trace = test::training_trace({.layer_count = 4, .step_count = 4});
  const RunPtr run = test::run_of(trace);
  const StepSpread& spread = run->spread();
  std::int64_t highest = 0;
  for (std::size_t row = 0; row < run->timeline().step_begin_ns.size(); ++row) {
    const ColumnScale whole{run->step(row, Axis::change), 1};
    highest = std::max(highest, run->pyramid().columns(whole, Axis::change)[0].extremes.max_bytes);
  }
  CHECK(std::ranges::max(spread.most) == highest);
  CHECK(std::ranges::max(spread.least) <= std::ranges::max(spread.median));
  CHECK(std::ranges::max(spread.median) <= highest);
}

TEST_CASE("columns of the spread keep its peaks at every zoom and lie around the stack") {
  const RunPtr run = test::run_of(steps_that_differ({3, 9, 1, 4, 2}));
  std::mt19937 random(11);
  for (const Axis axis : {Axis::time, Axis::change}) {
    const ViewRange step = run->steady_step(axis);
    for (int width = 1; width < 400; width += 37) {
      const SpreadColumns columns = spread_columns(*run, {step, width}, axis);
      CHECK(std::ranges::max(columns.most) == std::ranges::max(run->spread().most));
      CHECK(std::ranges::max(columns.median) == std::ranges::max(run->spread().median));
    }
    for (int round = 0; round < 50; ++round) {
      const ColumnScale scale{test::random_range(random, step),
                              static_cast<int>(random() % 200) + 1};
      const auto stack = run->pyramid().columns(scale, axis);
      const SpreadColumns columns = spread_columns(*run, scale, axis);
      for (std::size_t x = 0; x < stack.size(); ++x) {
        CHECK(columns.most[x] >= stack[x].extremes.max_bytes);
        CHECK(columns.least[x] <= stack[x].extremes.min_bytes);
        CHECK(columns.median[x] <= columns.most[x]);
      }
    }
  }
}

TEST_CASE("every step takes the place of what lies over the run, and says so") {
  ViewState state = test::state_of(test::run_of(steps_that_differ({3, 9, 1})));
  lay_over(state, test::run_of(steps_that_differ({2})));
  state.one_step = state.every_step = true;
  state.range = limits_of(state);
  CHECK(state.range == state.run->steady_step(Axis::time));
  CHECK(overlays_of(state, {state.range, 60}).size() == 3);
  const std::vector<LegendEntry> legend = legend_of(state, {});
  REQUIRE(legend.size() == 4);
  CHECK(legend[1].text == "most of 3 steps, up to 12.00 MiB");
  CHECK(legend[2].text == "median, up to 6.00 MiB");
  CHECK(legend[3].overlay == 2);
  state.run = test::run_of(steps_that_differ({4, 4, 4}));
  REQUIRE(legend_of(state, {}).size() == 2);
  CHECK(legend_of(state, {})[1].text == "all 3 steps, alike, up to 7.00 MiB");
  CHECK(overlays_of(state, {state.range, 60}).size() == 1);
  state.run = test::run_of(steps_that_differ({3}));
  CHECK(overlays_of(state, {state.range, 60}).empty());
  CHECK(legend_of(state, {}).size() == 1);
}

TEST_CASE("a run without steps has no spread") {
  const RunPtr run = test::run_of(test::random_trace({}));
  CHECK(run->spread().step_count == 0);
  for (const std::int64_t bytes : spread_columns(*run, {{0, 100}, 10}, Axis::time).most) {
    CHECK(bytes == -1);
  }
}
