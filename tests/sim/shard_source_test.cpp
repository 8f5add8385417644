#include "sim/shard_source.h"

#include "../catch.h"
#include "sim/shard.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("weights, gradients and states are found by their update") {
  const Trace source = build_program(odd_mlp(2, Optimizer::momentum));
  const ShardSource found = shard_source_of(source);
  REQUIRE(found.weights.size() == 6);
  CHECK(found.micro_batches == 2);
  const TrainedWeight& first = found.weights[0];
  CHECK(source[first.weight].name == "linear0.w");
  CHECK(source[first.gradient].name == "linear0.w.gradient");
  REQUIRE(first.states.size() == 1);
  CHECK(source[first.states[0]].name == "linear0.w.velocity");
  CHECK(first.elements == 15);
  CHECK(found.trained(found.state_of, first.states[0]) == &found.weights[0]);
  CHECK(found.trained(found.weight_of, first.gradient) == nullptr);
}

TEST_CASE("running statistics of batch norm are known, and what makes them") {
  const Trace source = build_program(default_run("resnet20"));
  const ShardSource found = shard_source_of(source);
  const auto norms = std::ranges::count(source.layers, "batch_norm", &Layer::kind);
  REQUIRE(norms > 0);
  CHECK(std::ssize(found.statistics) == 2 * norms);
  CHECK(source[found.statistics[0]].name == "stem.norm.running_mean");
  CHECK(std::ranges::count(found.init_of, -1) == 2 * norms);
}

TEST_CASE("a program that cannot be shared among ranks is refused with the reason") {
  const auto refused = [](const Trace& source, const std::string& part) {
    CHECK_THROWS_WITH(shard_source_of(source), Catch::Contains(part));
  };
  refused(Trace{}, "level 2");
  Trace of_two = build_program(odd_mlp(2));
  of_two = shard(of_two, ShardStage::zero1, 2)[0];
  refused(of_two, "the trace of one rank");
  Trace planned = build_program(odd_mlp(2));
  planned.decisions.push_back({});
  refused(planned, "shard first, then plan the ranks");
  RunConfig images = default_run("resnet20");
  images.accumulation = 2;
  Trace learnt = build_program(images);
  for (Op& op : learnt.ops) {
    if (op.kind == OpKind::batch_norm_update) op.kind = OpKind::foreign;
  }
  refused(learnt, "state that lives from one to the next");
  RunConfig inference = default_run("gpt2-tiny");
  set_inference(inference, 4, 4);
  refused(build_program(inference), "a body without updates of weights");
}
