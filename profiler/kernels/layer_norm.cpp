#include <algorithm>
#include <cmath>

#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"

// Layer normalisation (Ba et al. 2016). With n = (x - mean) * inverse_deviation and g = dy * w:
// dx = inverse_deviation * (g - mean(g) - n * mean(g n)), dw = sum(dy n), db = sum(dy).

namespace tidemark::kernels {
namespace {

template <class T, class Output>
struct ForwardRow {
  const T* x;
  const T* w;
  const T* b;
  Output* y;
  std::int64_t channels;
  T epsilon;
};

template <class T>
struct RowStatistics {
  T mean;
  T inverse_deviation;
};

/// Sum of (x - mean)^2.
template <class T>
TIDEMARK_INLINE T centred_squares(const T* x, T mean, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      const T centred = x[i + l] - mean;
      lanes[static_cast<std::size_t>(l)] += centred * centred;
    }
  }
  for (; i < count; ++i) {
    const T centred = x[i] - mean;
    lanes[static_cast<std::size_t>(i % k_lanes)] += centred * centred;
  }
  return sum_of(lanes);
}

template <class T, class Output>
TIDEMARK_CLONES RowStatistics<T> forward_row(const ForwardRow<T, Output>& row) {
  const std::int64_t channels = row.channels;
  const T mean = sum(row.x, channels) / static_cast<T>(channels);
  const T variance = centred_squares(row.x, mean, channels) / static_cast<T>(channels);
  const T inverse_deviation = T{1} / std::sqrt(variance + row.epsilon);
  for (std::int64_t c = 0; c < channels; ++c) {
    row.y[c] = as_element<Output>((row.x[c] - mean) * inverse_deviation * row.w[c] + row.b[c]);
  }
  return {mean, inverse_deviation};
}

template <class T, class Output>
void forward_rows(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  T* const mean = call.pointer<T>("mean");
  T* const inverse_deviation = call.pointer<T>("inverse_deviation");
  const ForwardRow<T, Output> row{.x = call.pointer<const T>("x"),
                                  .w = call.pointer<const T>("w"),
                                  .b = call.pointer<const T>("b"),
                                  .y = call.pointer<Output>("y"),
                                  .channels = channels,
                                  .epsilon = static_cast<T>(call.real("epsilon"))};
  over_rows(call, call.rows("x"), channels, [&](std::int64_t begin, std::int64_t end) {
    ForwardRow<T, Output> at = row;
    for (std::int64_t i = begin; i < end; ++i) {
      at.x = row.x + i * channels;
      at.y = row.y + i * channels;
      const RowStatistics<T> statistics = forward_row(at);
      mean[i] = statistics.mean;
      inverse_deviation[i] = statistics.inverse_deviation;
    }
  });
}

template <class T>
struct BackwardRow {
  const T* dy;
  const T* x;
  const T* w;
  const T* residual;  // null: none
  RowStatistics<T> statistics;
  T* dx;
  std::int64_t channels;
};

/// Of all rows, for some of the channels.
template <class T>
struct WeightGradient {
  const T* dy;
  const T* x;
  const T* mean;
  const T* inverse_deviation;
  T* dw;
  T* db;
  std::int64_t rows, channels;
};

/// Sum of g (x - mean), which keeps its accuracy when the mean is large against the deviation.
template <class T>
TIDEMARK_INLINE T centred_dot(const T* g, const T* x, T mean, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      lanes[static_cast<std::size_t>(l)] += g[i + l] * (x[i + l] - mean);
    }
  }
  for (; i < count; ++i) lanes[static_cast<std::size_t>(i % k_lanes)] += g[i] * (x[i] - mean);
  return sum_of(lanes);
}

template <class T>
TIDEMARK_CLONES void backward_row(const BackwardRow<T>& row) {
  const std::int64_t channels = row.channels;
  const auto [mean, inverse_deviation] = row.statistics;
  const T* dy = row.dy;
  const T* x = row.x;
  const T* w = row.w;
  T* dx = row.dx;
  // dx holds g while the two means are formed.
  for (std::int64_t c = 0; c < channels; ++c) dx[c] = dy[c] * w[c];
  const T mean_g = sum(dx, channels) / static_cast<T>(channels);
  const T mean_gn =
      centred_dot(dx, x, mean, channels) / static_cast<T>(channels) * inverse_deviation;
  for (std::int64_t c = 0; c < channels; ++c) {
    const T n = (x[c] - mean) * inverse_deviation;
    dx[c] = inverse_deviation * (dx[c] - mean_g - n * mean_gn);
  }
  if (row.residual == nullptr) return;
  for (std::int64_t c = 0; c < channels; ++c) dx[c] += row.residual[c];
}

/// dw and db of the channels [begin, end), row by row.
template <class T>
TIDEMARK_CLONES void add_weight_gradient(const WeightGradient<T>& g, std::int64_t begin,
                                         std::int64_t end) {
  for (std::int64_t i = 0; i < g.rows; ++i) {
    const T* const dy = g.dy + i * g.channels;
    const T* const x = g.x + i * g.channels;
    const T mean = g.mean[i];
    const T inverse_deviation = g.inverse_deviation[i];
    for (std::int64_t c = begin; c < end; ++c) {
      g.dw[c] += dy[c] * ((x[c] - mean) * inverse_deviation);
      g.db[c] += dy[c];
    }
  }
}

}  // namespace

template <class T>
void layer_norm_forward(const KernelCall& call) {
  call.is_bf16("y") ? forward_rows<T, BFloat16>(call) : forward_rows<T, T>(call);
}

template <class T>
void layer_norm_backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const WeightGradient<T> g{.dy = call.pointer<const T>("dy"),
                            .x = call.pointer<const T>("x"),
                            .mean = call.pointer<const T>("mean"),
                            .inverse_deviation = call.pointer<const T>("inverse_deviation"),
                            .dw = call.pointer<T>("dw"),
                            .db = call.pointer<T>("db"),
                            .rows = call.rows("x"),
                            .channels = channels};
  constexpr std::int64_t k_channel_step = 64;
  run_ranges(call, channels, k_channel_step, [&](std::int64_t begin, std::int64_t end) {
    if (!call.accumulates("dw")) std::fill(g.dw + begin, g.dw + end, T{0});
    if (!call.accumulates("db")) std::fill(g.db + begin, g.db + end, T{0});
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
                                  .statistics = {g.mean[i], g.inverse_deviation[i]},
                                  .dx = dx + at,
                                  .channels = channels});
    }
  });
}

template void layer_norm_forward<float>(const KernelCall&);
template void layer_norm_forward<double>(const KernelCall&);
template void layer_norm_backward<float>(const KernelCall&);
template void layer_norm_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
