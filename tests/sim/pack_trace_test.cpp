// The buffers of a trace as a packing problem: who, how large, how long.
#include "sim/pack_trace.h"

#include "sim/allocator_replay.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/report/two_layers.h"

using namespace tidemark;

TEST_CASE("pack a trace: recorded buffers count as in the peak, whatever the allocator set aside") {
  Trace t = test::two_layers();
  for (Event& e : t.events) {
    if (e.kind == EventKind::alloc) e.size_bytes = 4096;  // as an allocator that rounds up
  }
  const SpaceProblem problem = pack_problem_of(t, {});
  REQUIRE(problem.blocks.size() == 3);
  CHECK(problem.blocks[0].size_bytes == 1024);
  CHECK(problem.blocks[2].size_bytes == 512);
  CHECK(pack_bound(problem.blocks) == timeline_of(t).run_peak.bytes);
  CHECK(pack_problem_of(t, Space{SpaceKind::host_pinned, 0}).blocks.empty());
}

TEST_CASE("pack a trace: the static plan is the packing") {
  const Trace t = test::two_layers();
  const PackResult plan = static_plan(t);
  CHECK(plan.state == PackState::fits);
  CHECK(plan.packing.height_bytes == pack(pack_problem_of(t, {}).blocks).packing.height_bytes);
  CHECK(plan.packing.height_bytes == 2048);
  CHECK(reserved_peak_bytes(t, AllocatorKind::static_plan, {}) == 2048);
}
