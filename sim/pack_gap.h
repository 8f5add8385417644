// What all greedy packers share: the orders in which they take blocks, and where a block fits among
// those that are placed.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "sim/pack.h"
#include "traces/trace.h"

namespace tidemark {

/// The lowest gap that is large enough, or the tightest.
enum class Fit : std::uint8_t { first, best };

/// The search for an aligned offset at or above `floor_bytes` that holds the block: in a gap
/// between occupied ranges, which are passed by begin, else above them all.
class GapSearch {
 public:
  GapSearch(const PackBlock& block, std::int64_t floor_bytes, Fit fit)
      : size_(block.size_bytes),
        alignment_(block.alignment_bytes),
        mask_(std::has_single_bit(static_cast<std::uint64_t>(alignment_)) ? alignment_ - 1 : -1),
        fit_(fit),
        at_(round_up(floor_bytes, alignment_)) {}

  /// The next occupied range [begin, end); `end` = 0 when it is not in the way. True: look no
  /// further.
  bool pass(std::int64_t begin, std::int64_t end) {
    const std::int64_t gap = begin - at_;
    if ((end != 0) & (gap >= size_) & (gap < best_gap_)) {
      best_gap_ = gap;
      best_ = at_;
      if (fit_ == Fit::first || best_gap_ == size_) return true;
    }
    at_ = std::max(at_, mask_ < 0 ? round_up(end, alignment_) : (end + mask_) & ~mask_);
    return false;
  }
  [[nodiscard]] std::int64_t offset() const { return best_ >= 0 ? best_ : at_; }

 private:
  std::int64_t size_;
  std::int64_t alignment_;
  std::int64_t mask_;  // alignment - 1 where that is a power of two, else -1
  Fit fit_;
  std::int64_t at_;
  std::int64_t best_ = -1;
  std::int64_t best_gap_ = std::numeric_limits<std::int64_t>::max();
};

/// The same over ranges at hand: [begin, end) offsets by begin.
[[nodiscard]] inline std::int64_t find_gap(
    const std::vector<std::pair<std::int64_t, std::int64_t>>& occupied, const PackBlock& block,
    std::int64_t floor_bytes, Fit fit) {
  GapSearch search(block, floor_bytes, fit);
  for (const auto& [begin, end] : occupied) {
    if (search.pass(begin, end)) break;
  }
  return search.offset();
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

/// `rows` of the problem with larger keys first.
template <class KeyOf>
[[nodiscard]] std::vector<std::size_t> sorted_by(const PackProblem& blocks,
                                                 std::vector<std::size_t> rows, KeyOf key) {
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return key(blocks[a]) > key(blocks[b]); });
  return rows;
}

/// Moves the `count` blocks of `rows` that end highest in `layout` to the front of `order`.
inline void lift_top(const PackProblem& blocks, const Packing& layout,
                     std::vector<std::size_t> rows, std::size_t count,
                     std::vector<std::size_t>& order) {
  const auto end_of = [&](std::size_t i) { return layout.offset_bytes[i] + blocks[i].size_bytes; };
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return end_of(a) > end_of(b); });
  rows.resize(std::min(rows.size(), count));
  std::stable_partition(order.begin(), order.end(), [&rows](std::size_t i) {
    return std::find(rows.begin(), rows.end(), i) != rows.end();
  });
}

/// What lives for more than half of the axis would be in everyone's way: `lasting`, largest
/// alignment first, goes to the bottom once and for all.
struct ByLife {
  std::vector<std::size_t> lasting;
  std::vector<std::size_t> brief;
};

[[nodiscard]] inline ByLife by_life(const PackProblem& blocks, std::int64_t length) {
  ByLife rows;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const bool lasts = blocks[i].end - blocks[i].begin > length / 2;
    (lasts ? rows.lasting : rows.brief).push_back(i);
  }
  rows.lasting = sorted_by(blocks, std::move(rows.lasting),
                           [](const PackBlock& b) { return b.alignment_bytes; });
  return rows;
}

/// A layout with `rows` one above the other from 0 up, all others at 0; its height is their top.
[[nodiscard]] inline Packing stacked(const PackProblem& blocks,
                                     const std::vector<std::size_t>& rows) {
  Packing layout{.offset_bytes = std::vector<std::int64_t>(blocks.size(), 0), .height_bytes = 0};
  for (const std::size_t i : rows) {
    layout.offset_bytes[i] = round_up(layout.height_bytes, blocks[i].alignment_bytes);
    layout.height_bytes = layout.offset_bytes[i] + blocks[i].size_bytes;
  }
  return layout;
}

}  // namespace tidemark
