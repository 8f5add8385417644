#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Batch normalisation (Ioffe and Szegedy 2015) over all samples and positions of a channel.

namespace tidemark::kernels {
namespace {

/// x is [samples, channels, positions].
struct Extents {
  std::int64_t samples, channels, positions;

  explicit Extents(const KernelCall& call)
      : samples(call.buffer("x").shape[0]),
        channels(call.buffer("x").shape[1]),
        positions(call.elements("x") / (samples * channels)) {}

  [[nodiscard]] std::int64_t row(std::int64_t n, std::int64_t c) const {
    return (n * channels + c) * positions;
  }
  [[nodiscard]] double count() const { return static_cast<double>(samples * positions); }
};

/// Sum of (x - shift)^2.
template <class T>
TIDEMARK_INLINE T squares(const T* x, T shift, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      const T d = x[i + l] - shift;
      lanes[static_cast<std::size_t>(l)] += d * d;
    }
  }
  for (; i < count; ++i) {
    const T d = x[i] - shift;
    lanes[static_cast<std::size_t>(i % k_lanes)] += d * d;
  }
  return sum_of(lanes);
}

template <class T>
struct Moments {
  T mean, variance;
};

/// Biased variance. Sums of one sample in T, the total in double.
template <class T>
TIDEMARK_CLONES Moments<T> moments_of(const Extents& e, const T* x, std::int64_t c) {
  double total = 0;
  for (std::int64_t n = 0; n < e.samples; ++n) {
    total += static_cast<double>(sum(x + e.row(n, c), e.positions));
  }
  const T mean = static_cast<T>(total / e.count());
  double deviation = 0;
  for (std::int64_t n = 0; n < e.samples; ++n) {
    deviation += static_cast<double>(squares(x + e.row(n, c), mean, e.positions));
  }
  return {mean, static_cast<T>(deviation / e.count())};
}

template <class T>
TIDEMARK_CLONES void affine(const T* x, T* y, T scale, T offset, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] * scale + offset;
}

/// Sum of dy * (x - mean).
template <class T>
TIDEMARK_INLINE T centred_dot(const T* dy, const T* x, T mean, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      lanes[static_cast<std::size_t>(l)] += dy[i + l] * (x[i + l] - mean);
    }
  }
  for (; i < count; ++i) lanes[static_cast<std::size_t>(i % k_lanes)] += dy[i] * (x[i] - mean);
  return sum_of(lanes);
}

/// Sum of dy and of dy * (x - mean) over a channel.
struct GradientSums {
  double dy, dy_x;
};

template <class T>
TIDEMARK_CLONES GradientSums gradient_sums(const Extents& e, const T* dy, const T* x, T mean,
                                           std::int64_t c) {
  GradientSums out{0, 0};
  for (std::int64_t n = 0; n < e.samples; ++n) {
    const T* x_row = x + e.row(n, c);
    const T* dy_row = dy + e.row(n, c);
    // One after the other: a loop with two sums is not vectorised well, and a row is in the cache.
    out.dy += static_cast<double>(sum(dy_row, e.positions));
    out.dy_x += static_cast<double>(centred_dot(dy_row, x_row, mean, e.positions));
  }
  return out;
}

/// dx = scale * (dy - mean of dy - (x - mean) * slope)
template <class T>
struct InputGradient {
  T scale, mean_dy, mean, slope;
};

template <class T>
TIDEMARK_CLONES void input_gradient(const InputGradient<T>& g, const T* dy, const T* x, T* dx,
                                    std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = g.scale * (dy[i] - g.mean_dy - (x[i] - g.mean) * g.slope);
  }
}

template <class T>
double inverse_deviation(const KernelCall& call, T variance) {
  return 1 / std::sqrt(static_cast<double>(variance) + call.real("epsilon"));
}

/// y = (x - mean) * inverse deviation * w + b of channel c.
template <class T>
void normalise_channel(const KernelCall& call, const Extents& e, std::int64_t c, T mean,
                       T variance) {
  const T* x = call.pointer<const T>("x");
  T* y = call.pointer<T>("y");
  const T scale = static_cast<T>(static_cast<double>(call.pointer<const T>("w")[c]) *
                                 inverse_deviation(call, variance));
  const T offset = call.pointer<const T>("b")[c] - mean * scale;
  for (std::int64_t n = 0; n < e.samples; ++n) {
    affine(x + e.row(n, c), y + e.row(n, c), scale, offset, e.positions);
  }
}

}  // namespace

template <class T>
void batch_norm_forward(const KernelCall& call) {
  const Extents e(call);
  const T* x = call.pointer<const T>("x");
  for (std::int64_t c = 0; c < e.channels; ++c) {
    const Moments<T> m = moments_of(e, x, c);
    call.pointer<T>("mean")[c] = m.mean;
    call.pointer<T>("variance")[c] = m.variance;
    normalise_channel(call, e, c, m.mean, m.variance);
  }
}

template <class T>
void batch_norm_backward(const KernelCall& call) {
  const Extents e(call);
  const T* x = call.pointer<const T>("x");
  const T* dy = call.pointer<const T>("dy");
  T* dx = call.pointer<T>("dx");
  T* dw = call.pointer<T>("dw");
  T* db = call.pointer<T>("db");
  for (std::int64_t c = 0; c < e.channels; ++c) {
    const T mean = call.pointer<const T>("mean")[c];
    const double inverse = inverse_deviation(call, call.pointer<const T>("variance")[c]);
    const GradientSums sums = gradient_sums(e, dy, x, mean, c);
    const T weight_gradient = static_cast<T>(sums.dy_x * inverse);
    dw[c] = call.accumulates("dw") ? dw[c] + weight_gradient : weight_gradient;
    db[c] = call.accumulates("db") ? db[c] + static_cast<T>(sums.dy) : static_cast<T>(sums.dy);
    const InputGradient<T> g{
        static_cast<T>(static_cast<double>(call.pointer<const T>("w")[c]) * inverse),
        static_cast<T>(sums.dy / e.count()), mean,
        static_cast<T>(sums.dy_x * inverse * inverse / e.count())};
    for (std::int64_t n = 0; n < e.samples; ++n) {
      input_gradient(g, dy + e.row(n, c), x + e.row(n, c), dx + e.row(n, c), e.positions);
    }
  }
}

/// Running statistics move by `momentum` towards those of the batch; the variance is unbiased, as
/// in PyTorch. `count` samples x positions made the statistics.
template <class T>
void batch_norm_update(const KernelCall& call) {
  const T momentum = static_cast<T>(call.real("momentum"));
  const double count = static_cast<double>(call.integer("count"));
  const T unbiased = static_cast<T>(count / (count - 1));
  const T* mean = call.pointer<const T>("mean");
  const T* variance = call.pointer<const T>("variance");
  T* running_mean = call.pointer<T>("running_mean");
  T* running_variance = call.pointer<T>("running_variance");
  for (std::int64_t c = 0; c < call.elements("mean"); ++c) {
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    running_variance[c] += momentum * (variance[c] * unbiased - running_variance[c]);
  }
}

/// With given statistics of each channel, not those of the batch.
template <class T>
void batch_norm_inference(const KernelCall& call) {
  const Extents e(call);
  for (std::int64_t c = 0; c < e.channels; ++c) {
    normalise_channel(call, e, c, call.pointer<const T>("mean")[c],
                      call.pointer<const T>("variance")[c]);
  }
}

template void batch_norm_inference<float>(const KernelCall&);
template void batch_norm_inference<double>(const KernelCall&);
template void batch_norm_forward<float>(const KernelCall&);
template void batch_norm_forward<double>(const KernelCall&);
template void batch_norm_backward<float>(const KernelCall&);
template void batch_norm_backward<double>(const KernelCall&);
template void batch_norm_update<float>(const KernelCall&);
template void batch_norm_update<double>(const KernelCall&);

}  // namespace tidemark::kernels
