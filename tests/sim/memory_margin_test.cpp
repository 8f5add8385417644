#include "sim/memory_margin.h"

#include <cmath>

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

constexpr double k_gib = 1 << 30;

}  // namespace

TEST_CASE("memory margin: quantiles of the normal distribution as in any table") {
  CHECK(normal_quantile(0.5) == Approx(0).margin(1e-12));
  CHECK(normal_quantile(0.95) == Approx(1.6448536269514722));
  CHECK(normal_quantile(0.05) == Approx(-1.6448536269514722));
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054));
}

TEST_CASE("memory margin: communicators are counted by group, and bounded") {
  CHECK(communicators({}) == 0);
  const Layout four{.tensor = 8, .pipeline = 4, .data = 2, .expert = 2};
  CHECK(communicators(four) == 4);
  const MemoryMargin& margin = find_memory_margin("megatron");
  CHECK(memory_demand(k_gib, {}, margin).communicator_bytes == 0);
  CHECK(memory_demand(k_gib, {.data = 8}, margin).communicator_bytes == 1.6e9);
  CHECK(memory_demand(k_gib, four, margin).communicator_bytes == 6e9);
}

TEST_CASE("memory margin: the probability to fit falls from 1 to 0 around the expected bytes") {
  const MemoryDemand d = memory_demand(40 * k_gib, {.data = 8}, find_memory_margin("torchtitan"));
  CHECK(d.fits_probability(d.expected_bytes()) == Approx(0.5));
  CHECK(d.fits_probability(d.quantile_bytes(0.95)) == Approx(0.95));
  double before = 0;
  for (double gib = 20; gib < 80; gib += 5) {
    const double share = d.fits_probability(gib * k_gib);
    CHECK(share >= before);
    before = share;
  }
  CHECK(d.verdict(80 * k_gib) == Verdict::fits);
  CHECK(d.verdict(d.expected_bytes()) == Verdict::may_fit);
  CHECK(d.verdict(20 * k_gib) == Verdict::too_large);
  const Interval i = interval_90(k_gib, k_model_spread);
  CHECK(i.low * i.high == Approx(k_gib * k_gib));
}

TEST_CASE("memory margins name their sources, others are refused") {
  for (const MemoryMargin& m : memory_margins()) CHECK(!m.source.empty());
  CHECK_THROWS_AS(find_memory_margin("none"), InputError);
}
