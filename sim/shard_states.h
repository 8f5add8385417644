// What ranks with the same weights do with gradients and states: sum, share, gather (ZeRO).
#pragma once

#include "sim/rank_program.h"
#include "sim/shard.h"
#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

struct StatesSplit {
  ShardStage stage = ShardStage::data;  // data, zero1, zero2 or zero3
  /// The ranks that have the same weights and other samples, this one among them. `placed`: the
  /// program is that of this rank already.
  RankAxis axis;
  /// Hybrid sharding: as many neighbours share one set of states, and there are axis.count / shard
  /// equal sets. 0 = all ranks share one.
  std::int32_t shard = 0;
  /// Of as many neighbours each owns other experts (shard_experts()): weights of experts are those
  /// of the ranks that are so far apart. Divides `shard` where that is given.
  std::int32_t experts = 1;
  bool operator==(const StatesSplit&) const = default;
};

/// The program of `rank`, whose gradients are those of its own samples, as one of axis.count ranks
/// that train together. What the stages share, and how, see shard(). Sums are made over the
/// neighbours, then over the sets, both in ascending order. `from` is rank_source_of(rank). Comes
/// last of all transforms: no other reads parts.
[[nodiscard]] Trace shard_states(const Trace& rank, const ShardSource& from,
                                 const StatesSplit& split);

}  // namespace tidemark
