// Fewer and larger collectives: what ranks that share weights, gradients or states gather and sum
// is put together (buckets of DistributedDataParallel, units of FSDP).
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace tidemark {

struct Buckets {
  bool by_block = false;   // what belongs to one block of the model, by its outermost layers
  std::int64_t bytes = 0;  // else up to this size, with the buffer that reaches it; 0 = one by one
  /// False: what is gathered in forward stays for backward of the same micro-batch.
  bool reshard_after_forward = true;
  bool operator==(const Buckets&) const = default;
};

/// The program of a rank with such collectives (shard()), in buckets. A bucket is copied together
/// into a flat buffer of category communication, goes through one collective, and is copied apart.
/// Weights are gathered where the first of the bucket is needed; gradients are summed when the last
/// of it is complete, also those that shard() sums in the optimizer. Results are the same to the
/// bit: every element is summed over the same ranks in the same order. Times of what is added are
/// not known yet (-1), and nothing has a placement. Ranks whose programs are alike stay so.
[[nodiscard]] Trace put_in_buckets(const Trace& rank, const Buckets& buckets);

}  // namespace tidemark
