// Steps whose tokens are spread over ranks, by themselves and with every other axis, executed by
// threads.
#include "sim/check.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// Of sums in another order, after k_steps steps.
double tolerance_of(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : 1e-6;
}

/// Every kind of dropout that a layout allows, so that a mask in the wrong place is seen.
RunConfig small_decoder(const char* model, const RankLayout& layout) {
  RunConfig config = default_run(model);
  config.model.llama.kv_heads = 4;
  config.batch = 4;
  config.accumulation = 2;
  config.eval_every = 2;
  config.dropout = 0.1;
  config.attention_dropout = layout.sizes.tensor > 1 ? 0 : 0.1;
  config.optimizer.clip_norm = 0.5;
  config.dtype = DType::f64;
  return config;
}

void require_trained_alike(const RunConfig& config, const RankLayout& layout) {
  CAPTURE(config.model.name, to_text(layout), to_string(config.attention));
  const Training training(config);
  const std::vector<Trace> planned = layout_placed(training.recorded, layout);
  const std::vector<Finding> findings = check_ranks(planned);
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
  const RanksResult done = require_executed_as_planned(training, planned);
  require_rounded_results(training.recorded, done, tolerance_of(config.dtype));
}

RankLayout sequence_parallel(std::int64_t tensor) {
  return {.sizes = {.tensor = tensor, .sequence_parallel = true}};
}

RankLayout context_parallel(std::int64_t context) {
  return {.sizes = {.context = context}};
}

}  // namespace

TEST_CASE("invariant 3: sequence parallel decoders lose nothing but rounding, dropout included") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    for (const std::int64_t ranks : {2, 4}) {
      const RankLayout layout = sequence_parallel(ranks);
      RunConfig config = small_decoder(model, layout);
      config.attention = ranks == 2 ? AttentionLowering::composite : AttentionLowering::flash;
      require_trained_alike(config, layout);
      config.dtype = DType::f32;
      require_trained_alike(config, layout);
    }
    // A rank may have a part of one sequence.
    RunConfig config = small_decoder(model, sequence_parallel(2));
    config.batch = config.accumulation = 1;
    require_trained_alike(config, sequence_parallel(2));
  }
}

TEST_CASE("invariant 3: context parallel decoders lose nothing but rounding, dropout included") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    for (const std::int64_t ranks : {2, 4}) {
      const RankLayout layout = context_parallel(ranks);
      RunConfig config = small_decoder(model, layout);
      config.attention = ranks == 2 ? AttentionLowering::flash : AttentionLowering::composite;
      require_trained_alike(config, layout);
      config.dtype = DType::f32;
      require_trained_alike(config, layout);
    }
  }
}

TEST_CASE("invariant 3: tokens are spread beside every other axis") {
  using enum ShardStage;
  const std::vector<RankLayout> layouts{
      {.sizes = {.tensor = 2, .data = 2, .sequence_parallel = true}, .states = zero2},
      {.sizes = {.tensor = 2, .pipeline = 2, .sequence_parallel = true}},
      {.sizes = {.data = 2, .context = 2}, .states = zero1},
      {.sizes = {.data = 2, .context = 2, .shard = 2}, .states = zero3},
      {.sizes = {.pipeline = 2, .context = 2}, .states = zero3},
      {.sizes = {.tensor = 2, .context = 2}, .states = data},
      {.sizes = {.tensor = 2, .context = 2, .sequence_parallel = true}, .states = zero2},
      {.sizes = {.tensor = 2, .pipeline = 2, .data = 2, .context = 2, .sequence_parallel = true},
       .states = zero1},
  };
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    for (const RankLayout& layout : layouts) {
      require_trained_alike(small_decoder(model, layout), layout);
    }
  }
}
