#include <algorithm>
#include <type_traits>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"

namespace tidemark::kernels {
namespace {

/// sums[N] += column sums of dy[M,N], row by row.
template <class T>
TIDEMARK_CLONES void add_column_sums(const T* dy, T* sums, std::int64_t rows,
                                     std::int64_t columns) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* row = dy + i * columns;
    for (std::int64_t j = 0; j < columns; ++j) sums[j] += row[j];
  }
}

TIDEMARK_CLONES void round_all(const float* x, BFloat16* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = to_bfloat16(x[i]);
}

/// The product, or when the op has bf16_factors (f32 ops only) that of the rounded factors.
template <class T>
void multiply_as_asked(const KernelCall& call, const MatrixProduct<T>& p) {
  BFloat16* const factors = call.pointer<BFloat16>("bf16_factors");
  if (factors == nullptr) return multiply(p);
  if constexpr (std::is_same_v<T, float>) {
    BFloat16* const b = factors + p.m * p.k;
    round_all(p.a, factors, p.m * p.k);
    round_all(p.b, b, p.k * p.n);
    multiply(MatrixProduct<float, BFloat16>{.m = p.m,
                                            .n = p.n,
                                            .k = p.k,
                                            .a = factors,
                                            .a_stride = p.a_stride,
                                            .a_transposed = p.a_transposed,
                                            .b = b,
                                            .b_stride = p.b_stride,
                                            .b_transposed = p.b_transposed,
                                            .c = p.c,
                                            .c_stride = p.c_stride,
                                            .beta = p.beta,
                                            .bias = p.bias});
  }
}

}  // namespace

template <class T>
void linear_forward(const KernelCall& call) {
  const std::int64_t m = call.rows("x");
  const std::int64_t k = call.columns("x");
  const std::int64_t n = call.rows("w");
  multiply_as_asked(call, MatrixProduct<T>{.m = m,
                                           .n = n,
                                           .k = k,
                                           .a = call.pointer<T>("x"),
                                           .a_stride = k,
                                           .b = call.pointer<T>("w"),
                                           .b_stride = k,
                                           .b_transposed = true,
                                           .c = call.pointer<T>("y"),
                                           .c_stride = n,
                                           .bias = call.pointer<const T>("b")});
}

/// dx[M,K] = dy[M,N] w[N,K]
template <class T>
void linear_backward_data(const KernelCall& call) {
  const std::int64_t n = call.columns("dy");
  const std::int64_t k = call.columns("w");
  multiply_as_asked(call, MatrixProduct<T>{.m = call.rows("dy"),
                                           .n = k,
                                           .k = n,
                                           .a = call.pointer<T>("dy"),
                                           .a_stride = n,
                                           .b = call.pointer<T>("w"),
                                           .b_stride = k,
                                           .c = call.pointer<T>("dx"),
                                           .c_stride = k});
}

/// dw[N,K] (+)= dy[M,N]^T x[M,K]; db[N] (+)= column sums of dy
template <class T>
void linear_backward_weight(const KernelCall& call) {
  const std::int64_t m = call.rows("dy");
  const std::int64_t n = call.columns("dy");
  const std::int64_t k = call.columns("x");
  const T* dy = call.pointer<T>("dy");
  multiply_as_asked(call, MatrixProduct<T>{.m = n,
                                           .n = k,
                                           .k = m,
                                           .a = dy,
                                           .a_stride = n,
                                           .a_transposed = true,
                                           .b = call.pointer<T>("x"),
                                           .b_stride = k,
                                           .c = call.pointer<T>("dw"),
                                           .c_stride = k,
                                           .beta = call.accumulates("dw") ? T{1} : T{0}});
  T* db = call.pointer<T>("db");
  if (db == nullptr) return;
  if (!call.accumulates("db")) std::fill_n(db, n, T{0});
  add_column_sums(dy, db, m, n);
}

template void linear_forward<float>(const KernelCall&);
template void linear_forward<double>(const KernelCall&);
template void linear_backward_data<float>(const KernelCall&);
template void linear_backward_data<double>(const KernelCall&);
template void linear_backward_weight<float>(const KernelCall&);
template void linear_backward_weight<double>(const KernelCall&);

}  // namespace tidemark::kernels
