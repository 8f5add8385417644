#include "gui/lanes.h"

#include <algorithm>
#include <limits>

#include "gui/gallop.h"

namespace tidemark {
namespace {

/// Where an op lies on the axis of changes: at the changes that happen while it runs.
ViewRange span_on(const Run& run, const OpSpan& span, Axis axis) {
  if (axis == Axis::time) return {span.begin_ns, std::max(span.end_ns, span.begin_ns + 1)};
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t begin = pyramid.first_change_from(span.begin_ns, Axis::time);
  return {begin, std::max(pyramid.first_change_from(span.end_ns, Axis::time), begin + 1)};
}

/// Ops of a stream that may touch the range on the time axis. One that begins before it is found by
/// looking back to where nothing longer can begin.
std::pair<std::size_t, std::size_t> spans_in(const StreamSpans& spans, ViewRange range_ns) {
  const std::size_t first = spans.first_from(range_ns.begin, 0, spans.size());
  constexpr std::size_t k_most_open = 64;  // ops at once on what is no stream but counts as one
  const std::size_t back = spans.in_order() ? 1 : k_most_open;
  return {first - std::min(back, first), spans.first_from(range_ns.end, first, spans.size())};
}

/// Ops that begin from here on lie at or after `position` (span_on()).
std::int64_t least_begin_ns(const Run& run, std::int64_t position, Axis axis) {
  if (axis == Axis::time) return position;
  const auto& changes = run.timeline().changes;
  if (position <= 0) return std::numeric_limits<std::int64_t>::min();
  if (position > static_cast<std::int64_t>(changes.size())) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return changes.time_ns(static_cast<std::size_t>(position - 1)) + 1;
}

ViewRange time_of(const Run& run, ViewRange range, Axis axis) {
  if (axis == Axis::time) return range;
  const auto& changes = run.timeline().changes;
  if (changes.empty()) return run.whole(Axis::time);
  const auto at = [&](std::int64_t change) {
    const auto last = static_cast<std::int64_t>(changes.size()) - 1;
    return changes.time_ns(static_cast<std::size_t>(std::clamp<std::int64_t>(change, 0, last)));
  };
  return {at(range.begin), at(range.end) + 1};
}

void add_uses(const Run& run, const ColumnScale& scale, Axis axis, LifeBar& bar) {
  const auto& timeline = run.timeline();
  const auto time_at = [&](std::int64_t change) {
    return timeline.changes.time_ns(static_cast<std::size_t>(change));
  };
  const std::int64_t end_ns =
      bar.free_change < 0 ? run.whole(Axis::time).end : time_at(bar.free_change) + 1;
  std::int64_t previous_end_ns = -1;
  std::int64_t longest_ns = 0;
  ViewRange idle_ns{0, 0};
  for (const std::int32_t row : run.uses().uses(bar.buffer, time_at(bar.alloc_change), end_ns)) {
    const OpSpan& span = timeline.spans[static_cast<std::size_t>(row)];
    const int x = scale.column_of(span_on(run, span, axis).begin);
    if (x >= 0 && x < scale.width_px && (bar.uses_px.empty() || bar.uses_px.back() != x)) {
      bar.uses_px.push_back(x);
    }
    if (previous_end_ns >= 0 && span.begin_ns - previous_end_ns > longest_ns) {
      longest_ns = span.begin_ns - previous_end_ns;
      idle_ns = {previous_end_ns, span.begin_ns};
    }
    previous_end_ns = std::max(previous_end_ns, span.end_ns);
  }
  if (longest_ns == 0) return;
  const auto column = [&](std::int64_t ns) {
    const std::int64_t at =
        axis == Axis::time ? ns : run.pyramid().first_change_from(ns, Axis::time);
    return std::clamp(scale.column_of(at), 0, scale.width_px);
  };
  bar.idle_begin_px = column(idle_ns.begin);
  bar.idle_end_px = column(idle_ns.end);
}

}  // namespace

std::vector<OpBox> op_boxes(const Run& run, const StreamSpans& spans, const ColumnScale& scale,
                            Axis axis) {
  std::vector<OpBox> boxes;
  std::int64_t longest_ns = 0;  // of the ops of the last box
  const auto offer = [&](OpBox& box, const OpSpan& span) {
    if (span.end_ns - span.begin_ns > longest_ns) box.op = span.op;
    longest_ns = std::max(longest_ns, span.end_ns - span.begin_ns);
  };
  // Then ops of one column that end before the next one begins lie within that column.
  const bool can_leap = spans.in_order() && scale.range.span() >= scale.width_px;
  const auto [first, last] = spans_in(spans, time_of(run, scale.range, axis));
  for (std::size_t row = first; row < last; ++row) {
    const OpSpan& span = spans[row];
    const ViewRange at = span_on(run, span, axis);
    const int begin = std::max(scale.column_of(at.begin), 0);
    const int end = std::min(std::max(scale.column_of(at.end), begin + 1), scale.width_px);
    if (scale.column_of(at.end - 1) < 0 || begin >= scale.width_px) continue;
    OpBox* box = boxes.empty() ? nullptr : &boxes.back();
    const bool apart = box == nullptr || begin >= box->end_px;
    // Of an op that begins in a wide box only the part after it is seen.
    const bool half_covered = !apart && end > box->end_px && box->end_px - box->begin_px > 1;
    if (apart || half_covered) {
      boxes.push_back({apart ? begin : box->end_px, end, span.op, 1});
      longest_ns = span.end_ns - span.begin_ns;
      box = &boxes.back();
    } else {
      ++box->count;
      box->end_px = std::max(box->end_px, end);
      offer(*box, span);
    }
    if (!can_leap || box->end_px - begin != 1) continue;
    const std::int64_t next_ns = least_begin_ns(run, scale.column_begin(begin + 1), axis);
    const std::size_t next = gallop(
        row + 1, last, 1, [&](std::size_t later) { return spans[later].begin_ns >= next_ns; });
    if (next < row + 3) continue;  // but for the last of them, which may go on into the next column
    offer(*box, spans[spans.longest(row + 1, next - 1)]);
    box->count += static_cast<std::int64_t>(next - row - 2);
    row = next - 2;
  }
  return boxes;
}

std::vector<std::ptrdiff_t> ranks_of(const ViewState& state) {
  std::vector<std::ptrdiff_t> ranks;
  const auto run_of = [&state](std::ptrdiff_t row) -> const Run& {
    return row < 0 ? *state.run : *state.others[static_cast<std::size_t>(row)].run;
  };
  if (!state.run) return ranks;
  for (std::ptrdiff_t row = -1; row < std::ssize(state.others); ++row) {
    if (run_of(row).trace().meta.rank_count > 1) ranks.push_back(row);
  }
  std::ranges::stable_sort(ranks, {},
                           [&](std::ptrdiff_t row) { return run_of(row).trace().meta.rank; });
  return ranks.size() > 1 ? ranks : std::vector<std::ptrdiff_t>{};
}

std::vector<std::int64_t> rank_columns(const ViewState& state, std::ptrdiff_t rank,
                                       const ColumnScale& scale) {
  if (rank >= 0) return overlay_of(state, static_cast<std::size_t>(rank), scale).max_bytes;
  std::vector<std::int64_t> bytes;
  for (const PixelColumn& column : columns_of(state, scale)) {
    bytes.push_back(column.extremes.max_bytes);
  }
  return bytes;
}

std::string lane_name(const Stream& stream) {
  if (stream.kind == StreamKind::device_to_host) return "to host";
  if (stream.kind == StreamKind::host_to_device) return "to device";
  return stream.name.empty() ? "ops" : stream.name;
}

std::vector<std::int64_t> level_columns(const Run& run, std::span<const LevelPoint> points,
                                        const ColumnScale& scale, Axis axis) {
  std::vector<std::int64_t> columns(static_cast<std::size_t>(scale.width_px), 0);
  const std::int64_t begin_ns = time_of(run, scale.range, axis).begin;
  const auto after = std::ranges::upper_bound(points, begin_ns, {}, &LevelPoint::time_ns);
  auto next = static_cast<std::size_t>(after - points.begin());
  std::int64_t bytes = next == 0 ? 0 : points[next - 1].bytes;
  for (int x = 0; x < scale.width_px; ++x) {
    const ViewRange part = time_of(
        run,
        {scale.column_begin(x), std::max(scale.column_begin(x + 1), scale.column_begin(x) + 1)},
        axis);
    while (next < points.size() && points[next].time_ns <= part.begin) bytes = points[next++].bytes;
    std::int64_t highest = bytes;
    for (; next < points.size() && points[next].time_ns < part.end; ++next) {
      bytes = points[next].bytes;
      highest = std::max(highest, bytes);
    }
    columns[static_cast<std::size_t>(x)] = highest;
  }
  return columns;
}

bool too_many_lives(const Run& run, ViewRange range, Axis axis) {
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t first = pyramid.change_at(range.begin, axis);
  const std::int64_t last = pyramid.first_change_from(range.end, axis) - 1;
  return run.alive().begun_until(last) - run.alive().begun_until(first) > k_most_lives;
}

std::vector<LifeBar> life_bars(const Run& run, const ColumnScale& scale, Axis axis,
                               const LifeQuery& query) {
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t first = pyramid.change_at(scale.range.begin, axis);
  const std::int64_t last = pyramid.first_change_from(scale.range.end, axis) - 1;
  std::vector<LifeBar> bars;
  if (too_many_lives(run, scale.range, axis)) return bars;
  for (const std::size_t row : run.alive().alive_between(first, last)) {
    const Lifetime life = run.alive().lifetime(row);
    const Buffer& buffer = run.trace()[life.buffer];
    if (query.order == LifeOrder::address && buffer.offset_bytes < 0) continue;
    if (buffer.name.find(query.name_part) == std::string::npos) continue;
    bars.push_back({.buffer = life.buffer,
                    .bytes = life.bytes,
                    .alloc_change = life.alloc_change,
                    .free_change = life.freed() ? life.free_change : -1,
                    .uses_px = {},
                    .offset_bytes = buffer.offset_bytes});
  }
  const auto larger = [](const LifeBar& a, const LifeBar& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.alloc_change < b.alloc_change;
  };
  if (bars.size() > query.limit) {
    std::nth_element(bars.begin(), bars.begin() + static_cast<std::ptrdiff_t>(query.limit),
                     bars.end(), larger);
    bars.resize(query.limit);
  }
  std::sort(bars.begin(), bars.end(), [&](const LifeBar& a, const LifeBar& b) {
    if (query.order == LifeOrder::size) return larger(a, b);
    if (query.order == LifeOrder::address && a.offset_bytes != b.offset_bytes) {
      return a.offset_bytes < b.offset_bytes;
    }
    return a.alloc_change < b.alloc_change;
  });
  for (LifeBar& bar : bars) {
    bar.begin_px =
        std::clamp(scale.column_of(pyramid.position_of(bar.alloc_change, axis)), 0, scale.width_px);
    const int end_px = bar.free_change < 0
                           ? scale.column_of(run.whole(axis).end)
                           : scale.column_of(pyramid.position_of(bar.free_change, axis));
    bar.end_px = std::clamp(std::max(end_px, bar.begin_px + 1), 0, scale.width_px);
    if (query.order != LifeOrder::address) add_uses(run, scale, axis, bar);
  }
  return bars;
}

}  // namespace tidemark
