// The kept plans: a value that is edited.
#include "gui/plan_list.h"

#include "tests/catch.h"
#include "tests/gui/whatif_sample.h"

using namespace tidemark;

namespace {

WhatIfResultPtr some_plan(int percent) {
  WhatIfPlanner planner(test::planned_from());
  WhatIf what_if = unchanged(planner.recorded_config());
  what_if.budget_bytes = planner.budget_range().second * percent / 100;
  return planner.quick(what_if);
}

}  // namespace

TEST_CASE("plan list: added, duplicated, renamed, removed") {
  PlanList list;
  const WhatIfResultPtr plan = some_plan(80);
  const int first = list.add(plan);
  const int second = list.add(plan, "low");
  CHECK(list.find(first)->name == "Plan 1");
  const PlanList before = list;
  const auto copy = list.duplicate(first);
  REQUIRE(copy.has_value());
  CHECK(list.plans[1].id == *copy);
  CHECK(list.plans[1].name == "Plan 1 copy");
  list.rename(second, "  lower \n");
  list.rename(second, "   ");
  CHECK(list.find(second)->name == "lower");
  list.remove(first);
  CHECK(list.find(first) == nullptr);
  CHECK(list.plans.size() == 2);
  CHECK(list.add(plan) > *copy);  // an id is never used again
  CHECK(list.duplicate(99) == std::nullopt);
  CHECK(before.plans.size() == 2);  // a value: undo is the one before
}

TEST_CASE("plan list: four at most are compared, the first makes room") {
  PlanList list;
  const WhatIfResultPtr plan = some_plan(80);
  for (int i = 0; i < 6; ++i) list.set_compared(list.add(plan), true);
  CHECK(list.compared == std::vector<int>{3, 4, 5, 6});
  list.set_compared(4, false);
  list.remove(5);
  CHECK(list.compared == std::vector<int>{3, 6});
  for (const ComparedFigure& figure : comparison(list)) CHECK(figure.texts.size() == 2);
  list.compared.clear();
  CHECK(comparison(list).empty());
}

TEST_CASE("plan list: measured stands beside planned") {
  PlanList list;
  const int id = list.add(some_plan(70));
  CHECK(measured_text(*list.find(id)).empty());
  Trace trace = list.find(id)->result->planned->trace();
  trace.steps = {{.step = 0, .wall_ns = 1}, {.step = 1, .wall_ns = 2 * trace.plan.step_ns}};
  list.find(id)->measured = std::make_shared<const Run>("m", std::move(trace));
  const std::string text = measured_text(*list.find(id));
  CHECK(text.find("(equal)") != std::string::npos);
  CHECK(text.find("+100.0 %") != std::string::npos);
  list.set_compared(id, true);
  bool seen = false;
  for (const ComparedFigure& f : comparison(list)) seen = seen || f.name == "step, measured";
  CHECK(seen);
}

TEST_CASE("plan list: each plan is a point of the plot") {
  PlanList list;
  list.add(some_plan(90));
  list.add(some_plan(70));
  const auto points = points_of(list);
  REQUIRE(points.size() == 2);
  CHECK(points[1].row == 1);
  CHECK(points[1].bytes == list.plans[1].result->plan().height_bytes);
  CHECK(points[1].bytes < points[0].bytes);
}
