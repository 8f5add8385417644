// Areas in proportion to sizes: the rectangles of a treemap. No widget.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tidemark {

/// Pixels [left, left + width) x [top, top + height), not rounded.
struct Area {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
  bool operator==(const Area&) const = default;
};

/// One rectangle per size, within `room`, without overlap, its share of the room; sizes of 0 get
/// nothing. Sizes must not be negative and come largest first: then the rectangles are as square as
/// rows allow (Bruls, Huizing, van Wijk, Squarified Treemaps, 2000).
[[nodiscard]] std::vector<Area> squarify(std::span<const std::int64_t> sizes, Area room);

}  // namespace tidemark
