#include "gui/view_state.h"

#include <algorithm>

namespace tidemark {

std::int64_t shift_of(const ViewState& state, const Run& other) {
  return state.run->steady_step(state.axis).begin - other.steady_step(state.axis).begin;
}

ViewRange limits_of(const ViewState& state) {
  if (!state.run) return {};
  ViewRange limits =
      state.one_step ? state.run->steady_step(state.axis) : state.run->whole(state.axis);
  for (const RunPtr& other : state.others) {
    const std::int64_t end = other->steady_step(state.axis).end + shift_of(state, *other);
    limits.end = std::max(limits.end, end);
  }
  return limits;
}

ViewRange range_on(const Run& run, ViewRange range, Axis from, Axis to) {
  if (from == to || run.pyramid().change_count() == 0) return range;
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t first = pyramid.first_change_from(range.begin, from);
  const std::int64_t last = pyramid.first_change_from(range.end, from);
  if (to == Axis::change) return {first, std::max(last, first + 1)};
  const ViewRange whole = run.whole(Axis::time);
  const std::int64_t count = pyramid.change_count();
  const std::int64_t begin_ns = first == 0      ? whole.begin
                                : first < count ? pyramid.position_of(first, to)
                                                : whole.end - 1;
  const std::int64_t end_ns = last < count ? pyramid.position_of(last, to) : whole.end;
  return {begin_ns, std::max(end_ns, begin_ns + 1)};
}

std::int64_t zero_of(const ViewState& state) {
  return state.run && state.one_step ? state.run->steady_step(state.axis).begin : 0;
}

std::int64_t top_bytes_of(const ViewState& state) {
  std::int64_t most_bytes = state.run ? state.run->timeline().run_peak.bytes : 0;
  for (const RunPtr& other : state.others) {
    most_bytes = std::max(most_bytes, other->timeline().peak.bytes);
  }
  if (state.budget_bytes <= most_bytes + most_bytes / 2) {
    most_bytes = std::max(most_bytes, state.budget_bytes);
  }
  return std::max(most_bytes + most_bytes / 7, k_granule_bytes);
}

std::vector<Column> columns_of(const ViewState& state, const ColumnScale& scale) {
  if (!state.run) return std::vector<Column>(static_cast<std::size_t>(scale.width_px));
  std::vector<Column> columns = state.run->pyramid().columns(scale, state.axis);
  const int end_px = scale.column_of(state.run->whole(state.axis).end - 1) + 1;
  for (int x = std::max(end_px, 0); x < scale.width_px; ++x) {
    columns[static_cast<std::size_t>(x)] = Column{};
  }
  return columns;
}

OverlayColumns overlay_of(const ViewState& state, std::size_t other, const ColumnScale& scale) {
  constexpr std::array<int, 3> k_dash_px = {0, 5, 2};
  const Run& run = *state.others[other];
  const std::int64_t shift = shift_of(state, run);
  const ViewRange step = run.steady_step(state.axis);
  const ColumnScale own{{scale.range.begin - shift, scale.range.end - shift}, scale.width_px};
  const std::vector<Column> columns = run.pyramid().columns(own, state.axis);
  OverlayColumns overlay;
  overlay.dash_px = k_dash_px[other % k_dash_px.size()];
  overlay.fade_saved = other == 0;
  overlay.max_bytes.reserve(columns.size());
  for (int x = 0; x < own.width_px; ++x) {
    const bool inside = own.column_begin(x) < step.end && own.column_begin(x + 1) >= step.begin;
    overlay.max_bytes.push_back(inside ? columns[static_cast<std::size_t>(x)].extremes.max_bytes
                                       : -1);
  }
  return overlay;
}

std::int64_t peak_position(const ViewState& state, const Run& run) {
  const Peak& peak = run.timeline().peak;
  const ViewRange step = run.steady_step(state.axis);
  const std::int64_t at =
      peak.change < 0 ? step.begin : run.pyramid().position_of(peak.change, state.axis);
  // The peak may be what lives into the step, from a change before it.
  return std::max(at, step.begin) + shift_of(state, run);
}

Instant instant_of_column(const ViewState& state, const Column& column, std::int64_t column_begin) {
  return instant_at(*state.run, column.extremes.max_change, column_begin, state.axis);
}

OverBudget over_budget(const Run& run, std::int64_t budget_bytes) {
  OverBudget over;
  if (budget_bytes < 0) return over;
  over.bytes = std::max<std::int64_t>(run.timeline().peak.bytes - budget_bytes, 0);
  const ViewRange step = run.steady_step(Axis::time);
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t first = pyramid.first_change_from(step.begin, Axis::time);
  const std::int64_t last = pyramid.first_change_from(step.end, Axis::time);
  std::int64_t total = pyramid.total_after(first - 1);
  std::int64_t since_ns = step.begin;
  const auto until = [&](std::int64_t time_ns) {
    if (total > budget_bytes) over.time_ns += time_ns - since_ns;
    since_ns = time_ns;
  };
  for (std::int64_t i = first; i < last; ++i) {
    const MemoryChange& change = run.timeline().changes[static_cast<std::size_t>(i)];
    until(change.time_ns);
    total += change.delta_bytes;
  }
  until(step.end);
  return over;
}

ViewRange revealing(ViewRange range, std::int64_t position, ViewRange limits) {
  const std::int64_t margin = range.span() / 10;
  if (position >= range.begin + margin && position < range.end - margin) return range;
  const std::int64_t begin = position - range.span() / 2;
  return clamped({begin, begin + range.span()}, limits);
}

}  // namespace tidemark
