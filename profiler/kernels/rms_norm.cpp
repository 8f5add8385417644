#include <algorithm>
#include <cmath>

#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"

// Root mean square normalisation (Zhang and Sennrich 2019). With r = inverse_rms, n = x r and
// g = dy w: dx = r (g - n mean(g n)), dw = sum(dy n).

namespace tidemark::kernels {
namespace {

template <class T, class Output>
struct ForwardRow {
  const T* x;
  const T* w;
  Output* y;
  std::int64_t channels;
  T epsilon;
};

/// Returns inverse_rms.
template <class T, class Output>
TIDEMARK_CLONES T forward_row(const ForwardRow<T, Output>& row) {
  const T mean_square = dot(row.x, row.x, row.channels) / static_cast<T>(row.channels);
  const T inverse_rms = T{1} / std::sqrt(mean_square + row.epsilon);
  for (std::int64_t c = 0; c < row.channels; ++c) {
    row.y[c] = as_element<Output>(row.x[c] * inverse_rms * row.w[c]);
  }
  return inverse_rms;
}

template <class T, class Output>
void forward_rows(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  T* const inverse_rms = call.pointer<T>("inverse_rms");
  const ForwardRow<T, Output> row{.x = call.pointer<const T>("x"),
                                  .w = call.pointer<const T>("w"),
                                  .y = call.pointer<Output>("y"),
                                  .channels = channels,
                                  .epsilon = static_cast<T>(call.real("epsilon"))};
  over_rows(call, call.rows("x"), channels, [&](std::int64_t begin, std::int64_t end) {
    ForwardRow<T, Output> at = row;
    for (std::int64_t i = begin; i < end; ++i) {
      at.x = row.x + i * channels;
      at.y = row.y + i * channels;
      inverse_rms[i] = forward_row(at);
    }
  });
}

template <class T>
struct BackwardRow {
  const T* dy;
  const T* x;
  const T* w;
  const T* residual;  // null: none
  T inverse_rms;
  T* dx;
  std::int64_t channels;
};

template <class T>
TIDEMARK_CLONES void backward_row(const BackwardRow<T>& row) {
  const std::int64_t channels = row.channels;
  const T r = row.inverse_rms;
  const T* x = row.x;
  T* dx = row.dx;
  // dx holds g while its mean with n is formed.
  for (std::int64_t c = 0; c < channels; ++c) dx[c] = row.dy[c] * row.w[c];
  const T mean_gn = dot(dx, x, channels) / static_cast<T>(channels) * r;
  for (std::int64_t c = 0; c < channels; ++c) dx[c] = r * (dx[c] - x[c] * r * mean_gn);
  if (row.residual == nullptr) return;
  for (std::int64_t c = 0; c < channels; ++c) dx[c] += row.residual[c];
}

/// Of all rows, for some of the channels.
template <class T>
struct WeightGradient {
  const T* dy;
  const T* x;
  const T* inverse_rms;
  T* dw;
  std::int64_t rows, channels;
};

/// dw of the channels [begin, end), row by row.
template <class T>
TIDEMARK_CLONES void add_weight_gradient(const WeightGradient<T>& g, std::int64_t begin,
                                         std::int64_t end) {
  for (std::int64_t i = 0; i < g.rows; ++i) {
    const T* const dy = g.dy + i * g.channels;
    const T* const x = g.x + i * g.channels;
    const T r = g.inverse_rms[i];
    for (std::int64_t c = begin; c < end; ++c) g.dw[c] += dy[c] * (x[c] * r);
  }
}

}  // namespace

template <class T>
void rms_norm_forward(const KernelCall& call) {
  call.is_bf16("y") ? forward_rows<T, BFloat16>(call) : forward_rows<T, T>(call);
}

template <class T>
void rms_norm_backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const WeightGradient<T> g{.dy = call.pointer<const T>("dy"),
                            .x = call.pointer<const T>("x"),
                            .inverse_rms = call.pointer<const T>("inverse_rms"),
                            .dw = call.pointer<T>("dw"),
                            .rows = call.rows("x"),
                            .channels = channels};
  constexpr std::int64_t k_channel_step = 64;
  run_ranges(call, channels, k_channel_step, [&](std::int64_t begin, std::int64_t end) {
    if (!call.accumulates("dw")) std::fill(g.dw + begin, g.dw + end, T{0});
    add_weight_gradient(g, begin, end);
  });
  const T* const w = call.pointer<const T>("w");
  const T* const residual = call.pointer<const T>("residual");
  T* const dx = call.pointer<T>("dx");
  over_rows(call, g.rows, channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i * channels;
      backward_row(BackwardRow<T>{.dy = g.dy + at,
                                  .x = g.x + at,
                                  .w = w,
                                  .residual = residual == nullptr ? nullptr : residual + at,
                                  .inverse_rms = g.inverse_rms[i],
                                  .dx = dx + at,
                                  .channels = channels});
    }
  });
}

template void rms_norm_forward<float>(const KernelCall&);
template void rms_norm_forward<double>(const KernelCall&);
template void rms_norm_backward<float>(const KernelCall&);
template void rms_norm_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
