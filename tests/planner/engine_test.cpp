#include "sim/engine.h"

#include "sim/anneal.h"
#include "sim/cover.h"
#include "sim/milp.h"
#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/planner/validator.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

EngineRequest request_for(std::int64_t limit_bytes, std::int64_t nodes) {
  EngineRequest request;
  request.limit_bytes = limit_bytes;
  request.nodes = nodes;
  return request;
}

}  // namespace

TEST_CASE("engine: finds the optimum of small graphs at every limit, with a bound not above it") {
  int proven = 0;
  int feasible = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const PlainGraph graph = small_graph(seed, seed % 10 == 0 ? 3 : 2);
    const Dataflow flow = dataflow_of(graph);
    const auto all = all_schedules(graph);
    const std::int64_t keep_all = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    for (std::int64_t limit = keep_all; limit >= 0; limit -= 2) {
      const std::int64_t optimum = optimum_of(all, limit);
      const EngineResult result = run_engine(flow, request_for(limit, 4000));
      INFO("seed " << seed << " limit " << limit);
      REQUIRE(result.fits == (optimum >= 0));
      if (result.proven_infeasible) CHECK(optimum < 0);
      if (optimum < 0) break;
      CHECK(result.cost_ns == optimum);
      CHECK(result.bound_cost_ns <= optimum);
      CHECK(step_cover_bound(flow, limit).cost_ns <= optimum);
      const Judgement judgement = judge(graph, result.schedule.again);
      CHECK(judgement.errors.empty());
      CHECK(judgement.cost == optimum);
      CHECK(judgement.peak <= limit);
      proven += result.proven_optimal() ? 1 : 0;
      ++feasible;
    }
  }
  CHECK(proven > feasible / 2);
}

TEST_CASE("engine: nothing fits below the least peak") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const PlainGraph graph = small_graph(seed, 2);
    const Dataflow flow = dataflow_of(graph);
    const LeastPeak least = least_peak(flow);
    CHECK(optimum_of(all_schedules(graph), least.bytes - 1) < 0);
    CHECK(run_engine(flow, request_for(least.bytes - 1, 100)).proven_infeasible);
  }
}

TEST_CASE("engine: schedules of programs are legal and fit") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Dataflow flow = dataflow_of(random_program(seed, 40));
    const std::int64_t peak = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    const EngineResult result = run_engine(flow, request_for(peak * 9 / 10, 20000));
    if (!result.fits) continue;
    const ScheduleFigures figures = evaluate(flow, result.schedule);
    INFO("seed " << seed);
    CHECK(figures.illegal.empty());
    CHECK(figures.cost_ns == result.cost_ns);
    CHECK(figures.peak_bytes <= peak * 9 / 10);
    CHECK(result.bound_cost_ns <= result.cost_ns);
  }
}

TEST_CASE("engine: the same request gives the same schedule, and progress can end it") {
  const PlainGraph graph = small_graph(7, 12);
  const Dataflow flow = dataflow_of(graph);
  const std::int64_t limit = least_peak(flow).bytes * 3 / 2;
  EngineRequest request = request_for(limit, 200000);
  const EngineResult a = run_engine(flow, request);
  const EngineResult b = run_engine(flow, request);
  CHECK(a.schedule == b.schedule);
  CHECK(a.nodes == b.nodes);
  CHECK_FALSE(a.cut);
  int calls = 0;
  request.progress = [&](const EngineProgress& progress) {
    CHECK(progress.bound_cost_ns == a.bound_cost_ns);
    return ++calls < 2;
  };
  const EngineResult c = run_engine(flow, request);
  CHECK(calls <= 2);
  CHECK((c.cut || c.proven_optimal()));
}

TEST_CASE("milp: a small cover is solved to its optimum") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  Milp problem;
  for (const double cost : {6.0, 5.0, 5.0}) problem.add({.cost = cost});
  problem.rows.push_back({.entries = {{0, 3}, {1, 2}, {2, 2}}, .at_least = 4});
  const MilpAnswer answer = solve(problem, {});
  CHECK(answer.finished);
  CHECK(answer.bound == Approx(10));
  REQUIRE(answer.columns.size() == 3);
  CHECK(answer.columns[0] == Approx(0));
  problem.rows[0].at_least = 8;
  CHECK(solve(problem, {}).infeasible);
}
