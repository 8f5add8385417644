#include "sim/reserved_search.h"

#include "sim/allocator_replay.h"
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

Trace transformer() {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 64;  // values of some MiB, so that segments of 2 and 20 MiB are not all
  Trace t = build_program(config);
  fill_modelled_times(find_device("a100-80g"), t);
  return t;
}

SearchRequest request_for(std::int64_t budget_bytes) {
  SearchRequest request;
  request.budget_bytes = budget_bytes;
  request.method = "greedy";
  request.allow_offload = false;
  request.nodes = 60;
  return request;
}

}  // namespace

TEST_CASE("reserved search: what the allocator reserves fits, where the plain plan does not") {
  const Trace t = transformer();
  for (const AllocatorKind kind : {AllocatorKind::pytorch, AllocatorKind::cuda_async}) {
    const std::int64_t all = reserved_peak_bytes(t, kind, {});
    const SearchRequest request = request_for(all * 7 / 10);
    const ReservedResult result = search_reserved(t, request, kind, {});
    REQUIRE(result.search.feasible);
    const Trace& planned = result.search.planned;
    CHECK(check(planned).empty());
    CHECK(result.reserved_bytes == reserved_peak_bytes(planned, kind, {}));
    CHECK(result.reserved_bytes <= request.budget_bytes);
    CHECK(planned.plan.budget_bytes == request.budget_bytes);
    CHECK(planned.plan.step_ns >= planned.plan.bound_step_ns);
    // Never faster than the plan that only has to fit by itself.
    const SearchResult plain = search(t, request);
    REQUIRE(plain.feasible);
    CHECK(planned.plan.step_ns >= plain.planned.plan.step_ns);
  }
}

TEST_CASE("reserved search: no plan is a result") {
  const Trace t = transformer();
  const ReservedResult result =
      search_reserved(t, request_for(1 << 20), AllocatorKind::pytorch, {});
  CHECK_FALSE(result.search.feasible);
  CHECK(result.reserved_bytes == 0);
  CHECK(result.search.infeasible.bound_bytes > 1 << 20);
}
