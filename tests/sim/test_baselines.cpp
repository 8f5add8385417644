#include "sim/baselines.h"

#include <algorithm>

#include "sim/plan.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

const Baseline& named(std::string_view name) {
  const auto found = std::ranges::find(baselines(), name, &Baseline::name);
  REQUIRE(found != baselines().end());
  return *found;
}

std::int64_t peak_of(const Dataflow& flow) {
  const auto live = keep_all_bytes(flow);
  return *std::max_element(live.begin(), live.end());
}

}  // namespace

TEST_CASE("baselines: every proposal for random programs is legal and computes the same") {
  int fitted = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const Trace t = random_program(seed, 40);
    const Dataflow flow = dataflow_of(t);
    const BruteVerdict truth = brute_force(t, CopyTime::latest);
    const std::int64_t local = peak_of(flow) - flow.persistent_bytes;
    const BaselineRequest request{
        .backward_begin = backward_begin_of(t, flow),
        .limit_bytes = peak_of(flow) - local * static_cast<int>(seed % 4) / 10};
    for (const Baseline& baseline : baselines()) {
      const BaselinePlan plan = best_of(baseline, flow, request);
      INFO("seed " << seed << " " << baseline.name);
      if (!plan.fits) continue;
      ++fitted;
      const Trace planned = apply_plan(t, decisions_of(flow, plan.schedule));
      CHECK(replay(planned).peak.bytes <= request.limit_bytes);
      CHECK(replay(planned).step_ns <= plan.figures.cost_ns);
      CHECK(judged_equal(planned, truth));
    }
  }
  CHECK(fitted > 100);
}

TEST_CASE("baselines: a legal schedule is proposed for every drawn chain") {
  const Trace t = tiny(chain_drawing(36));
  const Dataflow flow = dataflow_of(t);
  BaselineRequest request{.backward_begin = backward_begin_of(t, flow),
                          .limit_bytes = peak_of(flow)};
  for (const Baseline& baseline : baselines()) {
    const auto schedules = baseline.propose(flow, request);
    INFO(baseline.name);
    REQUIRE_FALSE(schedules.empty());
    for (const Schedule& schedule : schedules) CHECK(evaluate(flow, schedule).illegal.empty());
  }
}

TEST_CASE("baselines: about sqrt(n) checkpoints of a chain, each op once more at most") {
  const Trace t = tiny(chain_drawing(36));
  const Dataflow flow = dataflow_of(t);
  BaselineRequest request{.backward_begin = backward_begin_of(t, flow), .limit_bytes = 19 * 1024};
  for (const char* name : {"chen-sqrt", "chen-greedy"}) {
    const BaselinePlan plan = best_of(named(name), flow, request);
    INFO(name);
    REQUIRE(plan.fits);  // keep-all holds 38 values
    CHECK(plan.figures.cost_ns <= flow.compute_ns() + 36 * 10'000);
  }
}

TEST_CASE("baselines: revolve needs less memory than one level of checkpoints") {
  const Trace t = tiny(chain_drawing(64));
  const Dataflow flow = dataflow_of(t);
  const auto least = [&](const char* name) {
    std::int64_t bytes = peak_of(flow);
    BaselineRequest request{.backward_begin = backward_begin_of(t, flow), .limit_bytes = bytes};
    for (const Schedule& schedule : named(name).propose(flow, request)) {
      bytes = std::min(bytes, evaluate(flow, schedule).peak_bytes);
    }
    return bytes;
  };
  CHECK(least("revolve") < least("chen-sqrt"));
}

TEST_CASE("baselines: without a backward pass there is nothing to propose") {
  const Trace t = tiny("x=load a=gelu:x loss:a");
  const Dataflow flow = dataflow_of(t);
  for (const Baseline& baseline : baselines()) {
    CHECK_FALSE(best_of(baseline, flow, {backward_begin_of(t, flow), peak_of(flow)}).fits);
  }
}
