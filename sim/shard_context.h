// Context parallelism of a decoder: every rank has its part of the tokens of each sequence.
#pragma once

#include "sim/rank_program.h"
#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// The program of one rank along `axis`: of T tokens of every sequence it has T / axis.count behind
/// each other, for everything, and all weights. Attention gathers keys and values, not queries, of
/// all tokens (Dubey et al. 2024, "The Llama 3 Herd of Models", section 3.3.2), in backward once
/// more, and the gradients of keys and values are summed where their tokens are. The causal mask
/// leaves the last rank most to do: its queries see up to T keys, those of the first T /
/// axis.count. The loss is the mean over all tokens on every rank; gradients of weights are those
/// of the tokens of this rank, to be summed over the axis (shard_states()). What is dropped is what
/// is dropped on one rank; sums are made in another order, so results agree but for rounding.
/// Throws InputError when T does not divide, without attention, and for experts, whose routes are
/// for all tokens.
[[nodiscard]] Trace shard_context(const Trace& source, const ShardSource& from, RankAxis axis);

}  // namespace tidemark
