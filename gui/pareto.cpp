#include "gui/pareto.h"

#include <algorithm>

#include "sim/units.h"

namespace tidemark {
namespace {

/// [low, high] with a margin of 8 % on both sides, never empty and never below 0.
ViewRange with_margin(std::int64_t low, std::int64_t high, std::int64_t least_span) {
  const std::int64_t margin = std::max((high - low) * 8 / 100, least_span);
  return {std::max<std::int64_t>(low - margin, 0), high + margin};
}

bool beats(const PlanPoint& a, const PlanPoint& b) {
  const bool not_worse = a.bytes <= b.bytes && a.step_ns <= b.step_ns;
  return not_worse && (a.bytes < b.bytes || a.step_ns < b.step_ns);
}

}  // namespace

std::vector<bool> undominated(const std::vector<PlanPoint>& points) {
  std::vector<bool> kept;
  for (const PlanPoint& point : points) {
    kept.push_back(std::ranges::none_of(
        points, [&point](const PlanPoint& other) { return beats(other, point); }));
  }
  return kept;
}

PlotScale::PlotScale(const std::vector<PlanPoint>& points, std::int64_t budget_bytes, int width_px,
                     int height_px) {
  x_.width_px = std::max(width_px, 1);
  y_.width_px = std::max(height_px, 1);
  if (points.empty()) return;
  const auto [left, right] = std::ranges::minmax(points, {}, &PlanPoint::bytes);
  const auto [low, high] = std::ranges::minmax(points, {}, &PlanPoint::step_ns);
  std::int64_t least_bytes = left.bytes;
  std::int64_t most_bytes = right.bytes;
  // A budget far away would press all plans together.
  const std::int64_t reach = std::max(most_bytes - least_bytes, most_bytes / 4);
  if (budget_bytes >= least_bytes - reach && budget_bytes <= most_bytes + reach) {
    least_bytes = std::min(least_bytes, budget_bytes);
    most_bytes = std::max(most_bytes, budget_bytes);
  }
  x_.range = with_margin(least_bytes, most_bytes, std::max<std::int64_t>(most_bytes / 100, 1));
  y_.range = with_margin(low.step_ns, high.step_ns, std::max<std::int64_t>(high.step_ns / 100, 1));
}

int PlotScale::x_of(std::int64_t bytes) const {
  return x_.column_of(bytes);
}

int PlotScale::y_of(std::int64_t step_ns) const {
  return y_.width_px - 1 - y_.column_of(step_ns);
}

std::int64_t PlotScale::bytes_at(int x) const {
  return x_.column_begin(x);
}

std::vector<Tick> PlotScale::byte_ticks(int least_px) const {
  const std::int64_t most = std::max(x_.width_px / std::max(least_px, 1), 1);
  const std::int64_t step = byte_tick_step(std::max<std::int64_t>(x_.range.span() / most, 1));
  std::vector<Tick> ticks;
  for (std::int64_t at = (x_.range.begin + step - 1) / step * step; at < x_.range.end; at += step) {
    ticks.push_back({x_of(at), format_bytes(at)});
  }
  return ticks;
}

std::vector<Tick> PlotScale::time_ticks(int least_px) const {
  std::vector<Tick> ticks = axis_ticks(y_, Axis::time, 0, least_px);
  for (Tick& tick : ticks) tick.at_px = y_.width_px - 1 - tick.at_px;
  return ticks;
}

std::optional<std::size_t> point_at(const std::vector<PlanPoint>& points, const PlotScale& scale,
                                    int x, int y, int reach_px) {
  std::optional<std::size_t> nearest;
  int least = reach_px * reach_px + 1;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const int dx = scale.x_of(points[i].bytes) - x;
    const int dy = scale.y_of(points[i].step_ns) - y;
    const int distance = dx * dx + dy * dy;
    if (distance > least || distance > reach_px * reach_px) continue;
    least = distance;
    nearest = i;
  }
  return nearest;
}

}  // namespace tidemark
