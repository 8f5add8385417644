#include "sim/search.h"

#include <algorithm>
#include <limits>

#include "sim/bound.h"
#include "sim/builder.h"
#include "sim/check.h"
#include "sim/config.h"
#include "sim/device.h"
#include "sim/milp.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/brute_force.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

SearchRequest request_for(const char* method, std::int64_t budget_bytes) {
  SearchRequest request;
  request.method = method;
  request.budget_bytes = budget_bytes;
  request.allow_offload = false;
  return request;
}

/// A transformer small enough for tests, shaped like the real thing.
Trace transformer(std::int64_t layers = 12) {
  RunConfig config = default_run("gpt2-tiny");
  config.model.gpt2.layers = layers;
  Trace t = build_program(config);
  fill_modelled_times(find_device("a100-80g"), t);
  return t;
}

std::int64_t peak_of(const Trace& t) {
  return replay(t).peak.bytes;
}

}  // namespace

TEST_CASE("search: a sweep names the budget of every row, with a plan and without") {
  const Trace t = tiny(chain_drawing(6));
  SearchRequest request;
  request.nodes = 5;
  const std::vector<SearchResult> rows = sweep(t, request, 1024, 1 << 20, 3);
  REQUIRE(rows.size() == 3);
  CHECK_FALSE(rows.front().feasible);
  CHECK(rows.front().budget_bytes == 1024);
  CHECK(rows.back().feasible);
  CHECK(rows.back().budget_bytes == 1 << 20);
}

TEST_CASE("search: every plan fits, is legal, computes the same and is not below its bound") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const Trace t = random_program(seed, 30);
    SearchRequest request = request_for("auto", peak_of(t) * 85 / 100);
    request.nodes = 60;
    request.allow_offload = seed % 2 == 0;
    request.link_bytes_per_s = 1e9;
    const SearchResult result = search(t, request);
    INFO("seed " << seed);
    CHECK(result.infeasible.smallest_found_bytes >= result.infeasible.bound_bytes);
    if (!result.feasible) continue;
    const Trace& planned = result.planned;
    CHECK(placement_height(planned) == planned.plan.height_bytes);
    CHECK(planned.plan.height_bytes <= request.budget_bytes);
    CHECK(planned.plan.peak_bytes <= planned.plan.height_bytes);
    CHECK(planned.plan.step_ns == replay(planned).step_ns);
    CHECK(planned.plan.step_ns >= planned.plan.bound_step_ns);
    CHECK(planned.plan.keep_all_step_ns == replay(t).step_ns);
    CHECK(check(planned).empty());
    CHECK(judged_equal(planned, brute_force(t, CopyTime::latest)));
  }
}

TEST_CASE("search: greedy finds the optimum of tiny programs at every budget") {
  for (const char* drawing : {"x=load a=gelu:x@30 b=gelu:a@10 c=gelu:b@20 loss:c "
                              "e=gelu_backward:c,b d=gelu_backward:e,a update:d",
                              "x=load a=gelu:x@5 b=add:a,x@50 c=gelu:b@7 loss:c "
                              "e=gelu_backward:c,b d=gelu_backward:e,a update:d",
                              "x=load a=gelu:x@9 b=gelu:a@8 c=add:b,a@7 loss:c e=gelu_backward:c,c "
                              "d=gelu_backward:e,a update:d"}) {
    const Trace t = tiny(drawing);
    std::vector<std::pair<std::int64_t, std::int64_t>> all;  // height, step
    for (const auto& plan : all_recompute_plans(t)) {
      Trace planned = apply_plan(t, plan);
      const std::int64_t height = place_all(planned);
      all.emplace_back(height, replay(planned).step_ns);
    }
    for (std::int64_t budget = 4 * 1024; budget <= 9 * 1024; budget += 512) {
      std::int64_t optimum = -1;
      for (const auto& [height, step_ns] : all) {
        if (height <= budget && (optimum < 0 || step_ns < optimum)) optimum = step_ns;
      }
      const SearchResult result = search(t, request_for("greedy", budget));
      INFO(drawing << " budget " << budget);
      CHECK(result.feasible == (optimum >= 0));
      if (result.feasible) CHECK(result.planned.plan.step_ns == optimum);
      if (result.proven_infeasible) CHECK(optimum < 0);
    }
  }
}

TEST_CASE("search: exact finds the optimum of small programs, with its proof") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  int proven = 0;
  int feasible = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const Trace t = random_program(seed, 18);
    const std::int64_t budget = peak_of(t) * 95 / 100;
    const SearchResult exact = search(t, request_for("exact", budget));
    INFO("seed " << seed);
    if (!exact.feasible) continue;
    const SearchResult any = search(t, request_for("anneal", budget));
    REQUIRE(any.feasible);
    ++feasible;
    CHECK(check(exact.planned).empty());
    const PlanRecord& plan = exact.planned.plan;
    CHECK(plan.height_bytes <= budget);
    CHECK(plan.step_ns >= plan.bound_step_ns);
    CHECK(any.planned.plan.step_ns >= plan.bound_step_ns);
    proven += plan.step_ns == plan.bound_step_ns ? 1 : 0;
  }
  CHECK(feasible >= 4);
  CHECK(proven > feasible / 2);
}

TEST_CASE("search: exact refuses what is too large, in one line") {
  if (!milp_available()) {
    WARN("skipped: built without a solver");
    return;
  }
  const Trace t = transformer(4);
  try {
    static_cast<void>(search(t, request_for("exact", peak_of(t) * 35 / 100)));
    FAIL("not refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    CHECK(message.find("too large") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("search: at half the peak of a transformer greedy beats chen-sqrt") {
  const Trace t = transformer();
  const std::int64_t budget = peak_of(t) / 2;
  const SearchResult chen = search(t, request_for("chen-sqrt", budget));
  const SearchResult greedy = search(t, request_for("greedy", budget));
  REQUIRE(chen.feasible);
  REQUIRE(greedy.feasible);
  CHECK(greedy.planned.plan.step_ns < chen.planned.plan.step_ns);
}

TEST_CASE("search: a joint plan is not worse than either way alone") {
  const Trace t = transformer();
  SearchRequest request = request_for("auto", peak_of(t) * 55 / 100);
  request.allow_offload = true;
  request.link_bytes_per_s = 2e10;
  request.nodes = 120;
  const SearchResult joint = search(t, request);
  REQUIRE(joint.feasible);
  for (const char* method : {"greedy", "offload"}) {
    request.method = method;
    const SearchResult alone = search(t, request);
    INFO(method);
    if (alone.feasible) CHECK(joint.planned.plan.step_ns <= alone.planned.plan.step_ns);
  }
}

TEST_CASE("search: the same input gives the same plan") {
  const Trace t = transformer();
  const SearchRequest request = request_for("greedy", peak_of(t) * 6 / 10);
  const SearchResult a = search(t, request);
  const SearchResult b = search(t, request);
  CHECK(a.planned == b.planned);
  CHECK(a.tried == b.tried);
  CHECK(a.reproducible);
}

TEST_CASE("search: an impossible budget is explained, and the smallest found is found again") {
  const Trace t = tiny(chain_drawing(16));
  const SearchResult none = search(t, request_for("greedy", 1024));
  CHECK_FALSE(none.feasible);
  CHECK(none.proven_infeasible);
  CHECK(none.infeasible.bound_bytes > 1024);
  CHECK(none.infeasible.binding_op.valid());
  CHECK_FALSE(none.infeasible.binding_buffers.empty());
  const std::int64_t smallest = none.infeasible.smallest_found_bytes;
  CHECK(smallest < peak_of(t));
  CHECK(search(t, request_for("greedy", smallest)).feasible);
}

TEST_CASE("search: each method by name says the smallest budget it reaches, and reaches it again") {
  const Trace t = transformer();
  for (const char* method : {"chen-sqrt", "chen-greedy", "revolve", "rotor", "min-cut", "dtr",
                             "dtr-eq", "dtr-local", "msps", "lru", "size"}) {
    INFO(method);
    const SearchResult none = search(t, request_for(method, 1024));
    CHECK_FALSE(none.feasible);
    const std::int64_t smallest = none.infeasible.smallest_found_bytes;
    CHECK(smallest < peak_of(t));
    const SearchResult again = search(t, request_for(method, smallest));
    REQUIRE(again.feasible);
    CHECK(again.method == method);
    CHECK(again.planned.plan.height_bytes == smallest);
  }
}

TEST_CASE("search: the caller can stop it") {
  const Trace t = transformer();
  SearchRequest request = request_for("greedy", peak_of(t) / 2);
  int calls = 0;
  request.progress = [&](const SearchProgress&) { return ++calls < 5; };
  const SearchResult result = search(t, request);
  CHECK(calls == 5);
  CHECK_FALSE(result.reproducible);
}

TEST_CASE("search: wrong requests are refused") {
  Trace t = tiny("x=load a=gelu:x loss:a");
  CHECK_THROWS_WITH(search(t, request_for("best", 1)), Catch::Contains("chen-sqrt"));
  t.meta.level = 1;
  CHECK_THROWS_AS(search(t, request_for("auto", 1)), InputError);
}

TEST_CASE("sweep: a smaller budget never yields a faster plan") {
  const Trace t = transformer();
  SearchRequest request = request_for("greedy", 0);
  request.nodes = 16;
  const auto results = sweep(t, request, peak_of(t) * 35 / 100, peak_of(t), 8);
  REQUIRE(results.size() == 8);
  for (std::size_t i = 0; i + 1 < results.size(); ++i) {
    if (!results[i].feasible) continue;
    REQUIRE(results[i + 1].feasible);
    CHECK(results[i + 1].planned.plan.step_ns <= results[i].planned.plan.step_ns);
    CHECK(results[i].planned.plan.height_bytes <= results[i].planned.plan.budget_bytes);
  }
  CHECK(results.back().feasible);
}

TEST_CASE("search: a small ResNet is planned where only the lowest placements fit") {
  RunConfig config = default_run("resnet20");
  config.batch = 2;
  Trace t = build_program(config);
  fill_modelled_times(find_device("laptop-core"), t);
  SearchRequest request = request_for("offload", peak_of(t) * 6 / 10);
  request.allow_offload = true;
  request.link_bytes_per_s = 1e10;
  const SearchResult result = search(t, request);
  REQUIRE(result.feasible);
  CHECK(placement_height(result.planned) <= request.budget_bytes);
  CHECK(check(result.planned).empty());
}

TEST_CASE("sweep: a large body, with what is remembered from budget to budget") {
  RunConfig config = default_run("gpt2-tiny");
  config.model.gpt2.layers = 80;
  Trace t = build_program(config);
  fill_modelled_times(find_device("a100-80g"), t);
  SearchRequest request = request_for("auto", 0);
  request.allow_offload = true;
  request.link_bytes_per_s = find_device("a100-80g").host_link_bytes_per_s;
  const auto results = sweep(t, request, peak_of(t) / 2, peak_of(t), 4);
  std::int64_t before_ns = std::numeric_limits<std::int64_t>::max();
  for (const SearchResult& r : results) {
    REQUIRE(r.feasible);
    const PlanRecord& plan = r.planned.plan;
    CHECK(check(r.planned).empty());
    CHECK(placement_height(r.planned) == plan.height_bytes);
    CHECK(plan.height_bytes <= plan.budget_bytes);
    CHECK(plan.step_ns >= plan.bound_step_ns);
    CHECK(plan.step_ns == replay(r.planned).step_ns);
    CHECK(plan.step_ns <= before_ns);
    before_ns = plan.step_ns;
  }
}
