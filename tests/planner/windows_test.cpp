#include "sim/windows.h"

#include "sim/engine.h"
#include "sim/milp.h"
#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/planner/validator.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

TEST_CASE("window bound: never above the optimum, whatever the cuts, and often on it") {
  int exact = 0;
  int asked = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const PlainGraph graph = small_graph(seed, seed % 12 == 0 ? 3 : 2);
    const Dataflow flow = dataflow_of(graph);
    const auto all = all_schedules(graph);
    const std::int64_t keep_all = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    for (std::int64_t limit = keep_all; limit >= 0; limit -= 3) {
      const std::int64_t optimum = optimum_of(all, limit);
      const RecomputeBound step = step_cover_bound(flow, limit);
      for (const std::size_t cuts : {1U, 2U, 6U}) {
        INFO("seed " << seed << " limit " << limit << " cuts " << cuts);
        const RecomputeBound bound = window_bound(flow, limit, {.cuts = cuts});
        if (!bound.possible) CHECK(optimum < 0);
        if (optimum < 0) continue;
        REQUIRE(bound.possible);
        CHECK(bound.cost_ns >= step.cost_ns);
        CHECK(bound.cost_ns <= optimum);
        // A schedule that is known changes what is asked, not what is true.
        const std::int64_t worse = optimum + 3;
        CHECK(window_bound(flow, limit, {.cuts = cuts, .upper_ns = worse}).cost_ns <= optimum);
        exact += bound.cost_ns == optimum ? 1 : 0;
        ++asked;
      }
      if (optimum < 0) break;
    }
  }
  if (milp_available()) CHECK(exact > asked * 3 / 4);
}

TEST_CASE("window bound: no schedule of a program is below it") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Dataflow flow = dataflow_of(random_program(seed, 24));
    const std::int64_t peak = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    for (const std::int64_t percent : {90, 75}) {
      EngineRequest request;
      request.limit_bytes = peak * percent / 100;
      request.nodes = 6000;
      request.bound_cost_ns = 0;
      const EngineResult found = run_engine(flow, request);
      for (const std::size_t cuts : {1U, 4U}) {
        const RecomputeBound bound = window_bound(flow, request.limit_bytes, {.cuts = cuts});
        INFO("seed " << seed << " percent " << percent << " cuts " << cuts);
        if (!found.fits) continue;
        CHECK(bound.possible);
        CHECK(bound.cost_ns <= found.cost_ns);
      }
    }
  }
}

TEST_CASE("window bound: what a value is made from counts too") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  // Beside op 3 (4 bytes, and 1 of its input 0) there is room for neither 1 nor 2. Op 4 needs 2
  // again, hence 1 again, for 9; by itself 2 costs 4.
  const PlainGraph graph{.costs = {50, 5, 4, 1, 1},
                         .sizes = {1, 3, 3, 4, 1},
                         .edges = {{0, 1}, {1, 2}, {0, 3}, {0, 4}, {2, 4}}};
  const Dataflow flow = dataflow_of(graph);
  CHECK(step_cover_bound(flow, 7).cost_ns == flow.compute_ns() + 4);
  CHECK(window_bound(flow, 7, {}).cost_ns == flow.compute_ns() + 9);
}
