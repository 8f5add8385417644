#include "sim/exact.h"

#include <algorithm>

#include "sim/engine.h"
#include "sim/milp.h"
#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/planner/validator.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

bool no_solver() {
  if (milp_available()) return false;
  WARN("skipped: built without a solver");
  return true;
}

}  // namespace

TEST_CASE("exact: the optimum of small graphs at every limit, as brute force has it") {
  if (no_solver()) return;
  int above_ideal = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const PlainGraph graph = small_graph(seed, seed % 8 == 0 ? 3 : 2);
    const Dataflow flow = dataflow_of(graph);
    const auto all = all_schedules(graph);
    const std::int64_t keep_all = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    for (std::int64_t limit = keep_all; limit >= 0; limit -= 1) {
      const std::int64_t optimum = optimum_of(all, limit);
      const ExactResult result = solve_exactly(flow, {.limit_bytes = limit});
      INFO("seed " << seed << " limit " << limit);
      REQUIRE(result.refused.empty());
      CHECK(result.finished);
      REQUIRE(result.found == (optimum >= 0));
      if (optimum < 0) break;
      const Judgement judgement = judge(graph, result.schedule.again);
      CHECK(judgement.errors.empty());
      CHECK(judgement.cost == optimum);
      CHECK(judgement.peak <= limit);
      CHECK(result.cost_ns == optimum);
      CHECK(result.bound_ns == optimum);
      // Nothing is below the optimum, and the optimum is below what is worse.
      const ExactResult none = solve_exactly(flow, {.limit_bytes = limit, .upper_ns = optimum});
      CHECK_FALSE(none.found);
      CHECK(none.bound_ns == optimum);
      above_ideal += optimum > flow.compute_ns() ? 1 : 0;
    }
  }
  CHECK(above_ideal >= 20);
}

TEST_CASE("exact: agrees with the search on graphs that are too large for brute force") {
  if (no_solver()) return;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const PlainGraph graph = small_graph(seed, 6);
    const Dataflow flow = dataflow_of(graph);
    EngineRequest request;
    request.limit_bytes = least_peak(flow).bytes * 5 / 4;
    request.nodes = 40000;
    const EngineResult engine = run_engine(flow, request);
    const ExactResult exact = solve_exactly(flow, {.limit_bytes = request.limit_bytes});
    INFO("seed " << seed);
    REQUIRE(exact.finished);
    REQUIRE(exact.found == engine.fits);
    if (!exact.found) continue;
    CHECK(engine.cost_ns == exact.cost_ns);
    CHECK(engine.bound_cost_ns <= exact.cost_ns);
  }
}

TEST_CASE("exact: programs with several outputs, updates in place and values that change") {
  if (no_solver()) return;
  int better = 0;
  int compared = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Dataflow flow = dataflow_of(random_program(seed, 14));
    const std::int64_t peak = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    EngineRequest request;
    request.limit_bytes = std::max(least_peak(flow).bytes, peak * 85 / 100);
    request.nodes = 20000;
    const EngineResult engine = run_engine(flow, request);
    const ExactResult exact = solve_exactly(flow, {.limit_bytes = request.limit_bytes});
    INFO("seed " << seed);
    REQUIRE(exact.finished);
    if (engine.fits) REQUIRE(exact.found);
    if (!exact.found) continue;
    const ScheduleFigures figures = evaluate(flow, exact.schedule);
    CHECK(figures.illegal.empty());
    CHECK(figures.peak_bytes <= request.limit_bytes);
    CHECK(figures.cost_ns == exact.cost_ns);
    CHECK(exact.cost_ns == exact.bound_ns);
    if (!engine.fits) continue;
    CHECK(engine.bound_cost_ns <= exact.cost_ns);
    CHECK(exact.cost_ns <= engine.cost_ns);
    better += exact.cost_ns < engine.cost_ns ? 1 : 0;
    ++compared;
  }
  CHECK(compared >= 10);
  CHECK(better <= compared / 10);
}

TEST_CASE("exact: what is too large is refused in one line") {
  if (no_solver()) return;
  const Dataflow flow = dataflow_of(small_graph(1, 12));
  const ExactResult result = solve_exactly(flow, {.limit_bytes = 100, .most_columns = 50});
  CHECK(result.refused == "too large: 24 ops make a program of more than 50 columns");
  CHECK_FALSE(result.found);
}
