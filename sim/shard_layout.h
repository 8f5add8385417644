// The transform that spreads a training step over a mesh of ranks: micro-batches, tokens, heads and
// hidden units, experts, layers and states, in any combination (rule 10 of the architecture).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/collective_buckets.h"
#include "sim/shard.h"
#include "sim/strategy.h"
#include "traces/trace.h"

namespace tidemark {

/// How ranks exchange weights and gradients.
struct StateExchange {
  Buckets buckets{};
  /// Collectives on a stream of their own, weights gathered so many buckets early; see
  /// overlap_collectives(). None: on the compute stream, where they are needed.
  std::optional<std::int32_t> prefetch{};
  bool operator==(const StateExchange&) const = default;
};

struct RankLayout {
  Layout sizes{};
  ShardStage states = ShardStage::data;  // of ranks with the same weights: data x context
  StateExchange exchange{};
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  std::vector<std::int64_t> stage_layers{};  // of each stage in model order; empty = even in time
  bool operator==(const RankLayout&) const = default;
};

/// "tp=2,pp=2,dp=2 zero1 one_f_one_b": states where ranks share them, the schedule where there is a
/// pipeline.
[[nodiscard]] std::string to_text(const RankLayout& layout);

/// One program per rank, in the order of their numbers: t + T (c + C (d + D p)), as Megatron does.
/// The step is first spread over data ranks (shard_share()), then over tokens (shard_context()),
/// heads and hidden units (shard_tensor()), experts (shard_experts()), layers (shard_pipeline()),
/// and last come the states (shard_states()). At the end collectives of states are put in buckets
/// and on a stream of their own, where asked for (put_in_buckets(), overlap_collectives()). What
/// each part gives and refuses is said there. Rows of ranks that differ in their pipeline rank only
/// by that are alike. Nothing has a placement yet, and collectives no time. `source` as for
/// shard(). Throws InputError when it cannot be spread so, with all that is wrong with the sizes.
[[nodiscard]] std::vector<Trace> shard_layout(const Trace& source, const RankLayout& layout);

/// Those ranks alone that differ in more than their data: one for each pipeline rank; of those with
/// other tokens the last, whose attention has most to do.
[[nodiscard]] std::vector<Trace> shard_layout_first(const Trace& source, const RankLayout& layout);

}  // namespace tidemark
