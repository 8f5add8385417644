// Convolutions with the formulas of kernels/convolution.cpp, without its columns: the workspace has
// room for those of one sample, and small products sample by sample would be all launches. So each
// thread makes a few sums of the output by itself; neighbours read neighbouring pixels. Read team.h
// first.
#pragma once

#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// x [B,C,H,W], w [O,C,K,K], y [B,O,H',W'].
struct Window {
  std::int64_t batch, channels, height, width, filters, kernel, stride, padding;

  [[nodiscard]] TIDEMARK_BODY std::int64_t out_height() const {
    return (height + 2 * padding - kernel) / stride + 1;
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t out_width() const {
    return (width + 2 * padding - kernel) / stride + 1;
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t depth() const { return channels * kernel * kernel; }
  /// Row of x that kernel row `k` finds for row `y` of the output; it may not exist. So of columns.
  [[nodiscard]] TIDEMARK_BODY std::int64_t in(std::int64_t y, std::int64_t k) const {
    return y * stride + k - padding;
  }
};

/// Filters, or channels, of one thread: what it reads is good for all of them.
inline constexpr std::int64_t k_at_a_time = 4;

TIDEMARK_BODY std::int64_t groups_of(std::int64_t count) {
  return (count + k_at_a_time - 1) / k_at_a_time;
}

/// Index: (b, group of filters, position).
struct Convolution {
  Window window;
  const float* x;
  const float* w;
  const float* bias;  // null: none
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t columns = window.out_width();
    const std::int64_t positions = window.out_height() * columns;
    const std::int64_t position = index % positions;
    const std::int64_t group = index / positions % groups_of(window.filters);
    const std::int64_t b = index / positions / groups_of(window.filters);
    const std::int64_t first = group * k_at_a_time;
    const std::int64_t last = window.filters - 1;
    float sums[k_at_a_time] = {};
    for (std::int64_t c = 0; c < window.channels; ++c) {
      const float* image = x + (b * window.channels + c) * window.height * window.width;
      for (std::int64_t ky = 0; ky < window.kernel; ++ky) {
        const std::int64_t row = window.in(position / columns, ky);
        if (row < 0 || row >= window.height) continue;
        for (std::int64_t kx = 0; kx < window.kernel; ++kx) {
          const std::int64_t column = window.in(position % columns, kx);
          if (column < 0 || column >= window.width) continue;
          const float pixel = image[row * window.width + column];
          const float* weight = w + (c * window.kernel + ky) * window.kernel + kx;
          for (std::int64_t i = 0; i < k_at_a_time; ++i) {
            const std::int64_t o = first + i < last ? first + i : last;  // beyond: not used
            sums[i] += pixel * weight[o * window.depth()];
          }
        }
      }
    }
    for (std::int64_t i = 0; i < k_at_a_time && first + i <= last; ++i) {
      y[(b * window.filters + first + i) * positions + position] =
          sums[i] + (bias == nullptr ? 0.0f : bias[first + i]);
    }
  }
};

/// Index: (b, group of channels, pixel).
struct ConvolutionSlope {
  Window window;
  const float* dy;
  const float* w;
  float* dx;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t pixels = window.height * window.width;
    const std::int64_t pixel = index % pixels;
    const std::int64_t group = index / pixels % groups_of(window.channels);
    const std::int64_t b = index / pixels / groups_of(window.channels);
    const std::int64_t first = group * k_at_a_time;
    const std::int64_t last = window.channels - 1;
    const std::int64_t taps = window.kernel * window.kernel;
    float sums[k_at_a_time] = {};
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      std::int64_t row = 0, column = 0;
      if (!out(pixel / window.width, tap / window.kernel, window.out_height(), &row)) continue;
      if (!out(pixel % window.width, tap % window.kernel, window.out_width(), &column)) continue;
      for (std::int64_t o = 0; o < window.filters; ++o) {
        const float slope =
            dy[((b * window.filters + o) * window.out_height() + row) * window.out_width() +
               column];
        for (std::int64_t i = 0; i < k_at_a_time; ++i) {
          const std::int64_t c = first + i < last ? first + i : last;  // beyond: not used
          sums[i] += slope * w[(o * window.channels + c) * taps + tap];
        }
      }
    }
    for (std::int64_t i = 0; i < k_at_a_time && first + i <= last; ++i) {
      dx[(b * window.channels + first + i) * pixels + pixel] = sums[i];
    }
  }

 private:
  /// True when an output of [0, end) saw row or column `in` at place `k` of the kernel.
  [[nodiscard]] TIDEMARK_BODY bool out(std::int64_t in, std::int64_t k, std::int64_t end,
                                       std::int64_t* at) const {
    const std::int64_t from = in + window.padding - k;
    *at = from / window.stride;
    return from >= 0 && from % window.stride == 0 && *at < end;
  }
};

/// Index: (group of filters, weight of a filter). The team shares the samples and positions.
struct ConvolutionWeightSlope {
  struct Shared {
    double sums[k_at_a_time][k_team];
  };
  Window window;
  const float* dy;
  const float* x;
  float* dw;
  bool accumulates;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const std::int64_t weight = index % window.depth();
    const std::int64_t first = index / window.depth() * k_at_a_time;
    team.each([&](int t) {
      float sums[k_at_a_time] = {};
      add_products(weight, first, t, sums);
      for (std::int64_t i = 0; i < k_at_a_time; ++i) {
        shared.sums[i][t] = static_cast<double>(sums[i]);
      }
    });
    for (std::int64_t i = 0; i < k_at_a_time && first + i < window.filters; ++i) {
      const auto sum = static_cast<float>(sum_of(team, shared.sums[i]));
      float* const to = dw + (first + i) * window.depth() + weight;
      team.each([&](int t) {
        if (t == 0) *to = accumulates ? *to + sum : sum;
      });
    }
  }

 private:
  TIDEMARK_BODY void add_products(std::int64_t weight, std::int64_t first, std::int64_t begin,
                                  float* sums) const {
    const std::int64_t taps = window.kernel * window.kernel;
    const std::int64_t columns = window.out_width();
    const std::int64_t positions = window.out_height() * columns;
    const std::int64_t last = window.filters - 1;
    for (std::int64_t i = begin; i < window.batch * positions; i += k_team) {
      const std::int64_t b = i / positions;
      const std::int64_t position = i % positions;
      const std::int64_t row = window.in(position / columns, weight % taps / window.kernel);
      const std::int64_t column = window.in(position % columns, weight % window.kernel);
      if (row < 0 || row >= window.height || column < 0 || column >= window.width) continue;
      const std::int64_t image = b * window.channels + weight / taps;
      const float pixel = x[(image * window.height + row) * window.width + column];
      for (std::int64_t k = 0; k < k_at_a_time; ++k) {
        const std::int64_t o = first + k < last ? first + k : last;  // beyond: not used
        sums[k] += pixel * dy[(b * window.filters + o) * positions + position];
      }
    }
  }
};

}  // namespace tidemark::cuda
