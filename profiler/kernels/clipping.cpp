#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Clipping of all gradients by their common norm (Pascanu et al. 2013).

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES double sum_of_squares_of(const T* x, std::int64_t count) {
  constexpr std::int64_t k_block = 4096;  // partial sums in T, the total in double
  double total = 0;
  for (std::int64_t i = 0; i < count; i += k_block) {
    total += static_cast<double>(dot(x + i, x + i, std::min(k_block, count - i)));
  }
  return total;
}

template <class T>
TIDEMARK_CLONES void scale(T* x, T factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
}

}  // namespace

template <class T>
void sum_of_squares(const KernelCall& call) {
  T* sum = call.pointer<T>("sum");
  const double before = call.accumulates("sum") ? static_cast<double>(*sum) : 0;
  *sum = static_cast<T>(before + sum_of_squares_of(call.pointer<const T>("x"), call.elements("x")));
}

/// factor = min(1, max_norm / (norm + 1e-6)), the form of PyTorch's clip_grad_norm_.
template <class T>
void clip_factor(const KernelCall& call) {
  const double norm = std::sqrt(static_cast<double>(*call.pointer<const T>("sum")));
  *call.pointer<T>("factor") = static_cast<T>(std::min(1.0, call.real("max_norm") / (norm + 1e-6)));
}

template <class T>
void scale_by(const KernelCall& call) {
  scale(call.pointer<T>("x"), *call.pointer<const T>("factor"), call.elements("x"));
}

template void sum_of_squares<float>(const KernelCall&);
template void sum_of_squares<double>(const KernelCall&);
template void clip_factor<float>(const KernelCall&);
template void clip_factor<double>(const KernelCall&);
template void scale_by<float>(const KernelCall&);
template void scale_by<double>(const KernelCall&);

}  // namespace tidemark::kernels
