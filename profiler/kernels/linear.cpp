#include <algorithm>
#include <type_traits>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

namespace tidemark::kernels {
namespace {

/// Columns [begin, end) of a matrix [rows, stride].
struct Columns {
  std::int64_t rows, stride, begin, end;
};

/// sums[j] += sum of column j of dy, row by row.
template <class T, class Element>
TIDEMARK_CLONES void add_column_sums(const Element* dy, T* sums, const Columns& c) {
  for (std::int64_t i = 0; i < c.rows; ++i) {
    const Element* row = dy + i * c.stride;
    for (std::int64_t j = c.begin; j < c.end; ++j) {
      if constexpr (std::is_same_v<Element, BFloat16>) {
        sums[j] += to_float(row[j]);
      } else {
        sums[j] += row[j];
      }
    }
  }
}

template <class T, class Element>
void add_bias_gradient(const KernelCall& call) {
  const std::int64_t columns = call.columns("dy");
  const auto* const dy = call.pointer<const Element>("dy");
  T* const db = call.pointer<T>("db");
  constexpr std::int64_t k_step = 256;
  run_ranges(call, columns, k_step, [&](std::int64_t begin, std::int64_t end) {
    if (!call.accumulates("db")) std::fill(db + begin, db + end, T{0});
    add_column_sums(dy, db, {call.rows("dy"), columns, begin, end});
  });
}

/// The product by parts of the longer side of c. Every part packs the other factor anew: parts are
/// longer where that one is too large for a cache of the second level (512 KiB in f32).
template <class T, class Factor>
void multiply_in_parts(const KernelCall& call, const MatrixProduct<T, Factor>& p) {
  constexpr std::int64_t k_cached_elements = std::int64_t{1} << 17;
  constexpr std::int64_t k_least_work = std::int64_t{1} << 22;  // multiply-adds: some 50 us
  constexpr std::int64_t k_most_parts = 16;
  constexpr std::int64_t k_tile = 64;
  const bool by_rows = p.m >= p.n;
  const std::int64_t side = by_rows ? p.m : p.n;
  const bool is_cached = std::min(p.m, p.n) * p.k <= k_cached_elements;
  const std::int64_t wish =
      std::min(side / (is_cached ? 192 : 512), p.m * p.n * p.k / k_least_work);
  const std::int64_t parts = std::clamp<std::int64_t>(wish, 1, k_most_parts);
  const std::int64_t step = round_up(side / parts + (side % parts == 0 ? 0 : 1), k_tile);
  run_ranges(call, side, step, [&](std::int64_t begin, std::int64_t end) {
    MatrixProduct<T, Factor> part = p;
    if (by_rows) {
      part.m = end - begin;
      part.a += p.a_transposed ? begin : begin * p.a_stride;
      part.c += begin * p.c_stride;
    } else {
      part.n = end - begin;
      part.b += p.b_transposed ? begin * p.b_stride : begin;
      part.c += begin;
      if (p.bias != nullptr) part.bias += begin;
    }
    multiply(part);
  });
}

TIDEMARK_CLONES void round_all(const float* x, BFloat16* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = to_bfloat16(x[i]);
}

/// The two factors of a linear op by role, the product, and how many groups of rows there are, each
/// a product of its own.
struct Roles {
  std::string_view a, b, c;
  std::int64_t groups = 1;
};

/// `p` is the product of the first group; those of the others lie behind it.
template <class T, class Factor>
void multiply_groups(const KernelCall& call, const Roles& roles, MatrixProduct<T, Factor> p) {
  for (std::int64_t group = 0; group < roles.groups; ++group) {
    multiply_in_parts(call, p);
    p.a += call.elements(roles.a) / roles.groups;
    p.b += call.elements(roles.b) / roles.groups;
    p.c += call.elements(roles.c) / roles.groups;
  }
}

/// A factor in bf16: as it came, or rounded to where the op has room for it. `free` is the room in
/// bf16_factors that is not used yet.
const BFloat16* rounded(const KernelCall& call, std::string_view role, BFloat16*& free) {
  if (call.is_bf16(role)) return call.pointer<const BFloat16>(role);
  const std::int64_t count = call.elements(role);
  const bool has_own = role == "dy" && call.has("bf16_dy");
  BFloat16* const to = has_own ? call.pointer<BFloat16>("bf16_dy") : free;
  if (!has_own) free += count;
  const auto* const from = call.pointer<const float>(role);
  over_elements(call, count, [&](std::int64_t begin, std::int64_t end) {
    round_all(from + begin, to + begin, end - begin);
  });
  return to;
}

/// The product of two operands, or of the rounded ones when the op (f32 then) has any. `p` lacks
/// the three, and is that of one group.
template <class T>
void multiply_factors(const KernelCall& call, const Roles& roles, MatrixProduct<T> p) {
  const bool is_rounded = call.has("bf16_factors") || call.has("bf16_dy") ||
                          call.is_bf16(roles.a) || call.is_bf16(roles.b);
  p.c = call.pointer<T>(roles.c);
  if (!is_rounded) {
    p.a = call.pointer<const T>(roles.a);
    p.b = call.pointer<const T>(roles.b);
    return multiply_groups(call, roles, p);
  }
  if constexpr (std::is_same_v<T, float>) {
    BFloat16* free = call.pointer<BFloat16>("bf16_factors");
    MatrixProduct<float, BFloat16> narrow{.m = p.m, .n = p.n, .k = p.k};
    narrow.a = rounded(call, roles.a, free);
    narrow.a_stride = p.a_stride;
    narrow.a_transposed = p.a_transposed;
    narrow.b = rounded(call, roles.b, free);
    narrow.b_stride = p.b_stride;
    narrow.b_transposed = p.b_transposed;
    narrow.c = p.c;
    narrow.c_stride = p.c_stride;
    narrow.beta = p.beta;
    narrow.bias = p.bias;
    multiply_groups(call, roles, narrow);
  }
}

template <class T>
TIDEMARK_CLONES void add_row(const T* b, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += b[i];
}

}  // namespace

template <class T>
void linear_forward(const KernelCall& call) {
  const std::int64_t groups = linear_groups(call.buffer("w"));
  const std::int64_t k = call.columns("x");
  const std::int64_t n = call.rows("w") / groups;
  multiply_factors(call, {"x", "w", "y", groups},
                   MatrixProduct<T>{.m = call.rows("x") / groups,
                                    .n = n,
                                    .k = k,
                                    .a_stride = k,
                                    .b_stride = k,
                                    .b_transposed = true,
                                    .c_stride = n,
                                    .bias = call.pointer<const T>("b")});
}

/// dx[M,K] = dy[M,N] w[N,K]
template <class T>
void linear_backward_data(const KernelCall& call) {
  const std::int64_t groups = linear_groups(call.buffer("w"));
  const std::int64_t n = call.columns("dy");
  const std::int64_t k = call.columns("w");
  multiply_factors(call, {"dy", "w", "dx", groups},
                   MatrixProduct<T>{.m = call.rows("dy") / groups,
                                    .n = k,
                                    .k = n,
                                    .a_stride = n,
                                    .b_stride = k,
                                    .c_stride = k});
}

/// dw[N,K] (+)= dy[M,N]^T x[M,K]; db[N] (+)= column sums of dy
template <class T>
void linear_backward_weight(const KernelCall& call) {
  const std::int64_t groups = linear_groups(call.buffer("dw"));
  const std::int64_t n = call.columns("dy");
  const std::int64_t k = call.columns("x");
  multiply_factors(call, {"dy", "x", "dw", groups},
                   MatrixProduct<T>{.m = n,
                                    .n = k,
                                    .k = call.rows("dy") / groups,
                                    .a_stride = n,
                                    .a_transposed = true,
                                    .b_stride = k,
                                    .c_stride = k,
                                    .beta = call.accumulates("dw") ? T{1} : T{0}});
  if (!call.has("db")) return;
  if (!call.is_bf16("dy")) return add_bias_gradient<T, T>(call);
  if constexpr (std::is_same_v<T, float>) add_bias_gradient<T, BFloat16>(call);
}

/// y[M,N] += b[N] in every row
template <class T>
void add_bias(const KernelCall& call) {
  const std::int64_t columns = call.columns("y");
  const T* const b = call.pointer<const T>("b");
  T* const y = call.pointer<T>("y");
  over_rows(call, call.rows("y"), columns, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) add_row(b, y + i * columns, columns);
  });
}

template void linear_forward<float>(const KernelCall&);
template void linear_forward<double>(const KernelCall&);
template void linear_backward_data<float>(const KernelCall&);
template void linear_backward_data<double>(const KernelCall&);
template void linear_backward_weight<float>(const KernelCall&);
template void linear_backward_weight<double>(const KernelCall&);
template void add_bias<float>(const KernelCall&);
template void add_bias<double>(const KernelCall&);

}  // namespace tidemark::kernels
