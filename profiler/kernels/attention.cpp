#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Causal self-attention (Vaswani et al. 2017), one head at a time: P = softmax(Q K^T / sqrt(D)),
// Y = P V. Backward: dV = P^T dY, dP = dY V^T, dS = P (dP - sum(dP P)) / sqrt(D), dQ = dS K,
// dK = dS^T Q. Q, K and V of a head are columns of qkv [B,T,3C]: strided, never copied.

namespace tidemark::kernels {
namespace {

/// Sizes of one attention op and the place of one head in its operands.
struct Heads {
  std::int64_t batch, tokens, channels, count, head_channels;

  explicit Heads(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        count(call.integer("heads")),
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
  template <class T>
  [[nodiscard]] T scale() const {
    return static_cast<T>(1 / std::sqrt(static_cast<double>(head_channels)));
  }
};

/// Row t becomes a softmax over its first t + 1 entries; the rest, the future, becomes 0.
template <class T>
TIDEMARK_CLONES void causal_softmax(T* p, std::int64_t tokens) {
  for (std::int64_t t = 0; t < tokens; ++t) {
    T* row = p + t * tokens;
    const std::int64_t seen = t + 1;
    const T shift = largest(row, seen);
    for (std::int64_t s = 0; s < seen; ++s) row[s] = exponential(row[s] - shift);
    const T inverse = T{1} / sum(row, seen);
    for (std::int64_t s = 0; s < seen; ++s) row[s] *= inverse;
    for (std::int64_t s = seen; s < tokens; ++s) row[s] = T{0};
  }
}

/// dP becomes dS in place. What lies in the future is not read.
template <class T>
TIDEMARK_CLONES void causal_softmax_backward(const T* p, T* dp, std::int64_t tokens, T scale) {
  for (std::int64_t t = 0; t < tokens; ++t) {
    const T* p_row = p + t * tokens;
    T* dp_row = dp + t * tokens;
    const std::int64_t seen = t + 1;
    const T common = dot(p_row, dp_row, seen);
    for (std::int64_t s = 0; s < seen; ++s) dp_row[s] = p_row[s] * (dp_row[s] - common) * scale;
    for (std::int64_t s = seen; s < tokens; ++s) dp_row[s] = T{0};
  }
}

}  // namespace

template <class T>
void attention_forward(const KernelCall& call) {
  const Heads heads(call);
  const std::int64_t t = heads.tokens;
  const std::int64_t d = heads.head_channels;
  const std::int64_t c = heads.channels;
  for (std::int64_t b = 0; b < heads.batch; ++b) {
    for (std::int64_t h = 0; h < heads.count; ++h) {
      const T* q = call.pointer<const T>("qkv") + heads.qkv_offset(b, h);
      T* p = call.pointer<T>("probabilities") + heads.p_offset(b, h);
      T* y = call.pointer<T>("y") + heads.y_offset(b, h);
      multiply(MatrixProduct<T>{.m = t,
                                .n = t,
                                .k = d,
                                .a = q,
                                .a_stride = 3 * c,
                                .b = q + c,
                                .b_stride = 3 * c,
                                .b_transposed = true,
                                .c = p,
                                .c_stride = t,
                                .alpha = heads.scale<T>()});
      causal_softmax(p, t);
      multiply(MatrixProduct<T>{.m = t,
                                .n = d,
                                .k = t,
                                .a = p,
                                .a_stride = t,
                                .b = q + 2 * c,
                                .b_stride = 3 * c,
                                .c = y,
                                .c_stride = c});
    }
  }
}

template <class T>
void attention_backward(const KernelCall& call) {
  const Heads heads(call);
  const std::int64_t t = heads.tokens;
  const std::int64_t d = heads.head_channels;
  const std::int64_t c = heads.channels;
  T* ds = call.pointer<T>("workspace");  // [T,T], of one head at a time
  for (std::int64_t b = 0; b < heads.batch; ++b) {
    for (std::int64_t h = 0; h < heads.count; ++h) {
      const T* q = call.pointer<const T>("qkv") + heads.qkv_offset(b, h);
      const T* p = call.pointer<const T>("probabilities") + heads.p_offset(b, h);
      const T* dy = call.pointer<const T>("dy") + heads.y_offset(b, h);
      T* dq = call.pointer<T>("dqkv") + heads.qkv_offset(b, h);
      multiply(MatrixProduct<T>{.m = t,
                                .n = d,
                                .k = t,
                                .a = p,
                                .a_stride = t,
                                .a_transposed = true,
                                .b = dy,
                                .b_stride = c,
                                .c = dq + 2 * c,
                                .c_stride = 3 * c});
      multiply(MatrixProduct<T>{.m = t,
                                .n = t,
                                .k = d,
                                .a = dy,
                                .a_stride = c,
                                .b = q + 2 * c,
                                .b_stride = 3 * c,
                                .b_transposed = true,
                                .c = ds,
                                .c_stride = t});
      causal_softmax_backward(p, ds, t, heads.scale<T>());
      multiply(MatrixProduct<T>{.m = t,
                                .n = d,
                                .k = t,
                                .a = ds,
                                .a_stride = t,
                                .b = q + c,
                                .b_stride = 3 * c,
                                .c = dq,
                                .c_stride = 3 * c});
      multiply(MatrixProduct<T>{.m = t,
                                .n = d,
                                .k = t,
                                .a = ds,
                                .a_stride = t,
                                .a_transposed = true,
                                .b = q,
                                .b_stride = 3 * c,
                                .c = dq + c,
                                .c_stride = 3 * c});
    }
  }
}

template void attention_forward<float>(const KernelCall&);
template void attention_forward<double>(const KernelCall&);
template void attention_backward<float>(const KernelCall&);
template void attention_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
