#include "gui/treemap.h"

#include <algorithm>
#include <numeric>

namespace tidemark {
namespace {

/// The worst ratio of sides when areas from `smallest` to `largest`, `sum` together, stand in one
/// row along a side of this length.
double worst_ratio(double sum, double smallest, double largest, double side) {
  const double square = side * side;
  return std::max(square * largest / (sum * sum), sum * sum / (square * smallest));
}

}  // namespace

std::vector<Area> squarify(std::span<const std::int64_t> sizes, Area room) {
  std::vector<Area> areas(sizes.size());
  const double total = std::accumulate(sizes.begin(), sizes.end(), 0.0);
  if (total <= 0 || room.width <= 0 || room.height <= 0) return areas;
  const double scale = room.width * room.height / total;
  const auto area_of = [&](std::size_t i) { return static_cast<double>(sizes[i]) * scale; };
  for (std::size_t first = 0; first < sizes.size() && sizes[first] > 0;) {
    const double side = std::min(room.width, room.height);
    double sum = area_of(first);
    std::size_t last = first + 1;
    while (last < sizes.size() && sizes[last] > 0 &&
           worst_ratio(sum + area_of(last), area_of(last), area_of(first), side) <=
               worst_ratio(sum, area_of(last - 1), area_of(first), side)) {
      sum += area_of(last++);
    }
    const double depth = sum / side;
    const bool upright = room.width >= room.height;  // the row is a column at the left
    double along = upright ? room.top : room.left;
    for (std::size_t i = first; i < last; ++i) {
      const double length = area_of(i) / depth;
      areas[i] =
          upright ? Area{room.left, along, depth, length} : Area{along, room.top, length, depth};
      along += length;
    }
    if (upright) {
      room.left += depth;
      room.width = std::max(room.width - depth, 0.0);
    } else {
      room.top += depth;
      room.height = std::max(room.height - depth, 0.0);
    }
    first = last;
    if (room.width <= 0 || room.height <= 0) break;
  }
  return areas;
}

}  // namespace tidemark
