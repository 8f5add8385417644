#include "sim/combine.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "sim/anneal.h"
#include "sim/milp_small.h"
#include "sim/random.h"
#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/planner/validator.h"

using namespace tidemark;

namespace {

/// Blocks that are alike but for their sizes: each has a value of its own that waits for its
/// backward op. Which of them to make again is a pure knapsack.
PlainGraph knapsack_graph(std::uint64_t seed, std::int32_t blocks) {
  PlainGraph graph;
  graph.costs.push_back(1);
  graph.sizes.push_back(1);
  for (std::int32_t i = 0; i < blocks; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    graph.costs.push_back(static_cast<std::int64_t>(40 + (seed * 7 + 11 * at) % 23));
    graph.sizes.push_back(static_cast<std::int64_t>(50 + (seed * 5 + 17 * at) % 29));
    graph.edges.emplace_back(0, i + 1);
  }
  for (std::int32_t i = 0; i < blocks; ++i) {
    graph.costs.push_back(1);
    graph.sizes.push_back(1);
    graph.edges.emplace_back(0, blocks + 1 + i);
    graph.edges.emplace_back(blocks - i, blocks + 1 + i);
    if (i > 0) graph.edges.emplace_back(blocks + i, blocks + 1 + i);
  }
  return graph;
}

/// Every set of blocks but the last made again for its backward op, by the judge.
std::int64_t best_set(const PlainGraph& graph, std::int32_t blocks, std::int64_t limit) {
  std::int64_t best = -1;
  for (std::uint32_t set = 0; set < 1U << (blocks - 1); ++set) {
    std::vector<std::vector<Position>> again(graph.costs.size());
    for (std::int32_t i = 0; i + 1 < blocks; ++i) {
      if ((set >> i & 1U) != 0) again[static_cast<std::size_t>(2 * blocks - i)] = {i + 1};
    }
    const Judgement judgement = judge(graph, again);
    const bool fits = judgement.errors.empty() && judgement.peak <= limit;
    if (fits && (best < 0 || judgement.cost < best)) best = judgement.cost;
  }
  return best;
}

/// Knapsack rows with factors of both signs, and pairs that exclude each other: what combine()
/// asks for.
Milp small_program(std::int64_t seed, std::int32_t columns) {
  Random random(seed);
  Milp milp;
  for (std::int32_t i = 0; i < columns; ++i) {
    milp.add({.cost = (static_cast<double>(random.below(200)) - 150) / 100});
  }
  for (int r = 0; r < 4; ++r) {
    Milp::Row row{.entries = {}, .at_most = static_cast<double>(random.below(100)) / 100};
    for (std::int32_t i = 0; i < columns; ++i) {
      row.entries.emplace_back(i, (static_cast<double>(random.below(130)) - 40) / 100);
    }
    milp.rows.push_back(std::move(row));
  }
  for (std::int32_t i = 0; i + 1 < columns; i += 3) {
    milp.rows.push_back({.entries = {{i, 1}, {i + 1, 1}}, .at_most = 1});
  }
  return milp;
}

double cost_of(const Milp& milp, const std::vector<double>& columns) {
  double cost = 0;
  for (std::size_t i = 0; i < columns.size(); ++i) cost += milp.columns[i].cost * columns[i];
  return cost;
}

/// Of all sets of columns; the empty one is always a solution here.
double least_cost(const Milp& milp) {
  const std::size_t count = milp.columns.size();
  double least = 0;
  for (std::uint32_t set = 0; set < 1U << count; ++set) {
    std::vector<double> columns(count, 0);
    for (std::size_t i = 0; i < count; ++i) columns[i] = (set >> i & 1U) != 0 ? 1 : 0;
    const bool fits = std::all_of(milp.rows.begin(), milp.rows.end(), [&](const Milp::Row& row) {
      double sum = 0;
      for (const auto& [column, factor] : row.entries) {
        sum += factor * columns[static_cast<std::size_t>(column)];
      }
      return sum <= row.at_most + 1e-9;
    });
    if (fits) least = std::min(least, cost_of(milp, columns));
  }
  return least;
}

}  // namespace

TEST_CASE("milp: small programs come out at their optimum, also from two threads at once") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  constexpr std::int64_t k_programs = 12;
  std::vector<double> costs(k_programs, 1);
  const auto solve_every_second = [&costs](std::int64_t first) {
    for (std::int64_t seed = first; seed < k_programs; seed += 2) {
      const Milp milp = small_program(seed, 13);
      const MilpAnswer answer = solve_small(milp, {});
      if (answer.finished) costs[static_cast<std::size_t>(seed)] = cost_of(milp, answer.columns);
    }
  };
  std::thread second([&] { solve_every_second(1); });
  solve_every_second(0);
  second.join();
  for (std::int64_t seed = 0; seed < k_programs; ++seed) {
    INFO("seed " << seed);
    const Milp milp = small_program(seed, 13);
    const double least = least_cost(milp);
    CHECK(std::abs(costs[static_cast<std::size_t>(seed)] - least) < 1e-6);
    // Of the same program without whole numbers: not above it.
    Milp relaxed = milp;
    for (Milp::Column& column : relaxed.columns) column.integer = false;
    const MilpAnswer bound = solve_small(relaxed, {});
    CHECK(bound.finished);
    CHECK(bound.bound <= least + 1e-6);
    CHECK(bound.reduced_costs.size() == milp.columns.size());
    CHECK(std::abs(bound.bound - solve(relaxed, {}).bound) < 1e-6);
  }
}

TEST_CASE("combine: from any schedule that fits to the best knapsack, in a few steps") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  constexpr std::int32_t k_blocks = 10;
  int improved = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const PlainGraph graph = knapsack_graph(seed, k_blocks);
    const Dataflow flow = dataflow_of(graph);
    const ScheduleTask task = task_of(flow);
    const std::int64_t peak = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
    const std::int64_t limit = peak - 200;
    Mover mover(task, limit, static_cast<std::int64_t>(seed));
    // Far too much is made again: all but the last, which is needed at once.
    for (std::int32_t i = 0; i < k_blocks; ++i) {
      if (i + 1 < k_blocks) mover.state().insert(2 * k_blocks - i, i + 1);
    }
    REQUIRE(mover.state().excess_bytes() == 0);
    while (combine(mover, {})) ++improved;
    const Judgement judgement = judge(graph, mover.state().schedule().again);
    INFO("seed " << seed);
    CHECK(judgement.errors.empty());
    CHECK(judgement.peak <= limit);
    CHECK(judgement.cost == mover.state().cost_ns());
    CHECK(judgement.cost == best_set(graph, k_blocks, limit));
  }
  CHECK(improved >= 6);
}

TEST_CASE("combine: a clock that has run out ends it at once, and nothing changes") {
  const PlainGraph graph = knapsack_graph(1, 10);
  const Dataflow flow = dataflow_of(graph);
  const ScheduleTask task = task_of(flow);
  Mover mover(task, evaluate(flow, keep_all_schedule(flow)).peak_bytes, 1);
  const Timer over(1e-9);
  while (!over.over()) {
  }
  CHECK_FALSE(combine(mover, {.timer = &over}));
  CHECK(mover.state().added().empty());
}

TEST_CASE("combine: finds nothing where there is nothing, and then changes nothing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const PlainGraph graph = small_graph(seed, 2);
    const Dataflow flow = dataflow_of(graph);
    const auto all = all_schedules(graph);
    const std::int64_t limit = evaluate(flow, keep_all_schedule(flow)).peak_bytes - 1;
    AnnealRequest request;
    request.limit_bytes = limit;
    request.nodes = 4000;
    const AnnealResult optimum = anneal(flow, request);
    if (!optimum.fits || optimum.cost_ns != optimum_of(all, limit)) continue;
    const ScheduleTask task = task_of(flow);
    Mover mover(task, limit, 1);
    mover.state().load(optimum.schedule);
    CHECK_FALSE(combine(mover, {.tries = 2000}));
    CHECK(mover.state().schedule() == optimum.schedule);
    CHECK(mover.state().excess_bytes() == 0);
  }
}
