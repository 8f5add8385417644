// Elements of operands: float, or bfloat16 for what is only a factor of products. C++17, for nvcc
// and for the host.
#pragma once

#include <string.h>

#include <cstdint>

#ifdef __CUDACC__
#define TIDEMARK_BODY __host__ __device__ inline
#else
#define TIDEMARK_BODY inline
#endif

namespace tidemark::cuda {

/// The upper half of a float, with the bits of kernels/bfloat16.h.
struct BFloat16 {
  std::uint16_t bits;
};

TIDEMARK_BODY float to_float(float x) {
  return x;
}
TIDEMARK_BODY float to_float(BFloat16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float out;
  memcpy(&out, &bits, sizeof out);
  return out;
}

TIDEMARK_BODY void store(float* to, float x) {
  *to = x;
}
/// To nearest, ties to even; NaN stays NaN.
TIDEMARK_BODY void store(BFloat16* to, float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  to->bits = static_cast<std::uint16_t>(x != x ? 0x7FC0U : rounded);
}

}  // namespace tidemark::cuda
