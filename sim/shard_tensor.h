// Tensor parallelism of a decoder: every rank works on all samples with its part of the weights.
#pragma once

#include <cstdint>

#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// Rank `rank` of `ranks` of a step of a decoder (families gpt2 and llama), split as Shoeybi et al.
/// 2019 ("Megatron-LM", section 3) do: the linear layers before attention and before the hidden
/// units by their outputs (whole heads, whole groups of keys and values, hidden units) with their
/// biases, those behind them by their inputs. The partial results of the latter are summed over the
/// ranks in forward, in ascending order, before their bias is added; those of the gradients of the
/// former's inputs in backward. Of experts the hidden units are split, too. Embeddings,
/// normalisations, routers and head are on every rank. Initial weights are parts of the same
/// numbers; sums are made in another order than on one rank, so results agree but for rounding.
///
/// With `sequence_parallel` (Korthikanti et al. 2022, section 4.2.2) a rank has its share of the
/// tokens for everything else: embedding, normalisations, dropout, residual sums, head and loss.
/// Before what is split all tokens are gathered, in backward once more; behind it each rank gets
/// the sum for its share. Gradients of the weights that see a share only are summed before the
/// optimizer. What is dropped is what is dropped on one rank.
///
/// Throws InputError when there is no attention, when heads, groups or hidden units do not divide
/// by `ranks`, or with dropout of attention, whose mask would be another; with `sequence_parallel`
/// when tokens do not divide (share_of_rows()), and for experts, whose routes are for all tokens.
[[nodiscard]] Trace shard_tensor(const Trace& source, const ShardSource& from, std::int32_t rank,
                                 std::int32_t ranks, bool sequence_parallel = false);

}  // namespace tidemark
