// Training steps in micro-batches for the tests of sharding.
#pragma once

#include "sim/builder.h"
#include "sim/config.h"
#include "sim/pipeline_ranks.h"
#include "sim/shard_layout.h"

namespace tidemark::test {

/// A pipeline alone.
inline RankLayout layout_of(const PipelineSplit& split) {
  return {.sizes = {.pipeline = split.ranks, .virtual_stages = split.virtual_stages},
          .schedule = split.schedule,
          .stage_layers = split.stage_layers};
}

/// Widths of which most do not divide by 2 or 3.
inline RunConfig odd_mlp(std::int64_t micro_batches, Optimizer optimizer = Optimizer::adamw) {
  RunConfig config;
  config.model.name = "odd-mlp";
  config.model.family = ModelFamily::mlp;
  config.model.mlp = {.widths = {3, 5, 7, 3}};
  config.optimizer.kind = optimizer;
  config.batch = 2 * micro_batches;
  config.accumulation = micro_batches;
  return config;
}

/// Two blocks, dropout, flash attention and clipping.
inline RunConfig tiny_decoder(std::int64_t micro_batches) {
  RunConfig config;
  config.model.name = "tiny-decoder";
  config.model.family = ModelFamily::gpt2;
  config.model.gpt2 = {.layers = 2, .heads = 2, .channels = 8, .vocabulary = 17, .positions = 6};
  config.batch = micro_batches;
  config.accumulation = micro_batches;
  config.sequence = 4;
  config.dropout = 0.25;
  config.attention = AttentionLowering::flash;
  config.optimizer.clip_norm = 0.5;
  return config;
}

}  // namespace tidemark::test
