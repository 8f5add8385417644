// Which elements dropout (Srivastava et al. 2014, inverted form) keeps. The mask is a function of
// (seed, key, step, element): backward and clones make it again, nothing is saved.
#pragma once

#include <cmath>
#include <cstdint>

#include "profiler/kernels/kernel_call.h"
#include "profiler/kernels/random.h"

namespace tidemark::kernels {

/// Attributes `probability`, `seed`, `key` and `step`; with none of them everything is kept.
struct DropoutMask {
  std::uint64_t stream;
  std::uint64_t threshold;  // kept when 53 random bits are at or above it
  double scale;             // of what is kept

  explicit DropoutMask(const KernelCall& call)
      : stream(mix(mix(mix(static_cast<std::uint64_t>(call.integer("seed"))) ^
                       static_cast<std::uint64_t>(call.integer("key"))) ^
                   static_cast<std::uint64_t>(call.integer("step")))),
        threshold(static_cast<std::uint64_t>(std::ldexp(call.real("probability"), 53))),
        scale(1 / (1 - call.real("probability"))) {}

  [[nodiscard]] bool drops() const { return threshold > 0; }
};

/// y[i] = x[i] if element `first` + i is kept, scaled, else 0. y may be x.
template <class T>
TIDEMARK_INLINE void drop(const DropoutMask& mask, std::uint64_t first, const T* x, T* y,
                          std::int64_t count) {
  const T scale = static_cast<T>(mask.scale);
  const std::uint64_t begin = mask.stream + first;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = mix(begin + static_cast<std::uint64_t>(i)) >> 11;
    y[i] = bits >= mask.threshold ? x[i] * scale : T{0};
  }
}

}  // namespace tidemark::kernels
