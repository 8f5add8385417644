#include "sim/placement.h"

#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

TEST_CASE("placement: nothing overlaps, nothing is lower than what lives") {
  for (std::uint64_t seed = 1; seed <= 80; ++seed) {
    const Trace source = random_program(seed, 40);
    Trace t = apply_plan(source, random_plan(source, seed, 10));
    const std::int64_t height = place_all(t);
    INFO("seed " << seed);
    CHECK(brute_force(t, CopyTime::latest).errors.empty());
    CHECK(check(t).empty());
    CHECK(height == placement_height(t));
    CHECK(height >= placement_bound(t));
    CHECK(placement_bound(t) == replay(t).run_peak.bytes);
  }
}

TEST_CASE("placement: an alignment beyond the granule is kept") {
  Trace t = tiny("x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,a update:d", 300);
  t.buffers[buffer_named(t, "a").index()].alignment_bytes = 4096;
  place_all(t);
  CHECK(t[buffer_named(t, "a")].offset_bytes % 4096 == 0);
  CHECK(check(t).empty());
}

TEST_CASE("placement: a chain that is freed as it goes needs no more than its peak") {
  Trace t = tiny(chain_drawing(12));
  CHECK(place_all(t) == placement_bound(t));
}

TEST_CASE("placement: an empty space has no height, the same trace the same offsets") {
  Trace t = build_program(default_run("gpt2-tiny"));
  CHECK(place(t, Space{SpaceKind::host_pinned, 0}) == 0);
  Trace again = t;
  CHECK(place_all(t) == place_all(again));
  CHECK(t == again);
}

TEST_CASE("placement: built-in models within 2 % of the bound") {
  for (const char* name : {"mlp", "gpt2-tiny", "gpt-small"}) {
    Trace t = build_program(default_run(name));
    INFO(name);
    CHECK(static_cast<double>(place_all(t)) <= 1.02 * static_cast<double>(placement_bound(t)));
  }
}
