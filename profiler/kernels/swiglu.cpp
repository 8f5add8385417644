#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

// The gated unit of Shazeer 2020, "GLU Variants Improve Transformer": y = silu(gate) up, with gate
// and up the two halves of a row. silu(g) = g s(g), its slope s + g s (1 - s), s the sigmoid.

namespace tidemark::kernels {
namespace {

template <class T, class Output>
TIDEMARK_CLONES void forward_row(const T* x, Output* y, std::int64_t columns) {
  for (std::int64_t i = 0; i < columns; ++i) {
    y[i] = as_element<Output>(x[i] * sigmoid(x[i]) * x[i + columns]);
  }
}

template <class T, class Output>
TIDEMARK_CLONES void backward_row(const T* dy, const T* x, Output* dx, std::int64_t columns) {
  for (std::int64_t i = 0; i < columns; ++i) {
    const T s = sigmoid(x[i]);
    const T slope = s + x[i] * s * (T{1} - s);
    dx[i] = as_element<Output>(dy[i] * x[i + columns] * slope);
    dx[i + columns] = as_element<Output>(dy[i] * x[i] * s);
  }
}

template <class T, class Output>
void forward_rows(const KernelCall& call) {
  const std::int64_t columns = call.columns("y");
  const T* const x = call.pointer<const T>("x");
  Output* const y = call.pointer<Output>("y");
  over_rows(call, call.rows("y"), columns, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      forward_row(x + 2 * row * columns, y + row * columns, columns);
    }
  });
}

template <class T, class Output>
void backward_rows(const KernelCall& call) {
  const std::int64_t columns = call.columns("dy");
  const T* const dy = call.pointer<const T>("dy");
  const T* const x = call.pointer<const T>("x");
  Output* const dx = call.pointer<Output>("dx");
  over_rows(call, call.rows("dy"), columns, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t at = 2 * row * columns;
      backward_row(dy + row * columns, x + at, dx + at, columns);
    }
  });
}

}  // namespace

template <class T>
void swiglu_forward(const KernelCall& call) {
  call.is_bf16("y") ? forward_rows<T, BFloat16>(call) : forward_rows<T, T>(call);
}

template <class T>
void swiglu_backward(const KernelCall& call) {
  call.is_bf16("dx") ? backward_rows<T, BFloat16>(call) : backward_rows<T, T>(call);
}

template void swiglu_forward<float>(const KernelCall&);
template void swiglu_forward<double>(const KernelCall&);
template void swiglu_backward<float>(const KernelCall&);
template void swiglu_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
