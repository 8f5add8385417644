#include "sim/bound.h"

#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/schedule.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

struct Outcome {
  std::int64_t height = 0;
  std::int64_t step_ns = 0;
};

std::vector<Outcome> outcomes(const Trace& source) {
  std::vector<Outcome> all;
  for (const auto& plan : all_recompute_plans(source)) {
    Trace t = apply_plan(source, plan);
    const std::int64_t height = place_all(t);
    all.push_back({height, replay(t).step_ns});
  }
  return all;
}

constexpr const char* k_tiny_programs[] = {
    "x=load a=gelu:x@30 b=gelu:a@10 c=gelu:b@20 loss:c e=gelu_backward:c,b d=gelu_backward:e,a "
    "update:d",
    "x=load a=gelu:x@5 b=add:a,x@50 c=gelu:b@5 loss:c e=gelu_backward:c,b d=gelu_backward:e,a "
    "update:d",
    "x=load a=gelu:x b=scale:a@3 c=add:a,b@9 loss:c e=gelu_backward:c,b d=gelu_backward:e,a "
    "update:d",
};

SearchRequest only_recompute(std::int64_t budget_bytes) {
  SearchRequest request;
  request.allow_offload = false;
  request.budget_bytes = budget_bytes;
  return request;
}

}  // namespace

TEST_CASE("bounds: no recompute plan of a tiny program is below them") {
  for (const char* drawing : k_tiny_programs) {
    const Trace t = tiny(drawing);
    const std::vector<Outcome> all = outcomes(t);
    INFO(drawing << " plans " << all.size());
    REQUIRE(all.size() > 10);
    const std::int64_t bound = budget_bound(t).bound_bytes;
    const std::int64_t own_bound = budget_bound(t, only_recompute(0)).bound_bytes;
    CHECK(bound <= own_bound);
    for (const Outcome& o : all) {
      CHECK(o.height >= own_bound);
      const std::int64_t step = step_bound_ns(t, only_recompute(o.height));
      CHECK(step >= 0);
      CHECK(o.step_ns >= step);
    }
  }
}

TEST_CASE("bounds: random plans with offload do not beat them either") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Trace source = random_program(seed, 24);
    source.streams.push_back({"out", StreamKind::device_to_host, 2e8, 500});
    source.streams.push_back({"in", StreamKind::host_to_device, 2e8, 500});
    Trace t = apply_plan(source, random_plan(source, seed, 10));
    SearchRequest request;
    request.link_bytes_per_s = 2e8;
    request.link_latency_ns = 500;
    request.budget_bytes = place_all(t);
    INFO("seed " << seed);
    CHECK(request.budget_bytes >= budget_bound(source).bound_bytes);
    CHECK(replay(t).step_ns >= step_bound_ns(source, request));
  }
}

TEST_CASE("budget bound: names the op and its buffers") {
  // While d runs: c, b, d, the weight and the probe; a may be elsewhere.
  const Trace t = tiny(
      "x=load a=gelu:x b=gelu:a c=gelu:b loss:c d=gelu_backward:c,b e=gelu_backward:d,a update:e");
  const Infeasible bound = budget_bound(t);
  CHECK(t[bound.binding_op].name == "op_d");
  CHECK(bound.bound_bytes == 5 * 1024);
  std::vector<std::string> names;
  for (const BufferId id : bound.binding_buffers) names.push_back(t[id].name);
  CHECK(names == std::vector<std::string>{"w", "probe", "b", "c", "d"});
}

TEST_CASE("step bound: grows as the budget shrinks, and is keep-all when everything fits") {
  const Trace t = tiny(chain_drawing(8));
  const std::int64_t keep_all = replay(t).step_ns;
  CHECK(step_bound_ns(t, only_recompute(1 << 30)) == keep_all);
  std::int64_t last = keep_all;
  for (std::int64_t budget = 13 * 1024; budget >= 5 * 1024; budget -= 1024) {
    const std::int64_t bound = step_bound_ns(t, only_recompute(budget));
    if (bound < 0) break;
    CHECK(bound >= last);
    last = bound;
  }
  CHECK(last > keep_all);
  CHECK(step_bound_ns(t, only_recompute(256)) == -1);
}

TEST_CASE("step bound: values without bytes and ops without time are no obstacle") {
  // Nodes 0 to 2 are needed late; 1 is free and of no use, 2 is the cheap one to make again.
  const PlainGraph graph{.costs = {10, 0, 1, 0, 0, 0, 0},
                         .sizes = {4, 0, 4, 4, 1, 1, 1},
                         .edges = {{3, 4}, {1, 5}, {2, 5}, {4, 5}, {0, 6}, {5, 6}}};
  const Dataflow flow = dataflow_of(graph);
  Schedule schedule = keep_all_schedule(flow);
  CHECK(evaluate(flow, schedule).peak_bytes == 13);
  schedule.again[5] = {2};
  CHECK(evaluate(flow, schedule).peak_bytes == 10);
  CHECK(evaluate(flow, schedule).cost_ns == 12);
  CHECK(step_bound_ns(flow, 11) <= 12);
}
