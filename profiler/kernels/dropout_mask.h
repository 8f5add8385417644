// Which elements dropout (Srivastava et al. 2014, inverted form) keeps. The mask is a function of
// (seed, key, step, element): backward and clones make it again, nothing is saved.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "profiler/kernels/kernel_call.h"
#include "profiler/kernels/random.h"

namespace tidemark::kernels {

/// Attributes `probability`, `seed`, `key` and `step`; with none of them everything is kept. An op
/// on a part of a tensor has the mask of the whole: its element i is j = `first` + i of what comes
/// in runs of `run` elements, number `offset` + j / run * `stride` + j % run of the whole. Without
/// `run` it is number j.
struct DropoutMask {
  std::uint64_t stream;
  std::uint64_t threshold;  // kept when 53 random bits are at or above it
  double scale;             // of what is kept
  std::uint64_t first, run, stride, offset;

  explicit DropoutMask(const KernelCall& call)
      : stream(mix(mix(mix(static_cast<std::uint64_t>(call.integer("seed"))) ^
                       static_cast<std::uint64_t>(call.integer("key"))) ^
                   static_cast<std::uint64_t>(call.integer("step")))),
        threshold(static_cast<std::uint64_t>(std::ldexp(call.real("probability"), 53))),
        scale(1 / (1 - call.real("probability"))),
        first(static_cast<std::uint64_t>(call.integer("first"))),
        run(static_cast<std::uint64_t>(call.integer("run"))),
        stride(static_cast<std::uint64_t>(call.integer("stride"))),
        offset(static_cast<std::uint64_t>(call.integer("offset"))) {}

  [[nodiscard]] bool drops() const { return threshold > 0; }
};

/// y[i] = x[i] if element `begin` + i of the stream is kept, scaled, else 0.
template <class T>
TIDEMARK_INLINE void drop_run(const DropoutMask& mask, std::uint64_t begin, const T* x, T* y,
                              std::int64_t count) {
  const T scale = static_cast<T>(mask.scale);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = mix(begin + static_cast<std::uint64_t>(i)) >> 11;
    y[i] = bits >= mask.threshold ? x[i] * scale : T{0};
  }
}

/// y[i] = x[i] if element `first` + i of the op is kept, scaled, else 0. y may be x.
template <class T>
TIDEMARK_INLINE void drop(const DropoutMask& mask, std::uint64_t first, const T* x, T* y,
                          std::int64_t count) {
  const std::uint64_t begin = mask.first + first;
  if (mask.run == 0) return drop_run(mask, mask.stream + begin, x, y, count);
  for (std::int64_t i = 0; i < count;) {
    const std::uint64_t j = begin + static_cast<std::uint64_t>(i);
    const std::uint64_t number = mask.offset + j / mask.run * mask.stride + j % mask.run;
    const auto part = static_cast<std::int64_t>(
        std::min(mask.run - j % mask.run, static_cast<std::uint64_t>(count - i)));
    drop_run(mask, mask.stream + number, x + i, y + i, part);
    i += part;
  }
}

}  // namespace tidemark::kernels
