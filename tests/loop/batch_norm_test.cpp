// Data parallel models with batch norm, executed by threads: batches have their own statistics on
// every rank, and all ranks keep the running statistics of the first.
#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/training.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RunConfig small_resnet() {
  RunConfig config = default_run("resnet20");
  config.model.image.blocks = 1;
  config.batch = 8;
  config.accumulation = 4;
  config.eval_every = 2;
  config.optimizer.clip_norm = 1;
  return config;
}

}  // namespace

TEST_CASE("invariants 3, 4: every stage of sharding of a model with batch norm") {
  const Training training(small_resnet());
  RunOptions options;
  options.steps = k_steps;
  options.data = &training.data;
  options.poison = true;
  for (const std::int32_t ranks : {2, 4}) {
    const Trace alone =
        training.run(shard_placed(training.recorded, ShardStage::none, ranks)[0], 0).trace;
    for (const ShardStage stage :
         {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
      CAPTURE(ranks, to_string(stage));
      const std::vector<Trace> planned = shard_placed(training.recorded, stage, ranks);
      options.device_memory_bytes = planned[0].plan.height_bytes;
      const RanksResult result = execute_ranks(planned, options);
      REQUIRE(result.ended_by == -1);
      for (std::size_t rank = 0; rank < planned.size(); ++rank) {
        const Trace& measured = result.ranks[rank].trace;
        CHECK(compare(planned[rank], measured).peak_error_bytes == 0);
        const Comparison c = compare(alone, measured);
        CHECK(c.first_difference.empty());
        CHECK(c.compared_steps == k_steps);
        CHECK(c.compared_digests > 0);  // of running statistics in zero3, too
        for (std::size_t step = 0; step < alone.steps.size(); ++step) {
          CHECK(measured.steps[step].eval_loss == alone.steps[step].eval_loss);
        }
      }
    }
  }
}

TEST_CASE("the running statistics are those of the first rank's batches alone") {
  const Training training(small_resnet());
  const auto statistic = [](const Trace& trace) {
    std::int64_t hash = 0;
    for (const Digest& d : trace.digests) {
      if (trace[d.buffer].name == "stem.norm.running_mean") hash = d.hash;
    }
    REQUIRE(hash != 0);
    return hash;
  };
  const auto alone = [&](std::int32_t ranks) {
    return training.run(shard_placed(training.recorded, ShardStage::none, ranks)[0], 0).trace;
  };
  CHECK(statistic(alone(1)) == statistic(training.recorded));
  CHECK(statistic(alone(2)) != statistic(training.recorded));
}
