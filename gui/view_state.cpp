#include "gui/view_state.h"

#include <algorithm>

#include "gui/filter.h"

namespace tidemark {

void lay_over(ViewState& state, RunPtr other) {
  RunPtr part = part_of(other, state.filter);
  Alignment alignment = align(*state.run, *part);
  state.others.push_back({.run = std::move(part), .alignment = std::move(alignment)});
}

void replace_overlay(ViewState& state, const RunPtr& old, RunPtr other) {
  const auto place =
      std::ranges::find(state.others, old, [](const Overlay& over) { return whole_of(over.run); });
  if (!old || place == state.others.end()) {
    if (other) lay_over(state, std::move(other));
    return;
  }
  if (!other) {
    state.others.erase(place);
    return;
  }
  place->run = part_of(other, state.filter);
  place->alignment = align(*state.run, *place->run);
}

const GroupedStack& stack_of(const ViewState& state) {
  return state.run->stack_by(state.group_by);
}

ViewRange limits_of(const ViewState& state) {
  if (!state.run) return {};
  ViewRange limits =
      state.one_step ? state.run->steady_step(state.axis) : state.run->whole(state.axis);
  if (state.every_step) return limits;
  for (const Overlay& other : state.others) {
    const std::int64_t end = other.run->steady_step(state.axis).end;
    limits.end = std::max(limits.end, other.alignment.on(state.axis).here(end));
  }
  return limits;
}

std::int64_t budget_line_of(const ViewState& state) {
  return state.filter.empty() ? state.budget_bytes : -1;
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
  const std::int64_t budget_bytes = budget_line_of(state);
  if (budget_bytes <= most_bytes + most_bytes / 2) {
    most_bytes = std::max(most_bytes, budget_bytes);
  }
  return std::max(most_bytes + most_bytes / 7, k_granule_bytes);
}

std::vector<PixelColumn> columns_of(const ViewState& state, const ColumnScale& scale) {
  if (!state.run) return std::vector<PixelColumn>(static_cast<std::size_t>(scale.width_px));
  std::vector<PixelColumn> columns = stack_of(state).pyramid.columns(scale, state.axis);
  const int end_px = scale.column_of(state.run->whole(state.axis).end - 1) + 1;
  for (int x = std::max(end_px, 0); x < scale.width_px; ++x) {
    columns[static_cast<std::size_t>(x)] = PixelColumn{};
  }
  return columns;
}

namespace {

/// The row of the last step that begins at or before `position`; 0 when none does.
std::size_t step_at(const Run& run, std::int64_t position, Axis axis) {
  const auto& begins_ns = run.timeline().step_begin_ns;
  if (run.pyramid().change_count() == 0) return 0;
  const std::int64_t time_ns =
      axis == Axis::time
          ? position
          : run.pyramid().position_of(std::max(position, std::int64_t{0}), Axis::time);
  const auto after = std::upper_bound(begins_ns.begin(), begins_ns.end(), time_ns);
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(after - begins_ns.begin() - 1, 0));
}

/// Where a part of the run's axis lies in the steady step: the same places of it that the part has
/// in the steps it touches. Steps are of different lengths: in proportion. Nothing before the
/// first.
std::vector<ViewRange> folded(const Run& run, ViewRange part, Axis axis) {
  const ViewRange steady = run.steady_step(axis);
  if (run.timeline().step_begin_ns.empty() || part.begin >= steady.begin) return {part};
  if (part.end <= run.step(0, axis).begin) return {};
  const std::size_t first = step_at(run, part.begin, axis);
  const std::size_t last = step_at(run, part.end - 1, axis);
  if (last > first + 1) return {steady};  // all that happens in one
  std::vector<ViewRange> parts;
  for (std::size_t row = first; row <= last; ++row) {
    const ViewRange step = run.step(row, axis);
    const double stretch = static_cast<double>(steady.span()) / static_cast<double>(step.span());
    const auto at = [&](std::int64_t position) {
      const auto distance =
          static_cast<double>(std::clamp(position, step.begin, step.end) - step.begin);
      return steady.begin + static_cast<std::int64_t>(distance * stretch);
    };
    const std::int64_t begin = at(part.begin);
    parts.push_back({begin, std::max(at(part.end), begin + 1)});
  }
  return parts;
}

/// The most that `other` holds at the points of `parts`; -1 when it has none of them.
std::int64_t highest_at(const Overlay& other, const std::vector<ViewRange>& parts, Axis axis) {
  const TimeMap& map = other.alignment.on(axis);
  const ViewRange step = other.run->steady_step(axis);
  std::int64_t highest = -1;
  for (const ViewRange& part : parts) {
    const std::int64_t begin = map.there(part.begin);
    const std::int64_t end = std::max(map.there(part.end), begin + 1);
    if (begin >= step.end || end <= step.begin) continue;
    const ViewRange seen{std::max(begin, step.begin), std::min(end, step.end)};
    const PixelColumn column = other.run->pyramid().columns({seen, 1}, axis).front();
    highest = std::max(highest, column.extremes.max_bytes);
  }
  return highest;
}

constexpr std::array<int, 3> k_dash_px = {0, 5, 2};  // of the lines over the stack, in turn

}  // namespace

OverlayColumns overlay_of(const ViewState& state, std::size_t other, const ColumnScale& scale) {
  OverlayColumns overlay;
  overlay.dash_px = k_dash_px[other % k_dash_px.size()];
  overlay.fade_saved = other == 0;
  overlay.max_bytes.reserve(static_cast<std::size_t>(scale.width_px));
  std::vector<ViewRange> shown;
  for (int x = 0; x < scale.width_px; ++x) {
    const std::int64_t begin = scale.column_begin(x);
    const std::int64_t end = std::max(scale.column_begin(x + 1), begin + 1);
    std::vector<ViewRange> parts = folded(*state.run, {begin, end}, state.axis);
    const bool same = x > 0 && parts == shown;
    overlay.max_bytes.push_back(same ? overlay.max_bytes.back()
                                     : highest_at(state.others[other], parts, state.axis));
    shown = std::move(parts);
  }
  return overlay;
}

std::vector<OverlayColumns> overlays_of(const ViewState& state, const ColumnScale& scale) {
  std::vector<OverlayColumns> overlays;
  if (!state.every_step) {
    for (std::size_t i = 0; i < state.others.size(); ++i) {
      overlays.push_back(overlay_of(state, i, scale));
    }
  } else if (state.run && state.run->spread().step_count > 1) {
    SpreadColumns steps = spread_columns(*state.run, scale, state.axis);
    const bool alike = state.run->spread().is_alike();
    for (auto* bytes : {&steps.most, &steps.median, &steps.least}) {
      overlays.push_back({.max_bytes = std::move(*bytes),
                          .dash_px = k_dash_px[overlays.size()],
                          .fade_saved = false});
      if (alike) break;
    }
  }
  return overlays;
}

std::optional<std::int64_t> change_at_same_point(const ViewState& state, const Overlay& other,
                                                 const Instant& instant) {
  const std::int64_t at = state.axis == Axis::time ? instant.time_ns : instant.change;
  const std::vector<ViewRange> here = folded(*state.run, {at, at + 1}, state.axis);
  if (here.empty()) return std::nullopt;
  const std::int64_t there = other.alignment.on(state.axis).there(here.front().begin);
  const ViewRange step = other.run->steady_step(state.axis);
  if (there < step.begin || there >= step.end) return std::nullopt;
  return other.run->pyramid().change_at(there, state.axis);
}

std::optional<std::int64_t> bytes_at_same_point(const ViewState& state, const Overlay& other,
                                                const Instant& instant) {
  const auto change = change_at_same_point(state, other, instant);
  if (!change) return std::nullopt;
  return other.run->pyramid().total_after(*change);
}

std::vector<double> mean_by_group(const ViewState& state, ViewRange range) {
  const GroupedStack& stack = stack_of(state);
  const ChangeColumns& changes = state.run->timeline().changes;
  const std::int64_t first = stack.pyramid.first_change_from(range.begin, state.axis);
  const std::int64_t last = stack.pyramid.first_change_from(range.end, state.axis);
  const BandBytes begin_bytes = stack.pyramid.state_after(first - 1);
  const auto span = static_cast<double>(range.span());
  std::vector<double> means(begin_bytes.begin(), begin_bytes.end());
  for (std::int64_t i = first; i < last; ++i) {  // each change lasts to the end of the range
    const auto row = static_cast<std::size_t>(i);
    const auto left = static_cast<double>(range.end - stack.pyramid.position_of(i, state.axis));
    means[stack.grouping.of_buffer[changes.buffer_row(row)]] +=
        static_cast<double>(changes.delta_bytes(row)) * (left / span);
  }
  return means;
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

Instant instant_of_column(const ViewState& state, const PixelColumn& column,
                          std::int64_t column_begin) {
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
    const auto row = static_cast<std::size_t>(i);
    until(run.timeline().changes.time_ns(row));
    total += run.timeline().changes.delta_bytes(row);
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
