// What is decided about a value before the walk of the eviction: keep, recompute, offload.
#include <algorithm>

#include "sim/baselines.h"
#include "sim/eviction.h"
#include "sim/plan.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

constexpr std::int64_t k_no_limit = std::int64_t{1} << 50;

EvictionSettings with_fates(const Trace& trace, const Dataflow& flow, Fate fate) {
  EvictionSettings settings;
  settings.limit_bytes = k_no_limit;
  settings.fates.assign(trace.buffers.size(), fate);
  settings.across = backward_begin_of(trace, flow);
  settings.link_bytes_per_s = 1e9;
  return settings;
}

}  // namespace

TEST_CASE("fates: recompute leaves although there is room, and although nothing is allowed") {
  const Trace t = tiny(chain_drawing(5));
  const Dataflow flow = dataflow_of(t);
  EvictionSettings settings = with_fates(t, flow, Fate::recompute);
  settings.allow_recompute = false;
  const Eviction result = evict(flow, settings);
  REQUIRE(result.fits);
  CHECK(result.decisions.size() >= 3);
  for (const Decision& d : result.decisions) CHECK(d.kind == DecisionKind::recompute);
  CHECK(result.extra_ns > 0);
}

TEST_CASE("fates: of a layer kept nothing leaves, however small the limit") {
  const Trace t = tiny(chain_drawing(8));
  const Dataflow flow = dataflow_of(t);
  EvictionSettings settings = with_fates(t, flow, Fate::open);
  const BufferId kept = buffer_named(t, "v2");
  settings.fates[kept.index()] = Fate::keep;
  settings.allow_offload = true;
  const auto live = keep_all_bytes(flow);
  const std::int64_t peak = *std::max_element(live.begin(), live.end());
  int fitted = 0;
  for (std::int64_t limit = peak; limit > peak / 3; limit -= 256) {
    settings.limit_bytes = limit;
    const Eviction result = evict(flow, settings);
    fitted += result.fits ? 1 : 0;
    for (const Decision& d : result.decisions) CHECK(d.buffer != kept);
  }
  CHECK(fitted > 1);
}

TEST_CASE("fates: any mixture is a legal plan that changes no result") {
  int moved = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Trace t = random_program(seed, 40);
    const Dataflow flow = dataflow_of(t);
    const BruteVerdict truth = brute_force(t, CopyTime::earliest);
    EvictionSettings settings = with_fates(t, flow, Fate::open);
    for (std::size_t row = 0; row < settings.fates.size(); ++row) {
      settings.fates[row] = static_cast<Fate>((row * 7 + seed) % 4);
    }
    const Eviction result = evict(flow, settings);
    CAPTURE(seed);
    REQUIRE(result.fits);
    for (const Decision& d : result.decisions) {
      const Fate fate = settings.fates[d.buffer.index()];
      // What backward does not need itself may be made again as an input of something else.
      const bool held = flow[d.buffer].last_use() >= settings.across;
      const bool offloaded = d.kind == DecisionKind::offload;
      if (offloaded) CHECK(fate == Fate::offload);
      if (!offloaded && held) CHECK(fate == Fate::recompute);
    }
    moved += static_cast<int>(result.decisions.size());
    CHECK(judged_equal(apply_plan(t, result.decisions), truth));
  }
  CHECK(moved > 40);
}
