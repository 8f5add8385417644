// Optimizer state that waits on the host between its uses of two steps; the judge is brute force.
#include <algorithm>

#include "sim/bound.h"
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/random.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

Trace network(Optimizer optimizer) {
  RunConfig config = default_run("mlp-tiny");
  config.optimizer.kind = optimizer;
  Trace t = build_program(config);
  fill_modelled_times(find_device("laptop-core"), t);
  return t;
}

std::vector<BufferId> parkable(const Dataflow& flow) {
  std::vector<BufferId> found;
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    if (flow.values[row].parkable) found.emplace_back(row);
  }
  return found;
}

Decision park(const Dataflow& flow, BufferId state) {
  Decision d;
  d.kind = DecisionKind::offload;
  d.buffer = state;
  d.until = flow.body[static_cast<std::size_t>(flow[state].uses.front())].op;
  return d;
}

/// Each state with a random fetch before its use and a random release after it, or none.
std::vector<Decision> random_parking(const Dataflow& flow, Random& random) {
  std::vector<Decision> plan;
  for (const BufferId id : parkable(flow)) {
    if (random.below(4) == 0) continue;
    Decision d = park(flow, id);
    const auto first = static_cast<std::size_t>(flow[id].uses.front());
    const auto after = static_cast<std::size_t>(flow[id].last_use()) + 1;
    if (random.below(2) == 0) d.fetch_before = flow.body[random.below(first + 1)].op;
    const std::size_t left = flow.body.size() - after;
    if (left > 0 && random.below(2) == 0) {
      d.release_before = flow.body[after + random.below(left)].op;
    }
    plan.push_back(d);
  }
  return plan;
}

SearchRequest linked(std::int64_t budget_bytes, const char* method) {
  SearchRequest request;
  request.budget_bytes = budget_bytes;
  request.method = method;
  request.link_bytes_per_s = 1e10;
  request.link_latency_ns = 500;
  return request;
}

}  // namespace

TEST_CASE("parked state: legal at any fetch and release, with the results of the source") {
  for (const Optimizer optimizer : {Optimizer::adamw, Optimizer::momentum}) {
    const Trace source = network(optimizer);
    const Dataflow flow = dataflow_of(source);
    REQUIRE(parkable(flow).size() >= 4);
    const BruteVerdict truth = brute_force(source, CopyTime::earliest);
    for (std::int64_t seed = 1; seed <= 15; ++seed) {
      Random random(seed);
      const std::vector<Decision> plan = random_parking(flow, random);
      Trace planned = apply_plan(source, plan);
      INFO("seed " << seed);
      REQUIRE(check(planned).empty());
      CHECK(judged_equal(planned, truth));
      place_all(planned);
      CHECK(check(planned).empty());
      CHECK(judged_equal(planned, truth));
      const std::string text = print_plan(source, planned.decisions);
      CHECK(apply_plan(source, parse_plan(source, text, "plan")).program == planned.program);
    }
  }
}

TEST_CASE("parked state: together with recomputation and moved activations") {
  RunConfig config = default_run("gpt2-tiny");
  config.model.gpt2.layers = 1;
  Trace source = build_program(config);
  fill_modelled_times(find_device("laptop-core"), source);
  const Dataflow flow = dataflow_of(source);
  const BruteVerdict truth = brute_force(source, CopyTime::earliest);
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    std::vector<Decision> plan = random_plan(source, seed, 12);
    Random random(static_cast<std::int64_t>(seed));
    for (const Decision& d : random_parking(flow, random)) plan.push_back(d);
    const Trace planned = apply_plan(source, plan);
    REQUIRE(check(planned).empty());
    CHECK(judged_equal(planned, truth));
  }
}

TEST_CASE("parked state: all of it on the host lowers the peak by as much, and bounds stay below") {
  const Trace source = network(Optimizer::adamw);
  const Dataflow flow = dataflow_of(source);
  std::vector<Decision> plan;
  std::int64_t bytes = 0;
  for (const BufferId id : parkable(flow)) {
    plan.push_back(park(flow, id));
    plan.back().release_before = {};
    bytes += flow[id].bytes;
  }
  // Released one op after its use where there is one, so that only few are there at once.
  for (Decision& d : plan) {
    const auto after = static_cast<std::size_t>(flow[d.buffer].last_use()) + 1;
    if (after < flow.body.size()) d.release_before = flow.body[after].op;
  }
  Trace planned = apply_plan(source, plan);
  const Timeline timeline = replay(planned);
  CHECK(timeline.peak.bytes < replay(source).peak.bytes);
  CHECK(timeline.run_peak.bytes < replay(source).run_peak.bytes);
  CHECK(replay(planned, {SpaceKind::host_pinned, 0}).peak.bytes >= bytes);
  SearchRequest request = linked(place_all(planned), "state");
  CHECK(budget_bound(source, request).bound_bytes <= request.budget_bytes);
  CHECK(step_bound_ns(source, request) <= timeline.step_ns);
}

TEST_CASE("parked state: what cannot be is refused") {
  const Trace source = network(Optimizer::adamw);
  const Dataflow flow = dataflow_of(source);
  const Decision good = park(flow, parkable(flow).front());
  CHECK_NOTHROW(apply_plan(source, {good}));
  CHECK_THROWS_AS(apply_plan(source, {good, good}), InputError);
  Decision wrong = good;
  wrong.until = flow.body.front().op;
  CHECK_THROWS_WITH(apply_plan(source, {wrong}), Catch::Contains("first use"));
  wrong = good;
  wrong.release_before = good.until;
  CHECK_THROWS_WITH(apply_plan(source, {wrong}), Catch::Contains("last use < release"));
  wrong = good;
  wrong.kind = DecisionKind::recompute;
  CHECK_THROWS_AS(apply_plan(source, {wrong}), InputError);
}

TEST_CASE("search: optimizer state goes to the host where activations alone do not make room") {
  const Trace source = network(Optimizer::adamw);
  const std::int64_t budget = budget_bound(source, linked(0, "auto")).bound_bytes * 6 / 5;
  const SearchResult none = search(source, linked(budget, "joint"));
  CHECK_FALSE(none.feasible);
  for (const char* method : {"state", "auto"}) {
    const SearchResult result = search(source, linked(budget, method));
    INFO(method);
    REQUIRE(result.feasible);
    CHECK(check(result.planned).empty());
    CHECK(result.planned.plan.height_bytes <= budget);
    CHECK(result.planned.plan.step_ns >= result.planned.plan.bound_step_ns);
    CHECK(judged_equal(result.planned, brute_force(source, CopyTime::earliest)));
  }
}

TEST_CASE("step bound: optimizer state comes back over the link once in a step") {
  const Trace source = network(Optimizer::adamw);
  const std::int64_t budget = budget_bound(source, linked(0, "auto")).bound_bytes * 6 / 5;
  std::int64_t last_ns = 0;
  for (const double link_bytes_per_s : {1e10, 1e8, 1e7}) {
    SearchRequest request = linked(budget, "state");
    request.link_bytes_per_s = link_bytes_per_s;
    const std::int64_t bound_ns = step_bound_ns(source, request);
    const SearchResult result = search(source, request);
    REQUIRE(result.feasible);
    CHECK(bound_ns <= result.planned.plan.step_ns);
    CHECK(bound_ns >= last_ns);
    last_ns = bound_ns;
  }
  // Over the slowest link the fetches take longer than all ops.
  CHECK(last_ns > 2 * dataflow_of(source).compute_ns());
}
