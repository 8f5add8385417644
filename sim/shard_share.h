// A share of the micro-batches of a training step.
#pragma once

#include "sim/rank_program.h"
#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// What rank axis.index does when axis.count ranks take equal shares of the micro-batches, in
/// order: its own, numbered from 0, and all of init and of the optimizer. All ranks do the same, so
/// each gets the times of the first share: what is decided by them is the same everywhere. The
/// ranks do not meet yet: shard_states() brings their gradients together. `from` is that of
/// `source`. Throws InputError when the micro-batches are no multiple of axis.count.
[[nodiscard]] Trace shard_share(const Trace& source, const ShardSource& from, const RankAxis& axis);

/// The check alone.
void require_shares(const ShardSource& from, std::int32_t ranks);

}  // namespace tidemark
