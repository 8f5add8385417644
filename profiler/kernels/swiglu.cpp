#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/kernels.h"

// The gated unit of Shazeer 2020, "GLU Variants Improve Transformer": y = silu(gate) up, with gate
// and up the two halves of a row. silu(g) = g s(g), its slope s + g s (1 - s), s the sigmoid.

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES void forward_row(const T* x, T* y, std::int64_t columns) {
  for (std::int64_t i = 0; i < columns; ++i) y[i] = x[i] * sigmoid(x[i]) * x[i + columns];
}

template <class T>
TIDEMARK_CLONES void backward_row(const T* dy, const T* x, T* dx, std::int64_t columns) {
  for (std::int64_t i = 0; i < columns; ++i) {
    const T s = sigmoid(x[i]);
    dx[i] = dy[i] * x[i + columns] * (s + x[i] * s * (T{1} - s));
    dx[i + columns] = dy[i] * x[i] * s;
  }
}

}  // namespace

template <class T>
void swiglu_forward(const KernelCall& call) {
  const std::int64_t columns = call.columns("y");
  for (std::int64_t row = 0; row < call.rows("y"); ++row) {
    forward_row(call.pointer<const T>("x") + 2 * row * columns,
                call.pointer<T>("y") + row * columns, columns);
  }
}

template <class T>
void swiglu_backward(const KernelCall& call) {
  const std::int64_t columns = call.columns("dy");
  for (std::int64_t row = 0; row < call.rows("dy"); ++row) {
    backward_row(call.pointer<const T>("dy") + row * columns,
                 call.pointer<const T>("x") + 2 * row * columns,
                 call.pointer<T>("dx") + 2 * row * columns, columns);
  }
}

template void swiglu_forward<float>(const KernelCall&);
template void swiglu_forward<double>(const KernelCall&);
template void swiglu_backward<float>(const KernelCall&);
template void swiglu_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
