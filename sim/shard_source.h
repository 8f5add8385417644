// A training step as the sharding transform sees it: which buffers are weights, their gradients and
// their optimizer state, and which op belongs to which micro-batch.
#pragma once

#include <cstdint>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// A weight that an update op of the body changes.
struct TrainedWeight {
  BufferId weight;
  BufferId gradient;
  std::vector<BufferId> states;  // as long as the weight
  std::int64_t elements = 0;
};

/// Rows are those of the source.
struct ShardSource {
  std::vector<TrainedWeight> weights;
  std::vector<std::int32_t> weight_of;    // by buffer: row of weights when it is a weight; else -1
  std::vector<std::int32_t> gradient_of;  // by buffer: the same of its gradient
  std::vector<std::int32_t> state_of;     // by buffer: the same of its states
  std::vector<OpId> init, body, eval;     // in issue order
  /// Running mean and variance of batch norm: what a micro-batch leaves to evaluations.
  std::vector<BufferId> statistics;
  /// By position in init: row of the weight that the op makes, or a state or what leads to it; -1
  /// for statistics.
  std::vector<std::int32_t> init_of;
  std::vector<BufferId> persistent;  // in the order of allocation
  std::int64_t micro_batches = 1;

  [[nodiscard]] const TrainedWeight* trained(const std::vector<std::int32_t>& rows,
                                             BufferId id) const {
    const std::int32_t row = rows[id.index()];
    return row < 0 ? nullptr : &weights[static_cast<std::size_t>(row)];
  }
};

/// True for ops that change a weight by its gradient; operands: the weight, its gradient, then
/// states.
[[nodiscard]] bool is_update(OpKind kind);

/// True for an op in which ranks meet.
[[nodiscard]] bool is_meeting(const Op& op);

/// Throws InputError when `source` cannot be shared among ranks, see shard().
[[nodiscard]] ShardSource shard_source_of(const Trace& source);

/// The same of what an earlier transform made, to be spread along a further axis: it may be the
/// program of a rank, with collectives, also in the optimizer, and weights may be made by way of
/// other buffers and through views.
[[nodiscard]] ShardSource rank_source_of(const Trace& rank);

}  // namespace tidemark
