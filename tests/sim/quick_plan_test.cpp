// Plans made while somebody drags a slider: they fit, they are legal, they change no result.
#include "sim/quick_plan.h"

#include <algorithm>

#include "sim/builder.h"
#include "sim/check.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/search.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

Trace timed(RunConfig config) {
  Trace trace = build_program(config);
  fill_modelled_times(find_device("laptop-core"), trace);
  return trace;
}

const CopyLink k_link{.bytes_per_s = 1e10, .latency_ns = 500};

}  // namespace

TEST_CASE("quick plan: with room for everything nothing is decided") {
  QuickPlanner planner(timed(default_run("gpt2-tiny")), k_link);
  EvictionSettings settings;
  settings.allow_offload = true;
  const QuickPlan plan = planner.plan(2 * planner.keep_all_peak_bytes(), settings);
  CHECK(plan.fits);
  CHECK(plan.planned.decisions.empty());
  CHECK(plan.planned.plan.step_ns == planner.keep_all_step_ns());
  CHECK(plan.planned.plan.peak_bytes == planner.keep_all_peak_bytes());
}

TEST_CASE("quick plan: what is said to fit fits, and is legal") {
  QuickPlanner planner(timed(default_run("gpt2-tiny")), k_link);
  EvictionSettings settings;
  settings.allow_offload = true;
  int fitted = 0;
  // Up and down, as a hand drags: what was learnt from one budget must not spoil the next.
  for (const int percent : {95, 80, 60, 50, 45, 70, 99, 62, 90, 20}) {
    CAPTURE(percent);
    const std::int64_t budget = planner.keep_all_peak_bytes() * percent / 100;
    const QuickPlan plan = planner.plan(budget, settings);
    const Trace& planned = plan.planned;
    CHECK(check(planned).empty());
    CHECK(plan.fits == (planned.plan.height_bytes <= budget));
    CHECK(planned.plan.height_bytes == placement_height(planned));
    CHECK(planned.plan.peak_bytes == replay(planned).peak.bytes);
    CHECK(planned.plan.step_ns >= planner.keep_all_step_ns());
    fitted += plan.fits ? 1 : 0;
    if (percent == 20) CHECK_FALSE(plan.fits);  // weights and state alone are more
  }
  CHECK(fitted >= 7);
}

TEST_CASE("quick plan: never faster than the proof of the search, and not far behind its plan") {
  const Trace source = timed(default_run("gpt2-tiny"));
  QuickPlanner planner(source, k_link);
  for (const int percent : {80, 60}) {
    SearchRequest request;
    request.method = "joint";
    request.budget_bytes = planner.keep_all_peak_bytes() * percent / 100;
    request.link_bytes_per_s = k_link.bytes_per_s;
    request.link_latency_ns = k_link.latency_ns;
    const SearchResult found = search(source, request);
    REQUIRE(found.feasible);
    EvictionSettings settings;
    settings.allow_offload = true;
    const QuickPlan plan = planner.plan(request.budget_bytes, settings);
    REQUIRE(plan.fits);
    CHECK(plan.planned.plan.step_ns >= found.planned.plan.bound_step_ns);
    CHECK(plan.planned.plan.step_ns <= found.planned.plan.step_ns * 5 / 4);
  }
}

TEST_CASE("quick plan: random programs keep their results at every budget and fate") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Trace source = random_program(seed, 30);
    const BruteVerdict truth = brute_force(source, CopyTime::earliest);
    QuickPlanner planner(source, k_link);
    for (const int percent : {90, 70, 50}) {
      EvictionSettings settings;
      settings.allow_offload = percent != 70;
      settings.fates.resize(source.buffers.size());
      for (std::size_t row = 0; row < settings.fates.size(); ++row) {
        settings.fates[row] = static_cast<Fate>((row * 5 + seed) % 7 < 4 ? 0 : (row + seed) % 4);
      }
      CAPTURE(seed, percent);
      const QuickPlan plan = planner.plan(planner.keep_all_peak_bytes() * percent / 100, settings);
      CHECK(check(plan.planned).empty());
      CHECK(judged_equal(plan.planned, truth));
    }
  }
}

TEST_CASE("quick plan: without a link nothing is moved") {
  QuickPlanner planner(timed(default_run("gpt2-tiny")), {});
  EvictionSettings settings;
  settings.allow_offload = true;
  const QuickPlan plan = planner.plan(planner.keep_all_peak_bytes() * 7 / 10, settings);
  for (const Decision& d : plan.planned.decisions) CHECK(d.kind == DecisionKind::recompute);
  CHECK(std::ranges::count_if(plan.planned.ops,
                              [](const Op& op) { return op.kind == OpKind::copy; }) == 0);
}
