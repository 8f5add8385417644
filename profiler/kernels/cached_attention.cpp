#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Causal self-attention of new tokens over all tokens so far (formulas: attention.cpp). Keys and
// values of the new tokens are appended to the cache first; those of earlier ones are in it. Keys
// and values of a head are columns of the caches [B,S,C], k_flash_rows rows of scores at a time.

namespace tidemark::kernels {
namespace {

struct Sizes {
  std::int64_t batch, tokens, channels, heads, width, room, position;

  explicit Sizes(const KernelCall& call)
      : batch(call.buffer("qkv").shape[0]),
        tokens(call.buffer("qkv").shape[1]),
        channels(call.columns("qkv") / 3),
        heads(call.count("heads")),
        width(channels / heads),
        room(call.buffer("keys").shape[1]),
        position(call.position(tokens, room)) {}
};

/// Rows of one head: the first of its queries, keys, values and outputs, and room for scores.
template <class T>
struct Head {
  const T* q;
  const T* keys;
  const T* values;
  T* y;
  T* scores;
};

/// Row r, which sees `first_seen` + r of `columns` scores, becomes a softmax; the rest becomes 0.
template <class T>
TIDEMARK_CLONES void softmax_of_seen(T* scores, std::int64_t rows, std::int64_t columns,
                                     std::int64_t first_seen) {
  for (std::int64_t r = 0; r < rows; ++r) {
    T* row = scores + r * columns;
    const std::int64_t seen = first_seen + r;
    const T shift = largest(row, seen);
    for (std::int64_t s = 0; s < seen; ++s) row[s] = exponential(row[s] - shift);
    const T inverse = T{1} / sum(row, seen);
    for (std::int64_t s = 0; s < seen; ++s) row[s] *= inverse;
    std::fill(row + seen, row + columns, T{0});
  }
}

template <class T>
void attend(const Sizes& s, const Head<T>& head) {
  const T scale = static_cast<T>(1 / std::sqrt(static_cast<double>(s.width)));
  for (std::int64_t first = 0; first < s.tokens; first += k_flash_rows) {
    const std::int64_t rows = std::min(k_flash_rows, s.tokens - first);
    const std::int64_t seen = s.position + first + rows;
    multiply(MatrixProduct<T>{.m = rows,
                              .n = seen,
                              .k = s.width,
                              .a = head.q + first * 3 * s.channels,
                              .a_stride = 3 * s.channels,
                              .b = head.keys,
                              .b_stride = s.channels,
                              .b_transposed = true,
                              .c = head.scores,
                              .c_stride = seen,
                              .alpha = scale});
    softmax_of_seen(head.scores, rows, seen, seen - rows + 1);
    multiply(MatrixProduct<T>{.m = rows,
                              .n = s.width,
                              .k = seen,
                              .a = head.scores,
                              .a_stride = seen,
                              .b = head.values,
                              .b_stride = s.channels,
                              .c = head.y + first * s.channels,
                              .c_stride = s.channels});
  }
}

}  // namespace

template <class T>
void cached_attention_forward(const KernelCall& call) {
  const Sizes s(call);
  T* const keys = call.pointer<T>("keys");
  T* const values = call.pointer<T>("values");
  for (std::int64_t b = 0; b < s.batch; ++b) {
    const T* const qkv = call.pointer<const T>("qkv") + b * s.tokens * 3 * s.channels;
    T* const y = call.pointer<T>("y") + b * s.tokens * s.channels;
    const std::int64_t cache = b * s.room * s.channels;
    for (std::int64_t t = 0; t < s.tokens; ++t) {
      const T* const row = qkv + t * 3 * s.channels;
      const std::int64_t place = cache + (s.position + t) * s.channels;
      std::copy_n(row + s.channels, s.channels, keys + place);
      std::copy_n(row + 2 * s.channels, s.channels, values + place);
    }
    for (std::int64_t h = 0; h < s.heads; ++h) {
      const std::int64_t column = h * s.width;
      attend(s, Head<T>{qkv + column, keys + cache + column, values + cache + column, y + column,
                        call.pointer<T>("workspace")});
    }
  }
}

template void cached_attention_forward<float>(const KernelCall&);
template void cached_attention_forward<double>(const KernelCall&);

}  // namespace tidemark::kernels
