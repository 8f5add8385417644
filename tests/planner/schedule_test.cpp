#include "sim/schedule.h"

#include <random>

#include "sim/check.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/planner/validator.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

/// About `percent` of all entries that are legal, at random.
Schedule random_schedule(const Dataflow& flow, std::mt19937_64& random, unsigned percent) {
  Schedule schedule = keep_all_schedule(flow);
  for (std::size_t t = 0; t < flow.body.size(); ++t) {
    for (std::size_t op = 0; op < t; ++op) {
      if (random() % 100 >= percent) continue;
      Schedule probe = keep_all_schedule(flow);
      probe.again[t] = {static_cast<Position>(op)};
      if (evaluate(flow, probe).illegal.empty()) {
        schedule.again[t].push_back(static_cast<Position>(op));
      }
    }
  }
  return schedule;
}

}  // namespace

TEST_CASE("schedule: figures are those of the planned trace, to the byte and the nanosecond") {
  int several = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Trace t = random_program(seed, 24);
    const Dataflow flow = dataflow_of(t);
    std::mt19937_64 random(seed);
    const Schedule drawn = random_schedule(flow, random, 3);
    // What nobody needs is left out by the decisions.
    const std::vector<Decision> decisions = decisions_of(flow, drawn);
    const Schedule schedule = schedule_of(flow, decisions);
    const ScheduleFigures figures = evaluate(flow, schedule);
    INFO("seed " << seed);
    REQUIRE(figures.illegal.empty());
    const Trace planned = apply_plan(t, decisions);
    CHECK(check(planned).empty());
    const Timeline timeline = replay(planned);
    CHECK(figures.cost_ns == timeline.step_ns);
    CHECK(figures.peak_bytes == timeline.peak.bytes);
    several += decisions.size() > 2 ? 1 : 0;
  }
  CHECK(several > 20);
}

TEST_CASE("schedule: figures of plain graphs are those of the judge") {
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    std::mt19937_64 random(seed);
    PlainGraph graph;
    for (std::int32_t i = 0; i < 14; ++i) {
      graph.costs.push_back(static_cast<std::int64_t>(random() % 20));
      graph.sizes.push_back(static_cast<std::int64_t>(random() % 9));
      for (std::int32_t u = 0; u < i; ++u) {
        if (random() % 4 == 0) graph.edges.emplace_back(u, i);
      }
    }
    const Dataflow flow = dataflow_of(graph);
    const Schedule schedule = random_schedule(flow, random, 10);
    const ScheduleFigures figures = evaluate(flow, schedule);
    const Judgement judgement = judge(graph, schedule.again);
    INFO("seed " << seed);
    CHECK(figures.illegal.empty());
    CHECK(judgement.errors.empty());
    CHECK(figures.cost_ns == judgement.cost);
    CHECK(figures.peak_bytes == judgement.peak);
  }
}

TEST_CASE("schedule: entries that may not be are named") {
  const Trace t = tiny("x=load a=gelu:x b=scale:a loss:b e=gelu_backward:b,a update:e");
  const Dataflow flow = dataflow_of(t);
  const auto message = [&](std::size_t stage, std::vector<Position> ops) {
    Schedule schedule = keep_all_schedule(flow);
    schedule.again[stage] = std::move(ops);
    return evaluate(flow, schedule).illegal;
  };
  CHECK(message(4, {1, 2}).empty());
  CHECK(message(4, {2, 1}).find("ascend") != std::string::npos);
  CHECK(message(4, {1, 1}).find("ascend") != std::string::npos);
  CHECK(message(4, {4}).find("before the one") != std::string::npos);
  CHECK(message(4, {0}).find("may not run again") != std::string::npos);
  CHECK_FALSE(evaluate(flow, Schedule{}).illegal.empty());
}

TEST_CASE("schedule: graphs that are none are refused") {
  const auto refused = [](const PlainGraph& graph) {
    CHECK_THROWS_AS(dataflow_of(graph), InputError);
  };
  refused({.costs = {1, 2}, .sizes = {1}, .edges = {}});
  refused({.costs = {1, 2}, .sizes = {1, 1}, .edges = {{1, 0}}});
  refused({.costs = {1, 2}, .sizes = {1, 1}, .edges = {{0, 2}}});
  refused({.costs = {1, 2}, .sizes = {1, 1}, .edges = {{-1, 1}}});
  refused({.costs = {-1, 2}, .sizes = {1, 1}, .edges = {}});
  refused({.costs = {1, 2}, .sizes = {1, std::int64_t{1} << 62}, .edges = {}});
}
