#include <algorithm>
#include <cmath>
#include <limits>

#include "profiler/kernels/attention_keys.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"

// Causal self-attention that keeps the log-sum-exp of each row of scores and makes the
// probabilities again in the backward pass (Dao et al. 2022; here whole rows, k_flash_rows at a
// time). Formulas and dropout as in attention.cpp; sum(dP P) = sum(dY Y) of the same row. The
// workspace has room for as many heads at a time as the op was built for.

namespace tidemark::kernels {
namespace {

/// The rows [first, first + rows) of one head; the last of them sees `seen` keys.
struct Block {
  std::int64_t first, rows, seen;
  /// Keys that the r-th row sees.
  [[nodiscard]] std::int64_t seen_by(std::int64_t r) const { return seen - rows + r + 1; }
};

struct Shape {
  std::int64_t batch, tokens, channels, heads, width;
  AttentionKeys keys;

  explicit Shape(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        heads(call.count("heads")),
        width(channels / heads),
        keys(call) {}

  [[nodiscard]] Block block(std::int64_t first) const {
    const std::int64_t rows = std::min(k_flash_rows, tokens - first);
    return {first, rows, keys.position + first + rows};
  }
  [[nodiscard]] std::int64_t qkv(std::int64_t b, std::int64_t h) const {
    return b * tokens * 3 * channels + h * width;
  }
  [[nodiscard]] std::int64_t y(std::int64_t b, std::int64_t h) const {
    return b * tokens * channels + h * width;
  }
  [[nodiscard]] std::int64_t key(std::int64_t b, std::int64_t h) const {
    return keys.offset(b, h * width);
  }
  /// Elements of the scores of one block of rows.
  [[nodiscard]] std::int64_t room() const { return std::min(k_flash_rows, tokens) * keys.count; }
  template <class T>
  [[nodiscard]] T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(width)));
  }

  /// Calls one(b, h, room for `blocks` blocks of scores) for every head.
  template <class T, class One>
  void for_each_head(const KernelCall& call, std::int64_t blocks, const One& one) const {
    const std::int64_t lane_elements = blocks * room();
    const std::int64_t lanes = call.elements("workspace") / lane_elements;
    T* const workspace = call.pointer<T>("workspace");
    run_parts(call, lanes, [&](std::int64_t lane) {
      for (std::int64_t i = lane; i < batch * heads; i += lanes) {
        one(i / heads, i % heads, workspace + lane * lane_elements);
      }
    });
  }
};

/// Scores become probabilities; the log of each row's sum is kept. The future becomes 0.
template <class T>
TIDEMARK_CLONES void softmax_rows(const Block& b, T* p, T* log_sum_exp) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    T* row = p + r * b.seen;
    const std::int64_t seen = b.seen_by(r);
    const std::int64_t count = whole_vectors(seen, b.seen);
    std::fill(row + seen, row + count, std::numeric_limits<T>::lowest());
    const T shift = largest(row, count);
    for (std::int64_t s = 0; s < count; ++s) row[s] = exponential(row[s] - shift);
    std::fill(row + seen, row + b.seen, T{0});
    const T total = sum(row, count);
    const T inverse = T{1} / total;
    for (std::int64_t s = 0; s < count; ++s) row[s] *= inverse;
    log_sum_exp[b.first + r] = shift + std::log(total);
  }
}

/// Scores become the probabilities that the forward pass had.
template <class T>
TIDEMARK_CLONES void probabilities_again(const Block& b, T* p, const T* log_sum_exp) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    T* row = p + r * b.seen;
    const std::int64_t seen = b.seen_by(r);
    const T shift = log_sum_exp[b.first + r];
    const std::int64_t count = whole_vectors(seen, b.seen);
    for (std::int64_t s = 0; s < count; ++s) row[s] = exponential(row[s] - shift);
    std::fill(row + seen, row + b.seen, T{0});
  }
}

/// The masked rows of a block of head `head` of scores; the future is 0 in both.
template <class T>
TIDEMARK_CLONES void drop_rows(const DropoutMask& mask, const Shape& s, std::int64_t head,
                               const Block& b, const T* from, T* to) {
  for (std::int64_t r = 0; r < b.rows; ++r) {
    const std::int64_t element = (head * s.tokens + b.first + r) * s.keys.count;
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

/// out [rows, seen] = factor * left [rows, width] k^T; `left` are the rows of the block, `keys`
/// keys or values.
template <class T>
struct Left {
  const T* rows;
  std::int64_t stride;
  T factor;
};

template <class T>
void times_keys(const Shape& s, const Block& b, const Left<T>& left, const T* keys, T* out) {
  s.keys.over_parts(b.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = b.rows,
                              .n = count,
                              .k = s.width,
                              .a = left.rows,
                              .a_stride = left.stride,
                              .b = keys + offset,
                              .b_stride = s.keys.row,
                              .b_transposed = true,
                              .c = out + first,
                              .c_stride = b.seen,
                              .alpha = left.factor});
  });
}

/// target [rows, width] = left [rows, seen] keys, or values
template <class T>
void sum_keys(const Shape& s, const Block& b, const T* left, const T* keys, T* target,
              std::int64_t stride) {
  s.keys.over_parts(b.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = b.rows,
                              .n = s.width,
                              .k = count,
                              .a = left + first,
                              .a_stride = b.seen,
                              .b = keys + offset,
                              .b_stride = s.keys.row,
                              .c = target,
                              .c_stride = stride,
                              .beta = first == 0 ? T{0} : T{1}});
  });
}

/// target [seen, width] (+)= left [rows, seen]^T right [rows, width]. The blocks go from the last
/// row to the first, so the first one writes every key that is seen.
template <class T>
void add_transposed(const Shape& s, const Block& b, const T* left, const T* right,
                    std::int64_t right_stride, T* target) {
  s.keys.over_parts(b.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = count,
                              .n = s.width,
                              .k = b.rows,
                              .a = left + first,
                              .a_stride = b.seen,
                              .a_transposed = true,
                              .b = right,
                              .b_stride = right_stride,
                              .c = target + offset,
                              .c_stride = s.keys.row,
                              .beta = b.first + b.rows == s.tokens ? T{0} : T{1}});
  });
}

/// One head: its first row in each operand, and its log-sum-exps.
template <class T>
struct ForwardHead {
  const T* q;
  const T* keys;
  T* y;
  T* log_sum_exp;
  std::int64_t number;  // among the heads of all samples
};

template <class T>
void forward_head(const Shape& s, const DropoutMask& mask, const ForwardHead<T>& head, T* p) {
  const std::int64_t row = 3 * s.channels;
  for (std::int64_t first = 0; first < s.tokens; first += k_flash_rows) {
    const Block block = s.block(first);
    times_keys(s, block, Left<T>{head.q + first * row, row, s.scale<T>()}, head.keys, p);
    softmax_rows(block, p, head.log_sum_exp);
    if (mask.drops()) drop_rows(mask, s, head.number, block, p, p);
    sum_keys(s, block, static_cast<const T*>(p), head.keys + s.keys.values,
             head.y + first * s.channels, s.channels);
  }
}

template <class T>
struct BackwardHead {
  const T* q;
  const T* keys;
  T* dq;
  T* dkeys;
  const T* log_sum_exp;
  Gradient<T> gradient;
  std::int64_t number;
};

/// `p` has room for two blocks of scores: the second one is dS.
template <class T>
void backward_block(const Shape& s, const DropoutMask& mask, const BackwardHead<T>& head,
                    const Block& block, T* p) {
  T* const ds = p + s.room();
  const std::int64_t row = 3 * s.channels;
  const T* const q = head.q + block.first * row;
  const T* const dy = head.gradient.dy + block.first * s.channels;
  const T* const values = head.keys + s.keys.values;
  times_keys(s, block, Left<T>{q, row, s.scale<T>()}, head.keys, p);
  probabilities_again(block, p, head.log_sum_exp);
  if (mask.drops()) drop_rows(mask, s, head.number, block, p, ds);
  add_transposed(s, block, static_cast<const T*>(mask.drops() ? ds : p), dy, s.channels,
                 head.dkeys + s.keys.values);
  times_keys(s, block, Left<T>{dy, s.channels, T{1}}, values, ds);
  if (mask.drops()) drop_rows(mask, s, head.number, block, ds, ds);
  score_gradient(block, p, ds, head.gradient);
  sum_keys(s, block, static_cast<const T*>(ds), head.keys, head.dq + block.first * row, row);
  add_transposed(s, block, static_cast<const T*>(ds), q, row, head.dkeys);
}

}  // namespace

template <class T>
void flash_attention_forward(const KernelCall& call) {
  const Shape s(call);
  const DropoutMask mask(call);
  s.for_each_head<T>(call, 1, [&](std::int64_t b, std::int64_t h, T* room) {
    const std::int64_t number = b * s.heads + h;
    const ForwardHead<T> head{.q = call.pointer<const T>("qkv") + s.qkv(b, h),
                              .keys = s.keys.pointer<const T>(call, false) + s.key(b, h),
                              .y = call.pointer<T>("y") + s.y(b, h),
                              .log_sum_exp = call.pointer<T>("log_sum_exp") + number * s.tokens,
                              .number = number};
    forward_head(s, mask, head, room);
  });
}

template <class T>
void flash_attention_backward(const KernelCall& call) {
  const Shape s(call);
  const DropoutMask mask(call);
  const std::int64_t last_block = (s.tokens - 1) / k_flash_rows * k_flash_rows;
  s.for_each_head<T>(call, 2, [&](std::int64_t b, std::int64_t h, T* room) {
    const std::int64_t number = b * s.heads + h;
    const BackwardHead<T> head{
        .q = call.pointer<const T>("qkv") + s.qkv(b, h),
        .keys = s.keys.pointer<const T>(call, false) + s.key(b, h),
        .dq = call.pointer<T>("dqkv") + s.qkv(b, h),
        .dkeys = s.keys.pointer<T>(call, true) + s.key(b, h),
        .log_sum_exp = call.pointer<const T>("log_sum_exp") + number * s.tokens,
        .gradient = {call.pointer<const T>("y") + s.y(b, h),
                     call.pointer<const T>("dy") + s.y(b, h), s.channels, s.width, s.scale<T>()},
        .number = number};
    s.keys.clear(head.dkeys, head.dq, s.tokens, s.width);
    for (std::int64_t first = last_block; first >= 0; first -= k_flash_rows) {
      backward_block(s, mask, head, s.block(first), room);
    }
  });
}

template void flash_attention_forward<float>(const KernelCall&);
template void flash_attention_forward<double>(const KernelCall&);
template void flash_attention_backward<float>(const KernelCall&);
template void flash_attention_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
