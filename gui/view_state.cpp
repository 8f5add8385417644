#include "gui/view_state.h"

#include <algorithm>

namespace tidemark {

void lay_over(ViewState& state, RunPtr other) {
  Alignment alignment = align(*state.run, *other);
  state.others.push_back({.run = std::move(other), .alignment = std::move(alignment)});
}

void replace_overlay(ViewState& state, const RunPtr& old, RunPtr other) {
  const auto place = std::ranges::find(state.others, old, &Overlay::run);
  if (!old || place == state.others.end()) {
    if (other) lay_over(state, std::move(other));
    return;
  }
  if (!other) {
    state.others.erase(place);
    return;
  }
  place->alignment = align(*state.run, *other);
  place->run = std::move(other);
}

ViewRange limits_of(const ViewState& state) {
  if (!state.run) return {};
  ViewRange limits =
      state.one_step ? state.run->steady_step(state.axis) : state.run->whole(state.axis);
  for (const Overlay& other : state.others) {
    const std::int64_t end = other.run->steady_step(state.axis).end;
    limits.end = std::max(limits.end, other.alignment.on(state.axis).here(end));
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
  for (const Overlay& other : state.others) {
    most_bytes = std::max(most_bytes, other.run->timeline().peak.bytes);
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
  const Run& run = *state.others[other].run;
  const TimeMap& map = state.others[other].alignment.on(state.axis);
  const ViewRange step = run.steady_step(state.axis);
  OverlayColumns overlay;
  overlay.dash_px = k_dash_px[other % k_dash_px.size()];
  overlay.fade_saved = other == 0;
  overlay.max_bytes.reserve(static_cast<std::size_t>(scale.width_px));
  ViewRange shown;
  for (int x = 0; x < scale.width_px; ++x) {
    const std::int64_t begin = map.there(scale.column_begin(x));
    const std::int64_t end = std::max(map.there(scale.column_begin(x + 1)), begin + 1);
    if (begin >= step.end || end <= step.begin) {
      overlay.max_bytes.push_back(-1);
      continue;
    }
    const ViewRange part{std::max(begin, step.begin), std::min(end, step.end)};
    if (x == 0 || part != shown) {
      const Column column = run.pyramid().columns({part, 1}, state.axis).front();
      overlay.max_bytes.push_back(column.extremes.max_bytes);
    } else {
      overlay.max_bytes.push_back(overlay.max_bytes.back());
    }
    shown = part;
  }
  return overlay;
}

std::optional<std::int64_t> bytes_at_same_point(const ViewState& state, const Overlay& other,
                                                const Instant& instant) {
  const std::int64_t here = state.axis == Axis::time ? instant.time_ns : instant.change;
  const std::int64_t there = other.alignment.on(state.axis).there(here);
  const ViewRange step = other.run->steady_step(state.axis);
  if (there < step.begin || there >= step.end) return std::nullopt;
  const Pyramid& pyramid = other.run->pyramid();
  return pyramid.total_after(pyramid.change_at(there, state.axis));
}

std::int64_t peak_position(const Run& run, Axis axis) {
  const Peak& peak = run.timeline().peak;
  const ViewRange step = run.steady_step(axis);
  const std::int64_t at =
      peak.change < 0 ? step.begin : run.pyramid().position_of(peak.change, axis);
  // The peak may be what lives into the step, from a change before it.
  return std::max(at, step.begin);
}

std::int64_t peak_position(const ViewState& state, const Overlay& other) {
  return other.alignment.on(state.axis).here(peak_position(*other.run, state.axis));
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
