#include <algorithm>
#include <cmath>

#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"

// Layer normalisation (Ba et al. 2016). With n = (x - mean) * r, r = 1 / deviation, and g = dy * w:
// dx = r * (g - mean(g) - n * mean(g n)), dw = sum(dy n), db = sum(dy).
// Root mean square normalisation (Zhang and Sennrich 2019) is the same around 0 instead of the
// mean: without mean(g), and without b.

namespace tidemark::kernels {
namespace {

/// What divides a row: its deviation around its mean, or its root mean square.
enum class Form { layer, root_mean_square };

/// What is saved of a row; the mean is 0 in the form around 0.
template <class T>
struct RowStatistics {
  T mean;
  T inverse_deviation;
};

/// The operands that hold the statistics, one entry for each row.
template <Form form, class T>
struct Statistics {
  T* mean = nullptr;  // null around 0
  T* inverse_deviation;

  explicit Statistics(const KernelCall& call) {
    if constexpr (form == Form::layer) {
      mean = call.pointer<T>("mean");
      inverse_deviation = call.pointer<T>("inverse_deviation");
    } else {
      inverse_deviation = call.pointer<T>("inverse_rms");
    }
  }

  [[nodiscard]] RowStatistics<std::remove_const_t<T>> of_row(std::int64_t i) const {
    return {form == Form::layer ? mean[i] : T{0}, inverse_deviation[i]};
  }
};

template <class T, class Output>
struct ForwardRow {
  const T* x;
  const T* w;
  const T* b;
  Output* y;
  std::int64_t channels;
  T epsilon;
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

template <Form form, class T, class Output>
TIDEMARK_CLONES RowStatistics<T> forward_row(const ForwardRow<T, Output>& row) {
  const std::int64_t channels = row.channels;
  T mean{0};
  if constexpr (form == Form::layer) mean = sum(row.x, channels) / static_cast<T>(channels);
  const T variance = centred_squares(row.x, mean, channels) / static_cast<T>(channels);
  const T inverse_deviation = T{1} / std::sqrt(variance + row.epsilon);
  for (std::int64_t c = 0; c < channels; ++c) {
    T y = (row.x[c] - mean) * inverse_deviation * row.w[c];
    if constexpr (form == Form::layer) y += row.b[c];
    row.y[c] = as_element<Output>(y);
  }
  return {mean, inverse_deviation};
}

template <Form form, class T, class Output>
void forward_rows(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const Statistics<form, T> statistics(call);
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
      const RowStatistics<T> of_row = forward_row<form>(at);
      if constexpr (form == Form::layer) statistics.mean[i] = of_row.mean;
      statistics.inverse_deviation[i] = of_row.inverse_deviation;
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
template <Form form, class T>
struct WeightGradient {
  const T* dy;
  const T* x;
  Statistics<form, const T> statistics;
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

template <Form form, class T>
TIDEMARK_CLONES void backward_row(const BackwardRow<T>& row) {
  const std::int64_t channels = row.channels;
  const T mean = form == Form::layer ? row.statistics.mean : T{0};
  const T inverse_deviation = row.statistics.inverse_deviation;
  const T* dy = row.dy;
  const T* x = row.x;
  const T* w = row.w;
  T* dx = row.dx;
  // dx holds g while the means are formed.
  for (std::int64_t c = 0; c < channels; ++c) dx[c] = dy[c] * w[c];
  T mean_g{0};
  if constexpr (form == Form::layer) mean_g = sum(dx, channels) / static_cast<T>(channels);
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
template <Form form, class T>
TIDEMARK_CLONES void add_weight_gradient(const WeightGradient<form, T>& g, std::int64_t begin,
                                         std::int64_t end) {
  for (std::int64_t i = 0; i < g.rows; ++i) {
    const T* const dy = g.dy + i * g.channels;
    const T* const x = g.x + i * g.channels;
    const T mean = form == Form::layer ? g.statistics.mean[i] : T{0};
    const T inverse_deviation = g.statistics.inverse_deviation[i];
    for (std::int64_t c = begin; c < end; ++c) {
      g.dw[c] += dy[c] * ((x[c] - mean) * inverse_deviation);
      if constexpr (form == Form::layer) g.db[c] += dy[c];
    }
  }
}

template <Form form, class T>
void backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  const WeightGradient<form, T> g{.dy = call.pointer<const T>("dy"),
                                  .x = call.pointer<const T>("x"),
                                  .statistics = Statistics<form, const T>(call),
                                  .dw = call.pointer<T>("dw"),
                                  .db = call.pointer<T>("db"),
                                  .rows = call.rows("x"),
                                  .channels = channels};
  constexpr std::int64_t k_channel_step = 64;
  run_ranges(call, channels, k_channel_step, [&](std::int64_t begin, std::int64_t end) {
    if (!call.accumulates("dw")) std::fill(g.dw + begin, g.dw + end, T{0});
    if constexpr (form == Form::layer) {
      if (!call.accumulates("db")) std::fill(g.db + begin, g.db + end, T{0});
    }
    add_weight_gradient(g, begin, end);
  });
  const T* const w = call.pointer<const T>("w");
  const T* const residual = call.pointer<const T>("residual");
  T* const dx = call.pointer<T>("dx");
  over_rows(call, g.rows, channels, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i * channels;
      backward_row<form>(BackwardRow<T>{.dy = g.dy + at,
                                        .x = g.x + at,
                                        .w = w,
                                        .residual = residual == nullptr ? nullptr : residual + at,
                                        .statistics = g.statistics.of_row(i),
                                        .dx = dx + at,
                                        .channels = channels});
    }
  });
}

template <Form form, class T>
void forward(const KernelCall& call) {
  call.is_bf16("y") ? forward_rows<form, T, BFloat16>(call) : forward_rows<form, T, T>(call);
}

}  // namespace

template <class T>
void layer_norm_forward(const KernelCall& call) {
  forward<Form::layer, T>(call);
}
template <class T>
void layer_norm_backward(const KernelCall& call) {
  backward<Form::layer, T>(call);
}
template <class T>
void rms_norm_forward(const KernelCall& call) {
  forward<Form::root_mean_square, T>(call);
}
template <class T>
void rms_norm_backward(const KernelCall& call) {
  backward<Form::root_mean_square, T>(call);
}

template void layer_norm_forward<float>(const KernelCall&);
template void layer_norm_forward<double>(const KernelCall&);
template void layer_norm_backward<float>(const KernelCall&);
template void layer_norm_backward<double>(const KernelCall&);
template void rms_norm_forward<float>(const KernelCall&);
template void rms_norm_forward<double>(const KernelCall&);
template void rms_norm_backward<float>(const KernelCall&);
template void rms_norm_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
