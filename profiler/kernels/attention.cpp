#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"

// Causal self-attention (Vaswani et al. 2017), one head at a time: P = softmax(Q K^T / sqrt(D)),
// Y = P V. Backward: dV = P^T dY, dP = dY V^T, dS = P (dP - sum(dP P)) / sqrt(D), dQ = dS K,
// dK = dS^T Q. With dropout, D = mask(P) takes the place of P in Y and dV, and dP = mask(dD). All
// by blocks of rows that leave out what lies in the future of all of them. Q, K and V of a head are
// columns of qkv [B,T,3C]: strided, never copied.

namespace tidemark::kernels {
namespace {

/// The dropout of one head: element (t, s) of its scores has number `first` + t T + s.
struct HeadMask {
  const DropoutMask& mask;
  std::uint64_t first;
};

/// Sizes of one attention op and the place of one head in its operands.
struct Heads {
  std::int64_t batch, tokens, channels, count, head_channels;

  explicit Heads(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        count(call.count("heads")),
        head_channels(channels / count) {}

  /// Of q; k and v follow at + C and + 2C. Rows are 3C apart.
  [[nodiscard]] std::int64_t qkv_offset(std::int64_t b, std::int64_t h) const {
    return b * tokens * 3 * channels + h * head_channels;
  }
  [[nodiscard]] std::int64_t y_offset(std::int64_t b, std::int64_t h) const {
    return b * tokens * channels + h * head_channels;
  }
  [[nodiscard]] std::int64_t p_offset(std::int64_t b, std::int64_t h) const {
    return (b * count + h) * tokens * tokens;
  }
  [[nodiscard]] HeadMask mask_of(const DropoutMask& mask, std::int64_t b, std::int64_t h) const {
    return {mask, static_cast<std::uint64_t>(p_offset(b, h))};
  }
  template <class T>
  [[nodiscard]] T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(head_channels)));
  }

  /// Calls one(b, h, lane) for every head; those of a lane one after the other.
  template <class One>
  void for_each(const KernelCall& call, std::int64_t lanes, const One& one) const {
    run_parts(call, lanes, [&](std::int64_t lane) {
      for (std::int64_t i = lane; i < batch * count; i += lanes) one(i / count, i % count, lane);
    });
  }
};

/// Rows [begin, end) of the scores of one head; what lies at or beyond `end` is future for all of
/// them, so a block needs [0, end) of the keys only.
struct RowBlock {
  std::int64_t begin, end;
  [[nodiscard]] std::int64_t rows() const { return end - begin; }
};

constexpr std::int64_t k_block_rows = 64;

/// From the last to the first: the last one reaches every key.
std::vector<RowBlock> blocks_of(std::int64_t tokens) {
  std::vector<RowBlock> blocks;
  for (std::int64_t end = tokens; end > 0;) {
    const std::int64_t begin = (end - 1) / k_block_rows * k_block_rows;
    blocks.push_back({begin, end});
    end = begin;
  }
  return blocks;
}

/// Row t becomes a softmax over its first t + 1 entries; the rest, the future, becomes 0.
template <class T>
TIDEMARK_CLONES void causal_softmax(T* p, std::int64_t tokens, RowBlock block) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    T* row = p + t * tokens;
    const std::int64_t seen = t + 1;
    const std::int64_t count = whole_vectors(seen, block.end);
    std::fill(row + seen, row + count, std::numeric_limits<T>::lowest());
    const T shift = largest(row, count);
    for (std::int64_t s = 0; s < count; ++s) row[s] = exponential(row[s] - shift);
    std::fill(row + seen, row + tokens, T{0});
    const T inverse = T{1} / sum(row, count);
    for (std::int64_t s = 0; s < count; ++s) row[s] *= inverse;
  }
}

/// dP of the block, from its first row on, becomes dS in place. What lies in the future is not
/// read.
template <class T>
TIDEMARK_CLONES void causal_softmax_backward(const T* p, T* dp, std::int64_t tokens, T scale,
                                             RowBlock block) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    const T* p_row = p + t * tokens;
    T* dp_row = dp + (t - block.begin) * tokens;
    const std::int64_t seen = t + 1;
    const std::int64_t count = whole_vectors(seen, block.end);
    std::fill(dp_row + seen, dp_row + tokens, T{0});
    const T common = dot(p_row, dp_row, count);
    for (std::int64_t s = 0; s < count; ++s) dp_row[s] = p_row[s] * (dp_row[s] - common) * scale;
  }
}

/// Rows of `to` become the masked rows of a block of `from`, both from the block's first row on;
/// the future becomes 0. `to` may be `from`.
template <class T>
TIDEMARK_CLONES void drop_rows(const HeadMask& m, std::int64_t tokens, RowBlock block,
                               const T* from, T* to) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    const std::int64_t row = (t - block.begin) * tokens;
    const std::int64_t seen = t + 1;
    drop(m.mask, m.first + static_cast<std::uint64_t>(t * tokens), from + row, to + row, seen);
    for (std::int64_t s = seen; s < block.end; ++s) to[row + s] = T{0};
  }
}

/// One head: pointers to its first row in each operand.
template <class T>
struct ForwardHead {
  const T* q;
  T* p;
  T* y;
  T* dropped;  // room for the masked rows of a block
  HeadMask mask;
};

template <class T>
void forward_block(const Heads& heads, const ForwardHead<T>& head, RowBlock block) {
  const std::int64_t t = heads.tokens;
  const std::int64_t c = heads.channels;
  T* const p = head.p + block.begin * t;
  multiply(MatrixProduct<T>{.m = block.rows(),
                            .n = block.end,
                            .k = heads.head_channels,
                            .a = head.q + block.begin * 3 * c,
                            .a_stride = 3 * c,
                            .b = head.q + c,
                            .b_stride = 3 * c,
                            .b_transposed = true,
                            .c = p,
                            .c_stride = t,
                            .alpha = heads.scale<T>()});
  causal_softmax(head.p, t, block);
  const bool drops = head.mask.mask.drops();
  if (drops) drop_rows(head.mask, t, block, p, head.dropped);
  multiply(MatrixProduct<T>{.m = block.rows(),
                            .n = heads.head_channels,
                            .k = block.end,
                            .a = drops ? head.dropped : p,
                            .a_stride = t,
                            .b = head.q + 2 * c,
                            .b_stride = 3 * c,
                            .c = head.y + block.begin * c,
                            .c_stride = c});
}

template <class T>
struct BackwardHead {
  const T* q;
  const T* p;
  const T* dy;
  T* dq;
  T* ds;  // rows of a block
  HeadMask mask;
};

/// dK and dV of all keys that the block sees: the last block writes them, the others add.
template <class T>
void backward_block(const Heads& heads, const BackwardHead<T>& head, RowBlock block) {
  const std::int64_t t = heads.tokens;
  const std::int64_t d = heads.head_channels;
  const std::int64_t c = heads.channels;
  const T* const p = head.p + block.begin * t;
  const T* const dy = head.dy + block.begin * c;
  T* const ds = head.ds;
  const T beta = block.end == t ? T{0} : T{1};
  const bool drops = head.mask.mask.drops();
  if (drops) drop_rows(head.mask, t, block, p, ds);
  multiply(MatrixProduct<T>{.m = block.end,
                            .n = d,
                            .k = block.rows(),
                            .a = drops ? ds : p,
                            .a_stride = t,
                            .a_transposed = true,
                            .b = dy,
                            .b_stride = c,
                            .c = head.dq + 2 * c,
                            .c_stride = 3 * c,
                            .beta = beta});
  multiply(MatrixProduct<T>{.m = block.rows(),
                            .n = block.end,
                            .k = d,
                            .a = dy,
                            .a_stride = c,
                            .b = head.q + 2 * c,
                            .b_stride = 3 * c,
                            .b_transposed = true,
                            .c = ds,
                            .c_stride = t});
  if (drops) drop_rows(head.mask, t, block, ds, ds);
  causal_softmax_backward(head.p, ds, t, heads.scale<T>(), block);
  multiply(MatrixProduct<T>{.m = block.rows(),
                            .n = d,
                            .k = block.end,
                            .a = ds,
                            .a_stride = t,
                            .b = head.q + c,
                            .b_stride = 3 * c,
                            .c = head.dq + block.begin * 3 * c,
                            .c_stride = 3 * c});
  multiply(MatrixProduct<T>{.m = block.end,
                            .n = d,
                            .k = block.rows(),
                            .a = ds,
                            .a_stride = t,
                            .a_transposed = true,
                            .b = head.q + block.begin * 3 * c,
                            .b_stride = 3 * c,
                            .c = head.dq + c,
                            .c_stride = 3 * c,
                            .beta = beta});
}

}  // namespace

template <class T>
void attention_forward(const KernelCall& call) {
  const Heads heads(call);
  const DropoutMask mask(call);
  const std::vector<RowBlock> blocks = blocks_of(heads.tokens);
  // With dropout there is room for the masked rows of one head at a time.
  const std::int64_t lanes = mask.drops() ? 1 : heads.batch * heads.count;
  heads.for_each(call, lanes, [&](std::int64_t b, std::int64_t h, std::int64_t) {
    const ForwardHead<T> head{call.pointer<const T>("qkv") + heads.qkv_offset(b, h),
                              call.pointer<T>("probabilities") + heads.p_offset(b, h),
                              call.pointer<T>("y") + heads.y_offset(b, h),
                              call.pointer<T>("workspace"), heads.mask_of(mask, b, h)};
    for (const RowBlock& block : blocks) forward_block(heads, head, block);
  });
}

template <class T>
void attention_backward(const KernelCall& call) {
  const Heads heads(call);
  const DropoutMask mask(call);
  const std::vector<RowBlock> blocks = blocks_of(heads.tokens);
  // The workspace [T,T] has room for the rows of a block of so many heads at a time.
  const std::int64_t lanes = std::max<std::int64_t>(1, heads.tokens / k_block_rows);
  heads.for_each(call, lanes, [&](std::int64_t b, std::int64_t h, std::int64_t lane) {
    const BackwardHead<T> head{call.pointer<const T>("qkv") + heads.qkv_offset(b, h),
                               call.pointer<const T>("probabilities") + heads.p_offset(b, h),
                               call.pointer<const T>("dy") + heads.y_offset(b, h),
                               call.pointer<T>("dqkv") + heads.qkv_offset(b, h),
                               call.pointer<T>("workspace") + lane * k_block_rows * heads.tokens,
                               heads.mask_of(mask, b, h)};
    for (const RowBlock& block : blocks) backward_block(heads, head, block);
  });
}

template void attention_forward<float>(const KernelCall&);
template void attention_forward<double>(const KernelCall&);
template void attention_backward<float>(const KernelCall&);
template void attention_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
