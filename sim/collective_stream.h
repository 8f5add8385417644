// Collectives beside the computation: on a stream of their own, weights gathered early.
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace tidemark {

/// The program of a rank with its sums of gradients, gathers of weights and all else that their
/// groups do on one communication stream. A weight, or a bucket of them (put_in_buckets()), is
/// gathered while what was gathered `prefetch` before is used, or where it is needed when that is
/// 0; its buffers live from there on. A sum of gradients runs beside what follows until the next
/// one begins or its result is needed. A rank waits for a collective before anybody uses or frees
/// what that works on. Results stay the same to the bit. Added ops take no time of their own;
/// nothing has a placement afterwards.
[[nodiscard]] Trace overlap_collectives(const Trace& rank, std::int32_t prefetch);

}  // namespace tidemark
