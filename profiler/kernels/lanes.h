// Reductions in a fixed order that vectorises: 16 partial sums, then one tree. The order depends on
// the length only, so results are equal at any address and on any instruction set width.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "profiler/kernels/clones.h"

namespace tidemark::kernels {

inline constexpr std::int64_t k_lanes = 16;

template <class T>
using Lanes = std::array<T, k_lanes>;

/// `count` entries and those after them that fill the last vector, where the row has them: a loop
/// over a few that are left over would cost as much as the rest of a short row.
TIDEMARK_INLINE std::int64_t whole_vectors(std::int64_t count, std::int64_t row_entries) {
  return std::min((count + k_lanes - 1) / k_lanes * k_lanes, row_entries);
}

template <class T>
TIDEMARK_INLINE T sum_of(Lanes<T>& lanes) {
  for (std::size_t half = k_lanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <class T>
TIDEMARK_INLINE T largest_of(Lanes<T>& lanes) {
  for (std::size_t half = k_lanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) {
      lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
    }
  }
  return lanes[0];
}

/// Sum of x[0..count).
template <class T>
TIDEMARK_INLINE T sum(const T* x, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) lanes[static_cast<std::size_t>(l)] += x[i + l];
  }
  for (; i < count; ++i) lanes[static_cast<std::size_t>(i % k_lanes)] += x[i];
  return sum_of(lanes);
}

/// Sum of a[i] * b[i].
template <class T>
TIDEMARK_INLINE T dot(const T* a, const T* b, std::int64_t count) {
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      lanes[static_cast<std::size_t>(l)] += a[i + l] * b[i + l];
    }
  }
  for (; i < count; ++i) lanes[static_cast<std::size_t>(i % k_lanes)] += a[i] * b[i];
  return sum_of(lanes);
}

/// Largest of x[0..count), count > 0. A NaN may be passed over; it reaches the result later.
template <class T>
TIDEMARK_INLINE T largest(const T* x, std::int64_t count) {
  Lanes<T> lanes;
  lanes.fill(x[0]);
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      T& lane = lanes[static_cast<std::size_t>(l)];
      lane = x[i + l] > lane ? x[i + l] : lane;
    }
  }
  for (; i < count; ++i) {
    T& lane = lanes[static_cast<std::size_t>(i % k_lanes)];
    lane = x[i] > lane ? x[i] : lane;
  }
  return largest_of(lanes);
}

}  // namespace tidemark::kernels
