// One rank that does the work of all: what the ranks of a sharded run must equal to the bit.
#pragma once

#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// The step of `source` with the gradients of each of `ranks` shares of the micro-batches apart,
/// added in the order of the shares before the optimizer, and with the norm of all gradients, where
/// they are clipped, made of the same parts. `from` is that of the source.
[[nodiscard]] Trace shard_alone(const Trace& source, const ShardSource& from, std::int32_t ranks);

}  // namespace tidemark
