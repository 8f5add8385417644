#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/random.h"

// Dropout (Srivastava et al. 2014), inverted form. The mask is a function of (seed, key, step,
// element): backward and clones make it again, nothing is saved.

namespace tidemark::kernels {
namespace {

struct Mask {
  std::uint64_t stream;
  std::uint64_t threshold;  // kept when 53 random bits are at or above it
  double scale;

  explicit Mask(const KernelCall& call)
      : stream(mix(mix(mix(static_cast<std::uint64_t>(call.integer("seed"))) ^
                       static_cast<std::uint64_t>(call.integer("key"))) ^
                   static_cast<std::uint64_t>(call.integer("step")))),
        threshold(static_cast<std::uint64_t>(std::ldexp(call.real("probability"), 53))),
        scale(1 / (1 - call.real("probability"))) {}
};

template <class T>
TIDEMARK_CLONES void masked(const Mask& mask, const T* x, T* y, std::int64_t count) {
  const T scale = static_cast<T>(mask.scale);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = mix(mask.stream + static_cast<std::uint64_t>(i)) >> 11;
    y[i] = bits >= mask.threshold ? x[i] * scale : T{0};
  }
}

}  // namespace

template <class T>
void dropout_forward(const KernelCall& call) {
  masked(Mask(call), call.pointer<const T>("x"), call.pointer<T>("y"), call.elements("x"));
}

template <class T>
void dropout_backward(const KernelCall& call) {
  masked(Mask(call), call.pointer<const T>("dy"), call.pointer<T>("dx"), call.elements("dy"));
}

template void dropout_forward<float>(const KernelCall&);
template void dropout_forward<double>(const KernelCall&);
template void dropout_backward<float>(const KernelCall&);
template void dropout_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
