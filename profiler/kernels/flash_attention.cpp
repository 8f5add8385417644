#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Causal self-attention that keeps the log-sum-exp of each row of scores and makes the
// probabilities again in the backward pass (Dao et al. 2022; here whole rows, k_flash_rows at a
// time). Formulas and dropout as in attention.cpp; sum(dP P) = sum(dY Y) of the same row.

namespace tidemark::kernels {
namespace {

/// The rows [first, first + rows) of one head, which see `seen` keys.
struct Block {
  std::int64_t first, rows, seen;
};

struct Shape {
  std::int64_t batch, tokens, channels, heads, width;

  explicit Shape(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        heads(call.integer("heads")),
        width(channels / heads) {}

  [[nodiscard]] Block block(std::int64_t first) const {
    const std::int64_t rows = std::min(k_flash_rows, tokens - first);
    return {first, rows, first + rows};
  }
  [[nodiscard]] std::int64_t qkv(std::int64_t b, std::int64_t h) const {
    return b * tokens * 3 * channels + h * width;
  }
  [[nodiscard]] std::int64_t y(std::int64_t b, std::int64_t h) const {
    return b * tokens * channels + h * width;
  }
  template <class T>
  [[nodiscard]] T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  }
};

/// Scores become probabilities; the log of each row's sum is kept. The future becomes 0.
template <class T>
TIDEMARK_CLONES void softmax_rows(const Block& b, T* p, T* log_sum_exp) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    T* row = p + r * b.seen;
    const std::int64_t seen = b.first + r + 1;
    const T shift = largest(row, seen);
    for (std::int64_t s = 0; s < seen; ++s) row[s] = exponential(row[s] - shift);
    const T total = sum(row, seen);
    const T inverse = T{1} / total;
    for (std::int64_t s = 0; s < seen; ++s) row[s] *= inverse;
    std::fill(row + seen, row + b.seen, T{0});
    log_sum_exp[b.first + r] = shift + std::log(total);
  }
}

/// Scores become the probabilities that the forward pass had.
template <class T>
TIDEMARK_CLONES void probabilities_again(const Block& b, T* p, const T* log_sum_exp) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    T* row = p + r * b.seen;
    const std::int64_t seen = b.first + r + 1;
    const T shift = log_sum_exp[b.first + r];
    for (std::int64_t s = 0; s < seen; ++s) row[s] = exponential(row[s] - shift);
    std::fill(row + seen, row + b.seen, T{0});
  }
}

/// The masked rows of a block of head `head` of scores; the future is 0 in both.
template <class T>
TIDEMARK_CLONES void drop_rows(const DropoutMask& mask, const Shape& s, std::int64_t head,
                               const Block& b, const T* from, T* to) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    const std::int64_t element = (head * s.tokens + b.first + r) * s.tokens;
    drop(mask, static_cast<std::uint64_t>(element), from + r * b.seen, to + r * b.seen, b.seen);
  }
}

/// dP becomes dS. y and dy are rows of one head, `stride` apart.
template <class T>
struct Gradient {
  const T* y;
  const T* dy;
  std::int64_t stride, width;
  T scale;
};

template <class T>
TIDEMARK_CLONES void score_gradient(const Block& b, const T* p, T* dp, const Gradient<T>& g) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    const std::int64_t at = (b.first + r) * g.stride;
    const T common = dot(g.y + at, g.dy + at, g.width);
    const T* p_row = p + r * b.seen;
    T* dp_row = dp + r * b.seen;
    for (std::int64_t s = 0; s < b.seen; ++s) dp_row[s] = p_row[s] * (dp_row[s] - common) * g.scale;
  }
}

/// scores [rows, seen] = scale * q k^T
template <class T>
void scores(const Shape& s, const Block& b, const T* q, T* out) {
  multiply(MatrixProduct<T>{.m = b.rows,
                            .n = b.seen,
                            .k = s.width,
                            .a = q + b.first * 3 * s.channels,
                            .a_stride = 3 * s.channels,
                            .b = q + s.channels,
                            .b_stride = 3 * s.channels,
                            .b_transposed = true,
                            .c = out,
                            .c_stride = b.seen,
                            .alpha = s.scale<T>()});
}

/// target [seen, width] (+)= left [rows, seen]^T right [rows, width]. The blocks go from the last
/// row to the first, so the first one writes every row.
template <class T>
void add_transposed(const Shape& s, const Block& b, const T* left, const T* right,
                    std::int64_t right_stride, T* target) {
  multiply(MatrixProduct<T>{.m = b.seen,
                            .n = s.width,
                            .k = b.rows,
                            .a = left,
                            .a_stride = b.seen,
                            .a_transposed = true,
                            .b = right,
                            .b_stride = right_stride,
                            .c = target,
                            .c_stride = 3 * s.channels,
                            .beta = b.seen == s.tokens ? T{0} : T{1}});
}

}  // namespace

template <class T>
void flash_attention_forward(const KernelCall& call) {
  const Shape s(call);
  const DropoutMask mask(call);
  T* p = call.pointer<T>("workspace");
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const T* q = call.pointer<const T>("qkv") + s.qkv(b, h);
      T* y = call.pointer<T>("y") + s.y(b, h);
      T* log_sum_exp = call.pointer<T>("log_sum_exp") + (b * s.heads + h) * s.tokens;
      for (std::int64_t first = 0; first < s.tokens; first += k_flash_rows) {
        const Block block = s.block(first);
        scores(s, block, q, p);
        softmax_rows(block, p, log_sum_exp);
        if (mask.drops()) drop_rows(mask, s, b * s.heads + h, block, p, p);
        multiply(MatrixProduct<T>{.m = block.rows,
                                  .n = s.width,
                                  .k = block.seen,
                                  .a = p,
                                  .a_stride = block.seen,
                                  .b = q + 2 * s.channels,
                                  .b_stride = 3 * s.channels,
                                  .c = y + first * s.channels,
                                  .c_stride = s.channels});
      }
    }
  }
}

template <class T>
void flash_attention_backward(const KernelCall& call) {
  const Shape s(call);
  const DropoutMask mask(call);
  T* p = call.pointer<T>("workspace");
  T* ds = p + std::min(k_flash_rows, s.tokens) * s.tokens;
  const std::int64_t last_block = (s.tokens - 1) / k_flash_rows * k_flash_rows;
  for (std::int64_t b = 0; b < s.batch; ++b) {
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const T* q = call.pointer<const T>("qkv") + s.qkv(b, h);
      T* dq = call.pointer<T>("dqkv") + s.qkv(b, h);
      const Gradient<T> g{call.pointer<const T>("y") + s.y(b, h),
                          call.pointer<const T>("dy") + s.y(b, h), s.channels, s.width,
                          s.scale<T>()};
      const T* log_sum_exp = call.pointer<const T>("log_sum_exp") + (b * s.heads + h) * s.tokens;
      for (std::int64_t first = last_block; first >= 0; first -= k_flash_rows) {
        const Block block = s.block(first);
        const T* dy = g.dy + first * s.channels;
        scores(s, block, q, p);
        probabilities_again(block, p, log_sum_exp);
        const std::int64_t head = b * s.heads + h;
        if (mask.drops()) drop_rows(mask, s, head, block, p, ds);
        add_transposed(s, block, mask.drops() ? ds : p, dy, s.channels, dq + 2 * s.channels);
        multiply(MatrixProduct<T>{.m = block.rows,
                                  .n = block.seen,
                                  .k = s.width,
                                  .a = dy,
                                  .a_stride = s.channels,
                                  .b = q + 2 * s.channels,
                                  .b_stride = 3 * s.channels,
                                  .b_transposed = true,
                                  .c = ds,
                                  .c_stride = block.seen});
        if (mask.drops()) drop_rows(mask, s, head, block, ds, ds);
        score_gradient(block, p, ds, g);
        multiply(MatrixProduct<T>{.m = block.rows,
                                  .n = s.width,
                                  .k = block.seen,
                                  .a = ds,
                                  .a_stride = block.seen,
                                  .b = q + s.channels,
                                  .b_stride = 3 * s.channels,
                                  .c = dq + first * 3 * s.channels,
                                  .c_stride = 3 * s.channels});
        add_transposed(s, block, ds, q + first * 3 * s.channels, 3 * s.channels, dq + s.channels);
      }
    }
  }
}

template void flash_attention_forward<float>(const KernelCall&);
template void flash_attention_forward<double>(const KernelCall&);
template void flash_attention_backward<float>(const KernelCall&);
template void flash_attention_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
