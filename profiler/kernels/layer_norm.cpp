#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Layer normalisation (Ba et al. 2016). With n = (x - mean) * inverse_deviation and g = dy * w:
// dx = inverse_deviation * (g - mean(g) - n * mean(g n)), dw = sum(dy n), db = sum(dy).

namespace tidemark::kernels {
namespace {

template <class T>
struct ForwardRow {
  const T* x;
  const T* w;
  const T* b;
  T* y;
  std::int64_t channels;
  T epsilon;
};

template <class T>
struct RowStatistics {
  T mean;
  T inverse_deviation;
};

template <class T>
TIDEMARK_CLONES RowStatistics<T> forward_row(const ForwardRow<T>& row) {
  const std::int64_t channels = row.channels;
  const T mean = sum(row.x, channels) / static_cast<T>(channels);
  for (std::int64_t c = 0; c < channels; ++c) row.y[c] = row.x[c] - mean;
  const T variance = dot(row.y, row.y, channels) / static_cast<T>(channels);
  const T inverse_deviation = T{1} / std::sqrt(variance + row.epsilon);
  for (std::int64_t c = 0; c < channels; ++c) {
    row.y[c] = row.y[c] * inverse_deviation * row.w[c] + row.b[c];
  }
  return {mean, inverse_deviation};
}

template <class T>
struct BackwardRow {
  const T* dy;
  const T* x;
  const T* w;
  const T* residual;  // null: none
  RowStatistics<T> statistics;
  T* dx;
  T* dw;
  T* db;
  std::int64_t channels;
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
  for (std::int64_t c = 0; c < channels; ++c) {
    row.dw[c] += dy[c] * ((x[c] - mean) * inverse_deviation);
  }
  for (std::int64_t c = 0; c < channels; ++c) row.db[c] += dy[c];
  if (row.residual == nullptr) return;
  for (std::int64_t c = 0; c < channels; ++c) dx[c] += row.residual[c];
}

}  // namespace

template <class T>
void layer_norm_forward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const T* x = call.pointer<const T>("x");
  T* y = call.pointer<T>("y");
  T* mean = call.pointer<T>("mean");
  T* inverse_deviation = call.pointer<T>("inverse_deviation");
  ForwardRow<T> row{.x = x,
                    .w = call.pointer<const T>("w"),
                    .b = call.pointer<const T>("b"),
                    .y = y,
                    .channels = channels,
                    .epsilon = static_cast<T>(call.real("epsilon"))};
  for (std::int64_t i = 0; i < call.rows("x"); ++i) {
    row.x = x + i * channels;
    row.y = y + i * channels;
    const RowStatistics<T> statistics = forward_row(row);
    mean[i] = statistics.mean;
    inverse_deviation[i] = statistics.inverse_deviation;
  }
}

template <class T>
void layer_norm_backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const T* mean = call.pointer<const T>("mean");
  const T* inverse_deviation = call.pointer<const T>("inverse_deviation");
  BackwardRow<T> row{.dy = call.pointer<const T>("dy"),
                     .x = call.pointer<const T>("x"),
                     .w = call.pointer<const T>("w"),
                     .residual = call.pointer<const T>("residual"),
                     .statistics = {},
                     .dx = call.pointer<T>("dx"),
                     .dw = call.pointer<T>("dw"),
                     .db = call.pointer<T>("db"),
                     .channels = channels};
  if (!call.accumulates("dw")) std::fill_n(row.dw, channels, T{0});
  if (!call.accumulates("db")) std::fill_n(row.db, channels, T{0});
  for (std::int64_t i = 0; i < call.rows("x"); ++i) {
    row.statistics = {mean[i], inverse_deviation[i]};
    backward_row(row);
    row.dy += channels;
    row.x += channels;
    row.dx += channels;
    if (row.residual != nullptr) row.residual += channels;
  }
}

template void layer_norm_forward<float>(const KernelCall&);
template void layer_norm_forward<double>(const KernelCall&);
template void layer_norm_backward<float>(const KernelCall&);
template void layer_norm_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
