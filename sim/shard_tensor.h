// Tensor parallelism of a decoder: every rank works on all samples with its part of the weights.
#pragma once

#include <cstdint>

#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// Rank `rank` of `ranks` of a step of a Llama decoder, split as Shoeybi et al. 2019
/// ("Megatron-LM", section 3) do: the linear layers before attention and before the gated unit by
/// their outputs (whole heads, whole groups of keys and values, hidden units), those behind them by
/// their inputs. The partial results of the latter are summed over the ranks in forward, those of
/// the gradients of the former's inputs in backward. Embedding, normalisations and head are on
/// every rank. Initial weights are the same parts of the same numbers; sums are made in another
/// order, so that results agree but for rounding. Throws InputError when there is nothing to split,
/// when heads, groups or hidden units do not divide by `ranks`, or with dropout of attention, whose
/// mask would be another.
[[nodiscard]] Trace shard_tensor(const Trace& source, const ShardSource& from, std::int32_t rank,
                                 std::int32_t ranks);

}  // namespace tidemark
