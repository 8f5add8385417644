// Random bits as a function of a counter: no state, so a clone of an op gives the same values.
#pragma once

#include <cstdint>

#include "profiler/kernels/clones.h"

namespace tidemark::kernels {

/// Finaliser of SplitMix64 (Steele et al. 2014): a bijection that mixes all 64 bits.
TIDEMARK_INLINE std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// In (0, 1], from the upper 53 bits.
TIDEMARK_INLINE double unit(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 1) * 0x1p-53;
}

}  // namespace tidemark::kernels
