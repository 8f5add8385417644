// The plot of step time against memory: where plans lie, which of them nothing beats. No widget.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gui/labels.h"
#include "gui/view_range.h"

namespace tidemark {

/// One plan in the plot.
struct PlanPoint {
  enum class Kind : std::uint8_t { evaluated, front, listed, recorded, current };
  Kind kind = Kind::evaluated;
  std::int64_t bytes = 0;
  std::int64_t step_ns = 0;
  std::string name;
  std::size_t row = 0;  // of the list that it came from
  bool operator==(const PlanPoint&) const = default;
};

/// True where no other point is both at most as high and at most as slow (and not equal).
[[nodiscard]] std::vector<bool> undominated(const std::vector<PlanPoint>& points);

/// From figures to pixels of a plot of this size; x: bytes, y: time, slow above. Ranges hold all
/// points and the budget with a margin, also where all figures are equal.
class PlotScale {
 public:
  PlotScale(const std::vector<PlanPoint>& points, std::int64_t budget_bytes, int width_px,
            int height_px);

  [[nodiscard]] int x_of(std::int64_t bytes) const;
  [[nodiscard]] int y_of(std::int64_t step_ns) const;
  [[nodiscard]] std::int64_t bytes_at(int x) const;
  [[nodiscard]] std::vector<Tick> byte_ticks(int least_px) const;
  [[nodiscard]] std::vector<Tick> time_ticks(int least_px) const;

 private:
  ColumnScale x_;  // bytes
  ColumnScale y_;  // time, from below
};

/// The nearest point within `reach_px` of (x, y); of equally near ones the last, which is painted
/// on top.
[[nodiscard]] std::optional<std::size_t> point_at(const std::vector<PlanPoint>& points,
                                                  const PlotScale& scale, int x, int y,
                                                  int reach_px);

}  // namespace tidemark
