#include "sim/eviction.h"

#include <algorithm>

#include "sim/builder.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/plan.h"
#include "sim/prefetch.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

std::int64_t peak_of(const Dataflow& flow) {
  const auto live = keep_all_bytes(flow);
  return *std::max_element(live.begin(), live.end());
}

/// A limit that asks for 5 to 40 % of what could leave at the peak.
std::int64_t tight(const Dataflow& flow, std::uint64_t seed) {
  const std::int64_t local = peak_of(flow) - flow.persistent_bytes;
  return peak_of(flow) - local * (5 + static_cast<int>(seed % 36)) / 100;
}

EvictionSettings limited(std::int64_t limit_bytes) {
  EvictionSettings settings;
  settings.limit_bytes = limit_bytes;
  return settings;
}

}  // namespace

TEST_CASE("eviction: nothing leaves when everything fits") {
  const Trace t = tiny(chain_drawing(6));
  const Dataflow flow = dataflow_of(t);
  const Eviction result = evict(flow, limited(peak_of(flow)));
  CHECK(result.fits);
  CHECK(result.decisions.empty());
  CHECK(result.extra_ns == 0);
}

TEST_CASE("eviction: the cheap value leaves, not the dear one") {
  // Forward needs x a b c at once; a costs 90 us to have back, b 1 us.
  const Trace t = tiny(
      "x=load a=gelu:x@90 b=gelu:a@1 c=gelu:b f=gelu:c loss:f e=gelu_backward:f,c "
      "g=gelu_backward:e,b h=gelu_backward:g,a i=gelu_backward:h,x update:i");
  const Dataflow flow = dataflow_of(t);
  const Eviction result = evict(flow, limited(peak_of(flow) - 1024));
  REQUIRE(result.fits);
  REQUIRE(result.decisions.size() == 1);
  CHECK(t[result.decisions[0].buffer].name == "b");
  CHECK(t[result.decisions[0].until].name == "op_g");
  CHECK(result.extra_ns == 1000);
}

TEST_CASE("eviction: plans keep the limit, the results and the predicted time") {
  int planned_programs = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Trace t = random_program(seed, 40);
    const Dataflow flow = dataflow_of(t);
    EvictionSettings settings = limited(tight(flow, seed));
    const Eviction result = evict(flow, settings);
    if (!result.fits) continue;
    ++planned_programs;
    INFO("seed " << seed << "\n" << print_plan(t, result.decisions));
    const Trace planned = apply_plan(t, result.decisions);
    const Timeline timeline = replay(planned);
    CHECK(timeline.peak.bytes <= settings.limit_bytes);
    CHECK(timeline.step_ns == replay(t).step_ns + result.extra_ns);
    CHECK(judged_equal(planned, brute_force(t, CopyTime::latest)));
  }
  CHECK(planned_programs > 50);
}

TEST_CASE("eviction: with offload too") {
  int moved = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Trace t = random_program(seed, 40);
    const Dataflow flow = dataflow_of(t);
    EvictionSettings settings = limited(tight(flow, seed));
    settings.allow_offload = true;
    settings.allow_recompute = seed % 2 == 0;
    settings.link_bytes_per_s = 1e9;
    const Eviction result = evict(flow, settings);
    if (!result.fits) continue;
    for (const Decision& d : result.decisions) moved += d.kind == DecisionKind::offload ? 1 : 0;
    INFO("seed " << seed << "\n" << print_plan(t, result.decisions));
    const Trace planned = apply_plan(t, result.decisions);
    CHECK(replay(planned).peak.bytes <= settings.limit_bytes);
    CHECK(judged_equal(planned, brute_force(t, CopyTime::latest)));
  }
  CHECK(moved > 100);
}

TEST_CASE("eviction: says where it got stuck") {
  const Trace t = tiny(chain_drawing(4));
  const Dataflow flow = dataflow_of(t);
  const Eviction result = evict(flow, limited(5 * 1024));
  CHECK_FALSE(result.fits);
  CHECK(result.stuck_at > 0);
}

TEST_CASE("prefetch: a fetch is issued as early as its copy needs and the room allows") {
  const Trace t = tiny(
      "x=load a=gelu:x b=gelu:a c=gelu:b f=gelu:c g=gelu:f loss:g "
      "h=gelu_backward:g,a update:h");
  const Dataflow flow = dataflow_of(t);
  Decision d;
  d.kind = DecisionKind::offload;
  d.buffer = buffer_named(t, "a");
  d.until = d.fetch_before = op_named(t, "op_h");
  d.release_before = op_named(t, "op_c");
  PlanProfile profile{.limit_bytes = 10 * 1024,
                      .clock_ns = {0, 10000, 20000, 30000, 40000, 50000, 60000, 70000, 80000},
                      .live_bytes = std::vector<std::int64_t>(9, 5 * 1024),
                      .link = {1024 / 25e-6, 0}};  // 25 us
  std::vector<Decision> plan{d};
  schedule_transfers(flow, profile, plan);
  CHECK(t[plan[0].fetch_before].name == "op_f");  // at 40 us; h is reached at 70 us
  profile.live_bytes[5] = 10 * 1024;              // no room while g is made
  plan = {d};
  schedule_transfers(flow, profile, plan);
  CHECK(t[plan[0].fetch_before].name == "op_loss");
}
