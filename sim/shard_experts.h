// Expert parallelism: the experts of a decoder on several ranks, which exchange their tokens.
#pragma once

#include "sim/rank_program.h"
#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// The program of `rank`, which routes its own tokens, as one of axis.count ranks that each have an
/// equal share of the experts of every block, in order (Lepikhin et al. 2020, "GShard", section
/// 3.1). The slots that a rank has filled for an expert go to its owner by all_to_all, after
/// dispatch; the owner works on those of all ranks, in their order; and what it makes of them
/// comes back before combine. Gradients go the same ways. Weights, gradients and states of experts
/// are split along their first dimension; routers and all else are on every rank. Initial weights
/// are parts of the same numbers. The owner's gradients are sums over the tokens of all ranks of
/// the axis, in one product, so that results agree with those of one rank but for rounding.
/// `from` is rank_source_of(rank); axis.placed must hold: the ranks have other samples already.
/// shard_states() brings the rest together. Throws InputError when there are no experts, when they
/// do not divide by axis.count, or when something works on their rows that is no gated unit.
[[nodiscard]] Trace shard_experts(const Trace& rank, const ShardSource& from, const RankAxis& axis);

/// How many experts the blocks of a step have, the most of all; 0 when it has none.
[[nodiscard]] std::int64_t experts_of(const Trace& source);

/// True for a weight of several experts, [E,N,K].
[[nodiscard]] bool is_of_experts(const Buffer& weight);

}  // namespace tidemark
