// The one seam to matrix product libraries. Row-major, one thread, and the same bits for the same
// operands wherever they lie.
#pragma once

#include <cstdint>
#include <string>

#include "profiler/kernels/bfloat16.h"

namespace tidemark::kernels {

/// c[m,n] = alpha * op(a)[m,k] * op(b)[k,n] + beta * c + bias. A `stride` is the distance between
/// the rows of a matrix as it is stored, in elements. With beta 0, c is not read. `Factor` is T, or
/// BFloat16 with sums in float.
template <class T, class Factor = T>
struct MatrixProduct {
  std::int64_t m = 0, n = 0, k = 0;
  const Factor* a = nullptr;
  std::int64_t a_stride = 0;
  bool a_transposed = false;  // a is stored as [k,m]
  const Factor* b = nullptr;
  std::int64_t b_stride = 0;
  bool b_transposed = false;  // b is stored as [n,k]
  T* c = nullptr;
  std::int64_t c_stride = 0;
  T alpha = 1;
  T beta = 0;
  const T* bias = nullptr;  // [n], added to every row; only with beta 0; null: none
};

/// Of BFloat16 only with alpha 1, beta 0 or 1, and where bfloat16_error() is empty.
template <class T, class Factor>
void multiply(const MatrixProduct<T, Factor>& product);

/// Why this machine or build cannot multiply BFloat16; empty when it can.
[[nodiscard]] std::string bfloat16_error();

/// What multiplies f32 matrices, for a record: "oneDNN 2.6.3 + OpenBLAS 0.3.21".
[[nodiscard]] std::string matrix_library();

}  // namespace tidemark::kernels
