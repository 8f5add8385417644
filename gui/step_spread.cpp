#include "gui/step_spread.h"

#include <algorithm>

#include "gui/run.h"

namespace tidemark {
namespace {

/// The changes of one step, walked from its begin to its end.
class StepWalk {
 public:
  StepWalk(const Run& run, std::size_t row) : changes_(run.timeline().changes) {
    const ViewRange range = run.step(row, Axis::change);
    at_ = first_ = std::min(range.begin, run.pyramid().change_count());
    count_ = std::min(range.end, run.pyramid().change_count()) - first_;
    total_ = run.pyramid().total_after(first_ - 1);
  }

  struct Span {
    std::int64_t low = 0;
    std::int64_t high = 0;
  };
  /// Point `point` of `points` (0: the begin); points in order.
  Span next(std::int64_t point, std::int64_t points) {
    const std::int64_t end = points <= 1 ? 0 : first_ + count_ * point / (points - 1);
    Span span{total_, total_};
    for (bool first = true; at_ < end; ++at_, first = false) {
      total_ += changes_.delta_bytes(static_cast<std::size_t>(at_));
      span = first ? Span{total_, total_}
                   : Span{std::min(span.low, total_), std::max(span.high, total_)};
    }
    return span;
  }

  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  const ChangeColumns& changes_;
  std::int64_t first_ = 0;
  std::int64_t count_ = 0;
  std::int64_t at_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace

StepSpread spread_of(const Run& run) {
  StepSpread spread;
  const std::size_t step_count = run.timeline().step_begin_ns.size();
  spread.step_count = static_cast<std::int64_t>(step_count);
  if (step_count == 0) return spread;
  std::vector<StepWalk> walks;
  for (std::size_t row = 0; row < step_count; ++row) walks.emplace_back(run, row);
  const std::int64_t points = walks.back().count() + 1;
  std::vector<std::int64_t> highs(step_count);
  for (std::int64_t point = 0; point < points; ++point) {
    std::int64_t least = 0;
    for (std::size_t row = 0; row < step_count; ++row) {
      const StepWalk::Span span = walks[row].next(point, points);
      highs[row] = span.high;
      least = row == 0 ? span.low : std::min(least, span.low);
    }
    const auto middle = highs.begin() + static_cast<std::ptrdiff_t>((step_count - 1) / 2);
    std::nth_element(highs.begin(), middle, highs.end());
    spread.least.push_back(least);
    spread.median.push_back(*middle);
    spread.most.push_back(*std::max_element(middle, highs.end()));
  }
  return spread;
}

SpreadColumns spread_columns(const Run& run, const ColumnScale& scale, Axis axis) {
  const StepSpread& spread = run.spread();
  const auto width = static_cast<std::size_t>(scale.width_px);
  SpreadColumns columns{.least = std::vector<std::int64_t>(width, -1),
                        .median = std::vector<std::int64_t>(width, -1),
                        .most = std::vector<std::int64_t>(width, -1)};
  if (spread.step_count == 0) return columns;
  const ViewRange step = run.steady_step(axis);
  const std::int64_t first = run.steady_step(Axis::change).begin;
  const auto last_point = static_cast<std::int64_t>(spread.most.size()) - 1;
  // The point that a step has reached with all changes before `position`.
  const auto point_at = [&](std::int64_t position) {
    return std::clamp<std::int64_t>(run.pyramid().first_change_from(position, axis) - first, 0,
                                    last_point);
  };
  for (int x = 0; x < scale.width_px; ++x) {
    const std::int64_t begin = scale.column_begin(x);
    const std::int64_t end = std::max(scale.column_begin(x + 1), begin + 1);
    if (begin >= step.end || end <= step.begin) continue;
    const auto column = static_cast<std::size_t>(x);
    const std::int64_t to = point_at(end);
    std::int64_t from = point_at(begin);
    // As in a column of the stack: the state before is seen unless a change comes at its begin.
    if (from < to && run.pyramid().position_of(first + from, axis) <= begin) ++from;
    const auto part = [&](const std::vector<std::int64_t>& points) {
      return std::pair(points.begin() + from, points.begin() + to + 1);
    };
    const auto [least_from, least_to] = part(spread.least);
    const auto [median_from, median_to] = part(spread.median);
    const auto [most_from, most_to] = part(spread.most);
    columns.least[column] = *std::min_element(least_from, least_to);
    columns.median[column] = *std::max_element(median_from, median_to);
    columns.most[column] = *std::max_element(most_from, most_to);
  }
  return columns;
}

}  // namespace tidemark
