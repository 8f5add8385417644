// Batch normalisation and pooling with the formulas of kernels/batch_norm.cpp and pooling.cpp.
// Read team.h first.
#pragma once

#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// x is [samples, channels, positions].
struct Channels {
  std::int64_t samples, channels, positions;

  [[nodiscard]] TIDEMARK_BODY std::int64_t elements() const {
    return samples * channels * positions;
  }
  /// Of one channel.
  [[nodiscard]] TIDEMARK_BODY double count() const {
    return static_cast<double>(samples * positions);
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t channel_of(std::int64_t element) const {
    return element / positions % channels;
  }
  /// work(element) for every k_team-th element of channel `c`, from the `thread`-th on.
  template <class Work>
  TIDEMARK_BODY void each(std::int64_t c, int thread, const Work& work) const {
    std::int64_t n = thread / positions;
    std::int64_t i = thread % positions;
    while (n < samples) {
      work((n * channels + c) * positions + i);
      n += k_team / positions;
      i += k_team % positions;
      if (i < positions) continue;
      i -= positions;
      ++n;
    }
  }
};

/// Sum of term(element) over channel `c`; `sums` is shared memory.
template <class Term>
TIDEMARK_BODY double channel_sum(const Team& team, double* sums, const Channels& sizes,
                                 std::int64_t c, const Term& term) {
  team.each([&](int t) {
    float sum = 0;
    sizes.each(c, t, [&](std::int64_t element) { sum += term(element); });
    sums[t] = static_cast<double>(sum);
  });
  return sum_of(team, sums);
}

/// Index: channel of dy; the gradient of a bias.
struct ChannelSums {
  struct Shared {
    double sums[k_team];
  };
  Channels sizes;
  const float* dy;
  float* sums;
  bool accumulates;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t c) const {
    const auto sum = static_cast<float>(
        channel_sum(team, shared.sums, sizes, c, [&](std::int64_t i) { return dy[i]; }));
    team.each([&](int t) {
      if (t == 0) sums[c] = accumulates ? sums[c] + sum : sum;
    });
  }
};

/// Index: channel. Biased variance.
struct BatchNorm {
  struct Shared {
    double sums[k_team];
  };
  Channels sizes;
  const float* x;
  const float* w;
  const float* b;
  float* y;
  float* mean;
  float* variance;
  float epsilon;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t c) const {
    const double total =
        channel_sum(team, shared.sums, sizes, c, [&](std::int64_t i) { return x[i]; });
    const auto m = static_cast<float>(total / sizes.count());
    const double squares = channel_sum(team, shared.sums, sizes, c,
                                       [&](std::int64_t i) { return (x[i] - m) * (x[i] - m); });
    const auto v = static_cast<float>(squares / sizes.count());
    const float scale = w[c] / sqrtf(v + epsilon);
    team.each([&](int t) {
      sizes.each(c, t, [&](std::int64_t i) { y[i] = (x[i] - m) * scale + b[c]; });
      if (t != 0) return;
      mean[c] = m;
      variance[c] = v;
    });
  }
};

/// Index: channel.
struct BatchNormSlope {
  struct Shared {
    double sums[k_team];
  };
  Channels sizes;
  const float* dy;
  const float* x;
  const float* w;
  const float* mean;
  const float* variance;
  float* dx;
  float* dw;
  float* db;
  float epsilon;
  bool adds_dw, adds_db;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t c) const {
    const float m = mean[c];
    const float inverse = 1.0f / sqrtf(variance[c] + epsilon);
    const double sum =
        channel_sum(team, shared.sums, sizes, c, [&](std::int64_t i) { return dy[i]; });
    const double centred = channel_sum(team, shared.sums, sizes, c,
                                       [&](std::int64_t i) { return dy[i] * (x[i] - m); });
    const float w_slope = static_cast<float>(centred) * inverse;
    const auto mean_dy = static_cast<float>(sum / sizes.count());
    const float slope = static_cast<float>(centred / sizes.count()) * inverse * inverse;
    team.each([&](int t) {
      sizes.each(c, t, [&](std::int64_t i) {
        dx[i] = w[c] * inverse * (dy[i] - mean_dy - (x[i] - m) * slope);
      });
      if (t != 0) return;
      dw[c] = adds_dw ? dw[c] + w_slope : w_slope;
      db[c] = adds_db ? db[c] + static_cast<float>(sum) : static_cast<float>(sum);
    });
  }
};

/// Index: channel.
struct BatchNormUpdate {
  const float* mean;
  const float* variance;
  float* running_mean;
  float* running_variance;
  float momentum, unbiased;
  TIDEMARK_BODY void operator()(std::int64_t c) const {
    running_mean[c] += momentum * (mean[c] - running_mean[c]);
    running_variance[c] += momentum * (variance[c] * unbiased - running_variance[c]);
  }
};

/// Index: element.
struct BatchNormInference {
  Channels sizes;
  const float* x;
  const float* w;
  const float* b;
  const float* mean;
  const float* variance;
  float* y;
  float epsilon;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t c = sizes.channel_of(i);
    y[i] = (x[i] - mean[c]) * (w[c] / sqrtf(variance[c] + epsilon)) + b[c];
  }
};

/// Images of height x width, whose windows of size x size do not overlap.
struct Pool {
  std::int64_t height, width, size;

  [[nodiscard]] TIDEMARK_BODY std::int64_t rows() const { return height / size; }
  [[nodiscard]] TIDEMARK_BODY std::int64_t columns() const { return width / size; }
  /// Element of x with the largest value of a window, the first of several.
  [[nodiscard]] TIDEMARK_BODY std::int64_t largest(const float* x, std::int64_t image,
                                                   std::int64_t row, std::int64_t column) const {
    const std::int64_t corner = (image * height + row * size) * width + column * size;
    std::int64_t best = corner;
    for (std::int64_t i = 1; i < size * size; ++i) {
      const std::int64_t at = corner + i / size * width + i % size;
      if (x[at] > x[best] || x[at] != x[at]) best = at;
    }
    return best;
  }
};

/// Index: window.
struct MaxPool {
  Pool pool;
  const float* x;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t row = i / pool.columns();
    y[i] = x[pool.largest(x, row / pool.rows(), row % pool.rows(), i % pool.columns())];
  }
};

/// Index: element of dx, of which the edge has no window.
struct MaxPoolSlope {
  Pool pool;
  const float* dy;
  const float* x;
  float* dx;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t image = i / (pool.height * pool.width);
    const std::int64_t row = i / pool.width % pool.height / pool.size;
    const std::int64_t column = i % pool.width / pool.size;
    dx[i] = 0;
    if (row >= pool.rows() || column >= pool.columns()) return;
    if (pool.largest(x, image, row, column) != i) return;
    dx[i] = dy[(image * pool.rows() + row) * pool.columns() + column];
  }
};

/// Index: image. Sums of an image are short.
struct AveragePool {
  const float* x;
  float* y;
  std::int64_t positions;
  TIDEMARK_BODY void operator()(std::int64_t image) const {
    float sum = 0;
    for (std::int64_t i = 0; i < positions; ++i) sum += x[image * positions + i];
    y[image] = sum / static_cast<float>(positions);
  }
};

/// Index: element of dx.
struct AveragePoolSlope {
  const float* dy;
  float* dx;
  std::int64_t positions;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    dx[i] = dy[i / positions] / static_cast<float>(positions);
  }
};

}  // namespace tidemark::cuda
