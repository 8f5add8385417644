#include "gui/filter.h"

#include <algorithm>

#include "gui/legend.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;

namespace {

const FilterTerm k_activation = {StackBy::category, "activation"};
const FilterTerm k_gradient = {StackBy::category, "gradient"};
const FilterTerm k_backward = {StackBy::phase, "backward"};

RunPtr training() {
  return test::run_of(test::training_trace({}));
}

/// Live bytes of the buffers that pass, after each of their changes; found with no index at all.
std::vector<std::int64_t> totals_of(const Run& whole, const std::vector<bool>& passes) {
  std::vector<std::int64_t> totals;
  std::int64_t total = 0;
  for (std::size_t row = 0; row < whole.timeline().changes.size(); ++row) {
    if (!passes[whole.timeline().changes.buffer_row(row)]) continue;
    total += whole.timeline().changes.delta_bytes(row);
    totals.push_back(total);
  }
  return totals;
}

}  // namespace

TEST_CASE("a part has the changes of what passes, and peaks of its own") {
  const RunPtr whole = training();
  for (const Filter& filter :
       {Filter{k_activation}, Filter{k_activation, k_gradient}, Filter{k_backward, k_gradient},
        Filter{{StackBy::dtype, "f32"}}, Filter{{StackBy::layer, "block3"}}}) {
    CAPTURE(to_text(filter.front()), filter.size());
    const RunPtr part = part_of(whole, filter);
    const std::vector<bool> passes = passing(*whole, filter);
    const std::vector<std::int64_t> totals = totals_of(*whole, passes);
    REQUIRE(part->pyramid().change_count() == static_cast<std::int64_t>(totals.size()));
    for (std::size_t i = 0; i < totals.size(); ++i) {
      const auto change = static_cast<std::int64_t>(i);
      CHECK(part->pyramid().total_after(change) == totals[i]);
      CHECK(part->of_whole(part->in_whole(change)) == change);
    }
    const std::int64_t highest =
        totals.empty() ? 0 : *std::max_element(totals.begin(), totals.end());
    CHECK(part->timeline().run_peak.bytes == highest);
    CHECK(part->timeline().step_begin_ns == whole->timeline().step_begin_ns);
    CHECK(part->whole(Axis::time) == whole->whole(Axis::time));
    for (const auto row : part->alive().alive_after(part->timeline().peak.change)) {
      CHECK(passes[part->alive().lifetime(row).buffer.index()]);
    }
  }
}

TEST_CASE("a filter that lets everything pass changes nothing") {
  for (const bool recompute : {false, true}) {
    const RunPtr whole = test::run_of(test::training_trace({.recompute = recompute}));
    Filter all;
    for (const FilterTerm& term : terms_of(*whole)) all.push_back(term);
    const RunPtr part = part_of(whole, all);
    CHECK(part->timeline().peak == whole->timeline().peak);
    CHECK(part->timeline().run_peak == whole->timeline().run_peak);
    CHECK(part->timeline().step_ns == whole->timeline().step_ns);
    CHECK(part->pyramid().change_count() == whole->pyramid().change_count());
  }
}

TEST_CASE("a step that was cut off has no peak, in a part neither") {
  Trace trace = test::training_trace({.step_count = 3});
  trace.events.resize(trace.events.size() - 40);
  const RunPtr whole = test::run_of(trace);
  Filter all;
  for (const FilterTerm& term : terms_of(*whole)) all.push_back(term);
  CHECK(part_of(whole, all)->timeline().peak == whole->timeline().peak);
}

TEST_CASE("names of one kind widen a filter, kinds narrow it") {
  const RunPtr whole = training();
  const auto count = [&](const Filter& filter) {
    const std::vector<bool> passes = passing(*whole, filter);
    return std::count(passes.begin(), passes.end(), true);
  };
  CHECK(count({k_activation, k_gradient}) == count({k_activation}) + count({k_gradient}));
  CHECK(count({k_gradient, k_backward}) <= count({k_gradient}));
  CHECK(count({{StackBy::layer, "no such layer"}}) == 0);
  CHECK(toggled({k_activation}, k_gradient) == Filter{k_activation, k_gradient});
  CHECK(toggled({k_activation, k_gradient}, k_activation) == Filter{k_gradient});
}

TEST_CASE("terms are found by how they are written") {
  const RunPtr whole = training();
  CHECK(term_of(*whole, "category activation") == k_activation);
  CHECK(term_of(*whole, "category optimizer state")->name == "optimizer_state");
  CHECK(term_of(*whole, "category optimizer_state")->name == "optimizer_state");
  for (const char* bad : {"", "category", "category ", "colour blue", "category kv_cache"}) {
    CAPTURE(bad);
    CHECK_FALSE(term_of(*whole, bad).has_value());
  }
}

TEST_CASE("a filter keeps view, pin, bookmarks and what lies over the run") {
  ViewState state = test::state_of(training());
  const RunPtr whole = state.run;
  const RunPtr other = test::run_of(test::training_trace({.recompute = true}));
  lay_over(state, other);
  const ViewRange step = whole->step(1, Axis::time);
  state.range = step;
  state.budget_bytes = 1 << 28;
  state.pinned = instant_of_change(*whole, whole->timeline().peak.change);
  const Instant pinned = *state.pinned;
  set_filter(state, {k_activation});
  CHECK(state.range == step);
  CHECK(state.pinned->time_ns == pinned.time_ns);
  CHECK(state.pinned->total_bytes < pinned.total_bytes);
  CHECK(whole_of(state.run) == whole);
  REQUIRE(state.others.size() == 1);
  CHECK(whole_of(state.others[0].run) == other);
  CHECK(state.others[0].run->timeline().peak.bytes < other->timeline().peak.bytes);
  CHECK(budget_line_of(state) == -1);  // a part is not compared with the budget of all
  CHECK(legend_of(state, {}).front().text.find("only category activation") != std::string::npos);
  state.axis = Axis::change;
  state.range = state.run->step(1, Axis::change);
  set_filter(state, {});
  CHECK(state.run == whole);
  CHECK(state.others[0].run == other);
  CHECK(state.range.span() > 1);
  CHECK(budget_line_of(state) == 1 << 28);
  CHECK(state.pinned->time_ns == pinned.time_ns);
}

TEST_CASE("a filter through which nothing passes shows nothing, and no harm is done") {
  for (const Axis axis : {Axis::time, Axis::change}) {
    ViewState state = test::state_of(training());
    lay_over(state, test::run_of(test::training_trace({.recompute = true})));
    state.axis = axis;
    state.range = limits_of(state);
    set_filter(state, {{StackBy::layer, "none of these"}});
    CHECK(state.run->pyramid().change_count() == 0);
    const ColumnScale scale{state.range, 50};
    for (const PixelColumn& column : columns_of(state, scale)) {
      CHECK(column.extremes.max_bytes == 0);
    }
    for (const std::int64_t bytes : overlay_of(state, 0, scale).max_bytes) CHECK(bytes <= 0);
    CHECK(instant_of_change(*state.run, -1).total_bytes == 0);
    set_filter(state, {});
    CHECK(state.run->pyramid().change_count() > 0);
  }
}
