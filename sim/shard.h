// The transform that spreads a training step over several ranks: from one trace to one per rank
// (rule 10 of the architecture).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// What the ranks share, each stage all of the one before (Rajbhandari et al. 2020, "ZeRO: Memory
/// Optimizations Toward Training Trillion Parameter Models", section 5).
enum class ShardStage : std::uint8_t {
  none,    // one rank does the work of all; see shard()
  data,    // the micro-batches; every rank has all weights, gradients and optimizer state
  zero1,   // a rank has its part of the optimizer state and updates its part of the weights
  zero2,   // and keeps only its part of a gradient once that is complete
  zero3,   // and has only its part of the weights, which are gathered where they are needed
  tensor,  // heads and hidden units of a decoder instead; see shard_tensor.h
};

template <>
struct EnumNames<ShardStage> {
  static constexpr std::string_view k_type = "shard stage";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"none", "data", "zero1", "zero2", "zero3", "tensor"});
};

/// One trace per rank, rows alike on all of them. But for `tensor`, rank r of R takes the r-th of R
/// equal shares of the micro-batches, in order. Gradients are summed over the ranks in ascending
/// order, so that every stage gives the same bits; `none` gives them on one rank: gradients of each
/// share apart, then added in the same order. A weight of n elements is split into R parts of
/// ceil(n / R); the padding is in the traces, and is 0. A norm over all gradients is the sum over
/// ranks of the norms of their parts. Collectives stand on the compute stream. They have no time
/// yet (duration -1), nor has anything a placement; what works on a part takes its share of the
/// time of the whole. `source` is a training step (level 2) of one rank as it was built or
/// recorded, without decisions. Throws InputError when it is something else, when its micro-batches
/// are no multiple of `ranks`, or when they share more than weights. All ranks take the running
/// statistics of batch norm of the first, after each step, and so does `none`.
[[nodiscard]] std::vector<Trace> shard(const Trace& source, ShardStage stage, std::int32_t ranks);

/// Numbers the collectives of each section in issue order, per group: what a transform must do that
/// adds or removes one.
void number_collectives(Trace& trace);

}  // namespace tidemark
