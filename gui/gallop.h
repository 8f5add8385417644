// Searching on from the row that was found last, for passes over columns or steps.
#pragma once

#include <algorithm>
#include <cstddef>

namespace tidemark {

/// The first row of [from, count) from which on `reached(row)` holds; `count` when there is none.
/// Exponential search (Bentley and Yao 1976, "An almost optimal algorithm for unbounded
/// searching"): its first leap is `leap` rows, so it is quickest when the row lies about there.
template <class Reached>
[[nodiscard]] std::size_t gallop(std::size_t from, std::size_t count, std::size_t leap,
                                 Reached reached) {
  std::size_t low = from;  // no row before it is reached
  std::size_t high = from;
  for (leap = std::max<std::size_t>(leap, 1); high < count && !reached(high); leap *= 2) {
    low = high + 1;
    high += leap;
  }
  high = std::min(high, count);
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (reached(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace tidemark
