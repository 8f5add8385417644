// bfloat16: the upper half of a float. Only as what products read; sums stay float.
#pragma once

#include <bit>
#include <cstdint>

#include "profiler/kernels/clones.h"

namespace tidemark::kernels {

struct BFloat16 {
  std::uint16_t bits = 0;
};

/// To nearest, ties to even. NaN stays NaN, so that poisoned memory is seen in results.
TIDEMARK_INLINE BFloat16 to_bfloat16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  return {static_cast<std::uint16_t>(x != x ? 0x7FC0U : rounded)};
}

TIDEMARK_INLINE float to_float(BFloat16 x) {
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
}

}  // namespace tidemark::kernels
