// Experts on several ranks, executed by threads.
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// A heavy load-balancing loss, large steps and clipping: what differs a little shows after 5
/// steps.
RunConfig moe(DType dtype) {
  RunConfig config = default_run("moe-tiny");
  config.model.llama.kv_heads = 4;
  config.model.llama.balance_loss = 0.5;
  config.batch = 8;
  config.accumulation = 4;
  config.sequence = 32;
  config.dtype = dtype;
  config.optimizer.learning_rate = 0.01;
  config.optimizer.clip_norm = 0.5;
  return config;
}

double tolerance_of(DType dtype) {
  return dtype == DType::f64 ? 1e-11 : 1e-4;
}

}  // namespace

TEST_CASE("invariant 3: experts on 2 and 4 ranks take their memory and lose nothing but rounding") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    RunConfig config = moe(dtype);
    config.eval_every = 2;
    const Training training(config);
    for (const Layout& sizes : {Layout{.data = 2, .expert = 2}, Layout{.data = 4, .expert = 2},
                                Layout{.data = 4, .expert = 4}}) {
      for (const ShardStage states :
           {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
        const RankLayout layout{.sizes = sizes, .states = states};
        CAPTURE(to_text(layout), to_string(dtype));
        const RanksResult result =
            require_executed_as_planned(training, layout_placed(training.recorded, layout));
        require_rounded_results(training.recorded, result, tolerance_of(dtype));
      }
    }
  }
}

TEST_CASE("invariant 3: experts on ranks beside tensor, pipeline and hybrid sharding") {
  const Training training(moe(DType::f64));
  for (const RankLayout& layout :
       {RankLayout{.sizes = {.tensor = 2, .data = 2, .expert = 2}},
        RankLayout{.sizes = {.tensor = 2, .data = 2, .expert = 2}, .states = ShardStage::zero2},
        RankLayout{.sizes = {.pipeline = 2, .data = 2, .expert = 2}},
        RankLayout{.sizes = {.data = 4, .expert = 2, .shard = 2}, .states = ShardStage::zero1},
        RankLayout{.sizes = {.tensor = 2, .pipeline = 2, .data = 2, .expert = 2},
        .states = ShardStage::zero1}}) {
    CAPTURE(to_text(layout));
    const RanksResult result =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded_results(training.recorded, result, tolerance_of(DType::f64));
  }
}

TEST_CASE("ranks that take each other's experts have other results") {
  const Training training(moe(DType::f64));
  std::vector<Trace> planned =
      layout_placed(training.recorded, {.sizes = {.data = 2, .expert = 2}});
  int swapped = 0;
  for (Trace& rank : planned) {
    for (Buffer& buffer : rank.buffers) {
      if (!buffer.name.ends_with(".of_all.mine")) continue;
      buffer.storage_offset_bytes = buffer.size_bytes - buffer.storage_offset_bytes;
      ++swapped;
    }
  }
  REQUIRE(swapped > 0);
  const RanksResult wrong = execute_ranks(planned, options_for(training, 0));
  CHECK(wrong.ranks[0].trace.steps.back().loss !=
        Approx(training.recorded.steps.back().loss).epsilon(1e-6));
}
