// bfloat16: the upper half of a float. Only as what products read; sums stay float.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

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

/// x as an element of an operand that may be rounded.
template <class Element, class T>
TIDEMARK_INLINE Element as_element(T x) {
  if constexpr (std::is_same_v<Element, BFloat16>) {
    return to_bfloat16(static_cast<float>(x));
  } else {
    return x;
  }
}

}  // namespace tidemark::kernels
