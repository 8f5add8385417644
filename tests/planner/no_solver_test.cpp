// Linked with milp_none.cpp in place of what the library has: all goes on without a solver.
#include "sim/anneal.h"
#include "sim/combine.h"
#include "sim/engine.h"
#include "sim/exact.h"
#include "sim/milp.h"
#include "sim/search.h"
#include "sim/windows.h"
#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

TEST_CASE("no solver: it says so, and what needs one is refused in one line") {
  REQUIRE_FALSE(milp_available());
  Milp problem;
  problem.add({.cost = 1});
  CHECK_FALSE(solve(problem, {}).ran);
  const Dataflow flow = dataflow_of(small_graph(1, 2));
  const ExactResult exact = solve_exactly(flow, {.limit_bytes = 100});
  CHECK(exact.refused == "this build has no solver (CBC)");
  CHECK_FALSE(exact.found);
  SearchRequest request;
  request.method = "exact";
  request.budget_bytes = 1 << 20;
  try {
    static_cast<void>(search(tiny(chain_drawing(6)), request));
    FAIL("not refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    CHECK(message.find("--method exact") != std::string::npos);
    CHECK(message.find("coinor-libcbc-dev") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
  for (const SearchMethod& method : search_methods()) {
    if (method.name == "exact") CHECK(method.about.find("off") == 0);
  }
}

TEST_CASE("no solver: bounds are those of one op at a time, and the search finds the optimum") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const PlainGraph graph = small_graph(seed, 2);
    const Dataflow flow = dataflow_of(graph);
    const auto all = all_schedules(graph);
    const std::int64_t keep_all = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    for (std::int64_t limit = keep_all; limit >= 0; limit -= 2) {
      const std::int64_t optimum = optimum_of(all, limit);
      if (optimum < 0) break;
      INFO("seed " << seed << " limit " << limit);
      CHECK(window_bound(flow, limit, {}).cost_ns == step_cover_bound(flow, limit).cost_ns);
      EngineRequest request;
      request.limit_bytes = limit;
      request.nodes = 4000;
      const EngineResult result = run_engine(flow, request);
      REQUIRE(result.fits);
      CHECK(result.cost_ns == optimum);
      CHECK(result.bound_cost_ns <= optimum);
      const ScheduleTask task = task_of(flow);
      Mover mover(task, limit, 1);
      mover.state().load(result.schedule);
      CHECK_FALSE(combine(mover, {}));
      CHECK(mover.state().schedule() == result.schedule);
    }
  }
}
