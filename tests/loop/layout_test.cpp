// Meshes of ranks, executed by threads: the invariants of the README for every product of axes.
#include <algorithm>
#include <map>
#include <random>

#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Layout sizes(std::int64_t tensor, std::int64_t pipeline, std::int64_t data,
             std::int64_t shard = 0) {
  return {.tensor = tensor, .pipeline = pipeline, .data = data, .shard = shard};
}

}  // namespace

TEST_CASE("invariants 3, 4: pipelines of data ranks give the bits of one rank") {
  RunConfig config = default_run("llama-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.dropout = 0.1;
  config.eval_every = 2;
  const Training training(config);
  const Hashes expected =
      wholes_of(training.run(shard_placed(training.recorded, ShardStage::none, 2)[0], 0).trace);
  for (const ShardStage states :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    for (const PipelineSchedule schedule :
         {PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble}) {
      const RankLayout layout{.sizes = sizes(1, 2, 2), .states = states, .schedule = schedule};
      CAPTURE(to_text(layout));
      const RanksResult done =
          require_executed_as_planned(training, layout_placed(training.recorded, layout));
      require_rounded_results(training.recorded, done, 1e-6);
      std::size_t compared = 0;
      for (const RunResult& rank : done.ranks) {
        for (const auto& [key, hash] : wholes_of(rank.trace)) {
          const auto same = expected.find(key);
          REQUIRE(same != expected.end());
          CAPTURE(key.second);
          CHECK(hash == same->second);
          ++compared;
        }
      }
      CHECK((compared > 0) == (states != ShardStage::zero3));
    }
  }
}

TEST_CASE("invariant 3: meshes with tensor ranks take their memory and lose nothing but rounding") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    RunConfig config = default_run(model);
    config.batch = 4;
    config.accumulation = 4;
    config.eval_every = 2;
    config.optimizer.clip_norm = 0.5;
    config.dtype = DType::f64;  // so that rounding cannot hide a mistake
    const Training training(config);
    for (const RankLayout& layout :
         {RankLayout{.sizes = sizes(2, 1, 2), .states = ShardStage::zero1},
          RankLayout{.sizes = sizes(2, 2, 1)},
          RankLayout{.sizes = sizes(2, 2, 2), .states = ShardStage::data},
          RankLayout{.sizes = sizes(2, 2, 2),
          .states = ShardStage::zero2,
          .schedule = PipelineSchedule::zero_bubble},
          RankLayout{.sizes = sizes(2, 2, 2), .states = ShardStage::zero3}}) {
      CAPTURE(model, to_text(layout));
      const RanksResult done =
          require_executed_as_planned(training, layout_placed(training.recorded, layout));
      require_rounded_results(training.recorded, done, 1e-12);
    }
  }
}

TEST_CASE("invariant 3: hybrid sharding sums over sets, too") {
  RunConfig config = odd_mlp(4);
  config.dtype = DType::f64;
  const Training training(config);
  for (const ShardStage states : {ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    const RankLayout layout{.sizes = sizes(1, 1, 4, 2), .states = states};
    CAPTURE(to_text(layout));
    const RanksResult done =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded_results(training.recorded, done, 1e-12);
  }
}

TEST_CASE("property: random layouts of random small models agree with one rank") {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<std::int64_t> from) {
    return *(from.begin() + static_cast<std::ptrdiff_t>(random() % from.size()));
  };
  for (int round = 0; round < 12; ++round) {
    const char* const model = pick({0, 1}) == 0 ? "gpt2-tiny" : "llama-tiny";
    RunConfig config = pick({0, 1, 2}) == 0 ? odd_mlp(4) : default_run(model);
    config.batch = config.accumulation = pick({4, 8});
    config.dtype = DType::f64;
    config.optimizer.kind = pick({0, 1}) == 0 ? Optimizer::adamw : Optimizer::momentum;
    config.optimizer.clip_norm = pick({0, 1}) == 0 ? 0.5 : 0;
    const bool decoder = config.model.family != ModelFamily::mlp;
    RankLayout layout;
    layout.sizes.tensor = decoder ? pick({1, 2}) : 1;
    layout.sizes.pipeline = pick({1, 2});
    layout.sizes.data = pick({1, 2, 4});
    layout.states = static_cast<ShardStage>(
        pick({static_cast<int>(ShardStage::data), static_cast<int>(ShardStage::zero1),
              static_cast<int>(ShardStage::zero2), static_cast<int>(ShardStage::zero3)}));
    layout.schedule = static_cast<PipelineSchedule>(pick(
        {static_cast<int>(PipelineSchedule::gpipe), static_cast<int>(PipelineSchedule::one_f_one_b),
         static_cast<int>(PipelineSchedule::zero_bubble)}));
    if (layout.sizes.data == 4 && layout.states != ShardStage::data) {
      layout.sizes.shard = pick({0, 2});
    }
    CAPTURE(round, config.model.name, to_text(layout), config.accumulation);
    const Training training(config);
    const RanksResult done =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded_results(training.recorded, done, 1e-11);
  }
}
