#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "profiler/kernels/attention_keys.h"
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
// columns of qkv [B,T,3C], or K and V of kv (attention_keys.h): strided, never copied. T queries
// see S keys, T of them when there is no kv.

namespace tidemark::kernels {
namespace {

/// The dropout of one head: element (t, s) of its scores has number `first` + t S + s.
struct HeadMask {
  const DropoutMask& mask;
  std::uint64_t first;
};

/// Sizes of one attention op and the place of one head in its operands.
struct Heads {
  std::int64_t batch, tokens, channels, count, head_channels;
  AttentionKeys keys;

  explicit Heads(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        count(call.count("heads")),
        head_channels(channels / count),
        keys(call) {}

  /// Of q. Rows are 3C apart.
  [[nodiscard]] std::int64_t qkv_offset(std::int64_t b, std::int64_t h) const {
    return b * tokens * 3 * channels + h * head_channels;
  }
  [[nodiscard]] std::int64_t y_offset(std::int64_t b, std::int64_t h) const {
    return b * tokens * channels + h * head_channels;
  }
  [[nodiscard]] std::int64_t p_offset(std::int64_t b, std::int64_t h) const {
    return (b * count + h) * tokens * keys.count;
  }
  [[nodiscard]] std::int64_t key_offset(std::int64_t b, std::int64_t h) const {
    return keys.offset(b, h * head_channels);
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

/// Rows [begin, end) of the scores of one head; what lies at or beyond `seen` is future for all of
/// them, so a block needs [0, seen) of the keys only.
struct RowBlock {
  std::int64_t begin, end, seen;
  [[nodiscard]] std::int64_t rows() const { return end - begin; }
  /// Keys that row t sees.
  [[nodiscard]] std::int64_t seen_by(std::int64_t t) const { return seen - end + t + 1; }
};

constexpr std::int64_t k_block_rows = 64;

/// From the last to the first: the last one reaches every key that any of them sees.
std::vector<RowBlock> blocks_of(const Heads& heads) {
  std::vector<RowBlock> blocks;
  for (std::int64_t end = heads.tokens; end > 0;) {
    const std::int64_t begin = (end - 1) / k_block_rows * k_block_rows;
    blocks.push_back({begin, end, heads.keys.position + end});
    end = begin;
  }
  return blocks;
}

/// Row t of `keys` scores becomes a softmax over those that it sees; the rest, the future, becomes
/// 0.
template <class T>
TIDEMARK_CLONES void causal_softmax(T* p, std::int64_t keys, RowBlock block) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    T* row = p + t * keys;
    const std::int64_t seen = block.seen_by(t);
    const std::int64_t count = whole_vectors(seen, block.seen);
    std::fill(row + seen, row + count, std::numeric_limits<T>::lowest());
    const T shift = largest(row, count);
    for (std::int64_t s = 0; s < count; ++s) row[s] = exponential(row[s] - shift);
    std::fill(row + seen, row + keys, T{0});
    const T inverse = T{1} / sum(row, count);
    for (std::int64_t s = 0; s < count; ++s) row[s] *= inverse;
  }
}

/// dP of the block, from its first row on, becomes dS in place. What lies in the future is not
/// read.
template <class T>
TIDEMARK_CLONES void causal_softmax_backward(const T* p, T* dp, std::int64_t keys, T scale,
                                             RowBlock block) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    const T* p_row = p + t * keys;
    T* dp_row = dp + (t - block.begin) * keys;
    const std::int64_t seen = block.seen_by(t);
    const std::int64_t count = whole_vectors(seen, block.seen);
    std::fill(dp_row + seen, dp_row + keys, T{0});
    const T common = dot(p_row, dp_row, count);
    for (std::int64_t s = 0; s < count; ++s) dp_row[s] = p_row[s] * (dp_row[s] - common) * scale;
  }
}

/// Rows of `to` become the masked rows of a block of `from`, both from the block's first row on;
/// the future becomes 0. `to` may be `from`.
template <class T>
TIDEMARK_CLONES void drop_rows(const HeadMask& m, std::int64_t keys, RowBlock block, const T* from,
                               T* to) {
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    const std::int64_t row = (t - block.begin) * keys;
    const std::int64_t seen = block.seen_by(t);
    drop(m.mask, m.first + static_cast<std::uint64_t>(t * keys), from + row, to + row, seen);
    for (std::int64_t s = seen; s < block.seen; ++s) to[row + s] = T{0};
  }
}

/// One head: pointers to its first row in each operand.
template <class T>
struct ForwardHead {
  const T* q;
  const T* keys;
  T* p;
  T* y;
  T* dropped;  // room for the masked rows of a block
  HeadMask mask;
};

template <class T>
void forward_block(const Heads& heads, const ForwardHead<T>& head, RowBlock block) {
  const AttentionKeys& keys = heads.keys;
  const std::int64_t c = heads.channels;
  T* const p = head.p + block.begin * keys.count;
  keys.over_parts(block.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = block.rows(),
                              .n = count,
                              .k = heads.head_channels,
                              .a = head.q + block.begin * 3 * c,
                              .a_stride = 3 * c,
                              .b = head.keys + offset,
                              .b_stride = keys.row,
                              .b_transposed = true,
                              .c = p + first,
                              .c_stride = keys.count,
                              .alpha = heads.scale<T>()});
  });
  causal_softmax(head.p, keys.count, block);
  const bool drops = head.mask.mask.drops();
  if (drops) drop_rows(head.mask, keys.count, block, p, head.dropped);
  keys.over_parts(block.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = block.rows(),
                              .n = heads.head_channels,
                              .k = count,
                              .a = (drops ? head.dropped : p) + first,
                              .a_stride = keys.count,
                              .b = head.keys + keys.values + offset,
                              .b_stride = keys.row,
                              .c = head.y + block.begin * c,
                              .c_stride = c,
                              .beta = first == 0 ? T{0} : T{1}});
  });
}

template <class T>
struct BackwardHead {
  const T* q;
  const T* keys;
  const T* p;
  const T* dy;
  T* dq;
  T* dkeys;
  T* ds;  // rows of a block
  HeadMask mask;
};

/// target [seen, D] (+)= left [rows, seen]^T right [rows, D]: gradients of all keys, or values,
/// that the block sees. The last block writes them, the others add.
template <class T>
void add_transposed(const Heads& heads, RowBlock block, const T* left, const T* right,
                    std::int64_t right_stride, T* target) {
  const AttentionKeys& keys = heads.keys;
  keys.over_parts(block.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = count,
                              .n = heads.head_channels,
                              .k = block.rows(),
                              .a = left + first,
                              .a_stride = keys.count,
                              .a_transposed = true,
                              .b = right,
                              .b_stride = right_stride,
                              .c = target + offset,
                              .c_stride = keys.row,
                              .beta = block.end == heads.tokens ? T{0} : T{1}});
  });
}

template <class T>
void backward_block(const Heads& heads, const BackwardHead<T>& head, RowBlock block) {
  const AttentionKeys& keys = heads.keys;
  const std::int64_t d = heads.head_channels;
  const std::int64_t c = heads.channels;
  const T* const p = head.p + block.begin * keys.count;
  const T* const dy = head.dy + block.begin * c;
  const T* const q = head.q + block.begin * 3 * c;
  T* const ds = head.ds;
  const bool drops = head.mask.mask.drops();
  if (drops) drop_rows(head.mask, keys.count, block, p, ds);
  add_transposed(heads, block, drops ? ds : p, dy, c, head.dkeys + keys.values);
  keys.over_parts(block.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = block.rows(),
                              .n = count,
                              .k = d,
                              .a = dy,
                              .a_stride = c,
                              .b = head.keys + keys.values + offset,
                              .b_stride = keys.row,
                              .b_transposed = true,
                              .c = ds + first,
                              .c_stride = keys.count});
  });
  if (drops) drop_rows(head.mask, keys.count, block, ds, ds);
  causal_softmax_backward(head.p, ds, keys.count, heads.scale<T>(), block);
  keys.over_parts(block.seen, [&](std::int64_t first, std::int64_t count, std::int64_t offset) {
    multiply(MatrixProduct<T>{.m = block.rows(),
                              .n = d,
                              .k = count,
                              .a = ds + first,
                              .a_stride = keys.count,
                              .b = head.keys + offset,
                              .b_stride = keys.row,
                              .c = head.dq + block.begin * 3 * c,
                              .c_stride = 3 * c,
                              .beta = first == 0 ? T{0} : T{1}});
  });
  add_transposed(heads, block, static_cast<const T*>(ds), q, 3 * c, head.dkeys);
}

}  // namespace

template <class T>
void attention_forward(const KernelCall& call) {
  const Heads heads(call);
  const DropoutMask mask(call);
  const std::vector<RowBlock> blocks = blocks_of(heads);
  // With dropout there is room for the masked rows of one head at a time.
  const std::int64_t lanes = mask.drops() ? 1 : heads.batch * heads.count;
  heads.for_each(call, lanes, [&](std::int64_t b, std::int64_t h, std::int64_t) {
    const ForwardHead<T> head{call.pointer<const T>("qkv") + heads.qkv_offset(b, h),
                              heads.keys.pointer<const T>(call, false) + heads.key_offset(b, h),
                              call.pointer<T>("probabilities") + heads.p_offset(b, h),
                              call.pointer<T>("y") + heads.y_offset(b, h),
                              call.pointer<T>("workspace"),
                              heads.mask_of(mask, b, h)};
    for (const RowBlock& block : blocks) forward_block(heads, head, block);
  });
}

template <class T>
void attention_backward(const KernelCall& call) {
  const Heads heads(call);
  const DropoutMask mask(call);
  const std::vector<RowBlock> blocks = blocks_of(heads);
  // The workspace [T,S] has room for the rows of a block of so many heads at a time.
  const std::int64_t lanes = std::max<std::int64_t>(1, heads.tokens / k_block_rows);
  heads.for_each(call, lanes, [&](std::int64_t b, std::int64_t h, std::int64_t lane) {
    const BackwardHead<T> head{
        call.pointer<const T>("qkv") + heads.qkv_offset(b, h),
        heads.keys.pointer<const T>(call, false) + heads.key_offset(b, h),
        call.pointer<const T>("probabilities") + heads.p_offset(b, h),
        call.pointer<const T>("dy") + heads.y_offset(b, h),
        call.pointer<T>("dqkv") + heads.qkv_offset(b, h),
        heads.keys.pointer<T>(call, true) + heads.key_offset(b, h),
        call.pointer<T>("workspace") + lane * k_block_rows * heads.keys.count,
        heads.mask_of(mask, b, h)};
    heads.keys.clear(head.dkeys, head.dq, heads.tokens, heads.head_channels);
    for (const RowBlock& block : blocks) backward_block(heads, head, block);
  });
}

template void attention_forward<float>(const KernelCall&);
template void attention_forward<double>(const KernelCall&);
template void attention_backward<float>(const KernelCall&);
template void attention_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
