// What all greedy packers share: the orders in which they take blocks, and where a block fits among
// those that are placed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "sim/pack.h"
#include "traces/trace.h"

namespace tidemark {

/// The lowest gap that is large enough, or the tightest.
enum class Fit : std::uint8_t { first, best };

/// An aligned offset at or above `floor_bytes` that holds the block: in a gap between `occupied`,
/// which are [begin, end) offsets by begin, else above them all.
[[nodiscard]] inline std::int64_t find_gap(
    const std::vector<std::pair<std::int64_t, std::int64_t>>& occupied, const PackBlock& block,
    std::int64_t floor_bytes, Fit fit) {
  std::int64_t at = round_up(floor_bytes, block.alignment_bytes);
  std::int64_t best = -1;
  std::int64_t best_gap = std::numeric_limits<std::int64_t>::max();
  for (const auto& [begin, end] : occupied) {
    const std::int64_t gap = begin - at;
    if (gap >= block.size_bytes && gap < best_gap) {
      best = at;
      best_gap = gap;
      if (fit == Fit::first) return best;
    }
    at = std::max(at, round_up(end, block.alignment_bytes));
  }
  return best >= 0 ? best : at;
}

/// Bytes times life.
[[nodiscard]] inline double pack_area(const PackBlock& b) {
  return static_cast<double>(b.size_bytes) * static_cast<double>(b.end - b.begin);
}

/// Orders in which greedy packers take blocks: larger keys first.
using PackKey = std::pair<double, double>;

[[nodiscard]] inline PackKey by_size(const PackBlock& b) {
  return {static_cast<double>(b.size_bytes), pack_area(b)};
}
[[nodiscard]] inline PackKey by_area(const PackBlock& b) {
  return {pack_area(b), static_cast<double>(b.size_bytes)};
}
[[nodiscard]] inline PackKey by_length(const PackBlock& b) {
  return {static_cast<double>(b.end - b.begin), static_cast<double>(b.size_bytes)};
}
[[nodiscard]] inline PackKey by_begin(const PackBlock& b) {
  return {-static_cast<double>(b.begin), static_cast<double>(b.size_bytes)};
}

}  // namespace tidemark
