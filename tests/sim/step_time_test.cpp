// Step times against hand-made sums and against what must hold for any strategy.
#include "sim/step_time.h"

#include <cmath>

#include "../catch.h"

using namespace tidemark;

namespace {

Machine plain_machine() {
  return {.flops_per_ns = 1000,
          .memory_bytes_per_ns = 1000,
          .host_link_bytes_per_ns = 10,
          .kernel_ns = 0,
          .topology = {.inside = {.latency_ns = 0, .bytes_per_ns = 100},
                       .between = {.latency_ns = 0, .bytes_per_ns = 10},
                       .node_ranks = 8}};
}

/// No host, no shares: nothing but the roofline.
Framework plain_framework() {
  Framework f;
  f.kernels.logit_bytes = 0;
  return f;
}

Strategy plain_strategy(const Transformer&) {
  Strategy s;
  s.recipe = find_recipe("megatron");
  s.kernels.attention = AttentionLowering::composite;
  s.batch = {.sequence = 2048, .micro_batch = 1, .micro_batches = 8};
  return s;
}

const Transformer& gpt() {
  return find_transformer("gpt3-175b")->model;
}

double total_ns(const Strategy& s, const Framework& f = plain_framework(),
                const Machine& machine = plain_machine()) {
  require_valid(gpt(), s);
  const StepTime t = TimeModel(gpt(), machine, f).step(s);
  CHECK(std::isfinite(t.total_ns()));
  return t.total_ns();
}

}  // namespace

TEST_CASE("a product is bound by its flops or by its operands") {
  const Machine machine = plain_machine();
  CHECK(product_ns({4096, 4096, 4096}, machine, {}) == Approx(2 * std::pow(4096.0, 3) / 1000));
  // 1 x 4096 by 4096 x 4096: reads the matrix.
  CHECK(product_ns({1, 4096, 4096}, machine, {}) == Approx(2 * (4096.0 * 4096 + 2 * 4096) / 1000));
  KernelShares half;
  half.half_inner = 64;
  CHECK(product_ns({4096, 4096, 64}, machine, half) ==
        Approx(2 * product_ns({4096, 4096, 64}, machine, {})));
  half = {};
  half.half_tiles = 32 * 32;
  CHECK(product_ns({4096, 4096, 4096}, machine, half) ==
        Approx(2 * product_ns({4096, 4096, 4096}, machine, {})));
}

TEST_CASE("groups that span nodes share the links of their nodes") {
  const Machine machine = plain_machine();
  const auto ns = [&](std::int64_t ranks, std::int64_t stride) {
    return group_ns(Collective::all_reduce, machine, {}, ranks, stride, 8e6);
  };
  CHECK(ns(1, 1) == 0);
  CHECK(ns(8, 1) == Approx(2 * 7.0 / 8 * 8e6 / 100));
  CHECK(ns(2, 8) == Approx(8e6 / 10));  // one rank in each of two nodes: n-1 of n, twice
  // Two of a node in each of two nodes.
  CHECK(ns(4, 4) == Approx(2 * 0.5 * 8e6 / 100 + 4e6 / 10));
  CHECK(ns(6, 1) < ns(12, 1));
  CHECK(std::isfinite(ns(9, 1)));
}

TEST_CASE("compute is all there is on one rank, and scales with the micro-batches") {
  Strategy s = plain_strategy(gpt());
  const StepTime t = TimeModel(gpt(), plain_machine(), plain_framework()).step(s);
  CHECK(t.compute_ns > model_flops(gpt(), s) / 1000);
  CHECK(t.compute_ns < 1.2 * model_flops(gpt(), s) / 1000);
  CHECK(t.total_ns() == Approx(t.compute_ns + t.optimizer_ns));
  s.batch.micro_batches = 16;
  const StepTime twice = TimeModel(gpt(), plain_machine(), plain_framework()).step(s);
  CHECK(twice.compute_ns == Approx(2 * t.compute_ns));
  CHECK(twice.optimizer_ns == t.optimizer_ns);
}

TEST_CASE("recomputation costs about a third of forward and backward, selective much less") {
  Strategy s = plain_strategy(gpt());
  const double none = total_ns(s);
  s.recompute = {Recompute::attention_core};
  const double core = total_ns(s);
  s.recompute = {Recompute::full};
  const double full = total_ns(s);
  CHECK(full / none == Approx(1.33).margin(0.03));
  CHECK(core > none);
  CHECK(core < 1.1 * none);
}

TEST_CASE("a pipeline waits, more micro-batches hide it, and interleaving too") {
  Strategy s = plain_strategy(gpt());
  s.layout.pipeline = 8;
  const TimeModel model(gpt(), plain_machine(), plain_framework());
  const StepTime few = model.step(s);
  const double share = few.bubble_ns / (few.total_ns() - few.optimizer_ns);
  CHECK(share == Approx(7.0 / 15).margin(0.03));  // (p-1)/(m+p-1)
  s.batch.micro_batches = 64;
  CHECK(model.step(s).bubble_ns / model.step(s).total_ns() < 0.13);
  s.batch.micro_batches = 8;
  s.layout.virtual_stages = 3;
  s.schedule = PipelineSchedule::interleaved;
  CHECK(model.step(s).bubble_ns < 0.5 * few.bubble_ns);
}

TEST_CASE("slow hosts, links and memories cost time, and never save any") {
  Strategy s = plain_strategy(gpt());
  s.layout = {.tensor = 8, .pipeline = 4, .data = 4};
  const double base = total_ns(s);
  Framework f = plain_framework();
  f.host.layer_ns = 1e9;
  CHECK(total_ns(s, f) > 1e9 * 24 * 8);
  f = plain_framework();
  f.collectives.launch_ns = 1e6;
  CHECK(total_ns(s, f) > base);
  Machine slow = plain_machine();
  slow.topology.between.bytes_per_ns = 1;
  CHECK(total_ns(s, plain_framework(), slow) > base);
  s.kept_on_host = true;
  CHECK(total_ns(s) >= base);  // hidden
  slow = plain_machine();
  slow.host_link_bytes_per_ns = 0.1;
  CHECK(total_ns(s, plain_framework(), slow) > base);
  s.kept_on_host = false;
  s.recipe.master.on_host = s.recipe.moments.on_host = true;
  CHECK(total_ns(s) > base);
}

TEST_CASE("gradients that are reduced during backward wait for nothing") {
  Strategy s = plain_strategy(gpt());
  s.layout = {.tensor = 8, .data = 2};
  Framework f = plain_framework();
  const double after = total_ns(s, f);
  f.collectives.overlaps_gradients = true;
  CHECK(total_ns(s, f) < after);
}

TEST_CASE("sharded parameters are gathered behind the kernels, or wait for a slow link") {
  Strategy s = plain_strategy(gpt());
  s.recipe = find_recipe("zero3");
  s.layout.data = 64;
  Machine fast = plain_machine();
  fast.topology.between.bytes_per_ns = 1e6;
  fast.topology.inside.bytes_per_ns = 1e6;
  const TimeModel quick(gpt(), fast, plain_framework());
  CHECK(quick.step(s).gathers_ns == 0);
  Machine slow = plain_machine();
  slow.topology.between.bytes_per_ns = 0.01;
  CHECK(TimeModel(gpt(), slow, plain_framework()).step(s).gathers_ns > 0);
}

TEST_CASE("hybrid sharding gathers within its groups, and adds up gradients over them") {
  Strategy s = plain_strategy(gpt());
  s.recipe = find_recipe("zero3");
  s.layout.data = 64;
  Machine machine = plain_machine();
  machine.topology.between.bytes_per_ns = 0.001;
  const TimeModel model(gpt(), machine, plain_framework());
  const StepTime whole = model.step(s);
  CHECK(whole.gradients_ns == 0);
  s.layout.shard = 8;  // one node
  const StepTime hybrid = model.step(s);
  CHECK(hybrid.gathers_ns < whole.gathers_ns);
  CHECK(hybrid.gradients_ns > 0);
}

TEST_CASE("the utilization of Korthikanti table 5 follows from its time") {
  Strategy s = plain_strategy(gpt());
  s.layout = {.tensor = 8, .pipeline = 8};
  s.batch.micro_batches = 64;
  // 13.75 s on 64 A100: 51.4 %.
  CHECK(100 * model_flops_utilization(gpt(), s, find_device("a100-80g"), 13.75e9) ==
        Approx(51.4).margin(0.1));
}
