#include "gui/lanes.h"

#include <algorithm>

namespace tidemark {
namespace {

/// Where an op lies on the axis of changes: at the changes that happen while it runs.
ViewRange span_on(const Run& run, const OpSpan& span, Axis axis) {
  if (axis == Axis::time) return {span.begin_ns, std::max(span.end_ns, span.begin_ns + 1)};
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t begin = pyramid.first_change_from(span.begin_ns, Axis::time);
  return {begin, std::max(pyramid.first_change_from(span.end_ns, Axis::time), begin + 1)};
}

/// Spans that may touch the range on the time axis: an op that begins long before its begin is
/// found by looking back to where nothing longer can begin.
std::pair<std::size_t, std::size_t> spans_in(const Run& run, ViewRange range_ns) {
  const auto& spans = run.timeline().spans;
  const auto before = [](const OpSpan& span, std::int64_t ns) { return span.begin_ns < ns; };
  auto first = std::lower_bound(spans.begin(), spans.end(), range_ns.begin, before);
  // Streams run in order, so no more spans than streams can be open here.
  constexpr std::ptrdiff_t k_most_streams = 64;
  first -= std::min(k_most_streams, first - spans.begin());
  const auto last = std::lower_bound(first, spans.end(), range_ns.end, before);
  return {static_cast<std::size_t>(first - spans.begin()),
          static_cast<std::size_t>(last - spans.begin())};
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

std::vector<std::int32_t> streams_with_ops(const Run& run) {
  const auto count = std::max<std::size_t>(run.trace().streams.size(), 1);
  std::vector<bool> used(count, false);
  for (const OpSpan& span : run.timeline().spans) {
    const auto stream = static_cast<std::size_t>(std::max(run.trace()[span.op].stream.value, 0));
    if (stream < count) used[stream] = true;
  }
  std::vector<std::int32_t> streams;
  for (std::size_t stream = 0; stream < count; ++stream) {
    if (used[stream]) streams.push_back(static_cast<std::int32_t>(stream));
  }
  return streams;
}

std::vector<OpBox> op_boxes(const Run& run, std::int32_t stream, const ColumnScale& scale,
                            Axis axis) {
  std::vector<OpBox> boxes;
  std::int64_t longest_ns = 0;  // of the ops of the last box
  const auto [first, last] = spans_in(run, time_of(run, scale.range, axis));
  for (std::size_t row = first; row < last; ++row) {
    const OpSpan& span = run.timeline().spans[row];
    if (std::max(run.trace()[span.op].stream.value, 0) != stream) continue;
    const ViewRange at = span_on(run, span, axis);
    const int begin = std::max(scale.column_of(at.begin), 0);
    const int end = std::min(std::max(scale.column_of(at.end), begin + 1), scale.width_px);
    if (scale.column_of(at.end - 1) < 0 || begin >= scale.width_px) continue;
    const std::int64_t length_ns = span.end_ns - span.begin_ns;
    OpBox* box = boxes.empty() ? nullptr : &boxes.back();
    if (box == nullptr || begin >= box->end_px) {
      boxes.push_back({begin, end, span.op, 1});
      longest_ns = length_ns;
      continue;
    }
    if (end > box->end_px && box->end_px - box->begin_px > 1) {  // part of a wide one is covered
      boxes.push_back({box->end_px, end, span.op, 1});
      longest_ns = length_ns;
      continue;
    }
    ++box->count;
    box->end_px = std::max(box->end_px, end);
    if (length_ns > longest_ns) box->op = span.op;
    longest_ns = std::max(longest_ns, length_ns);
  }
  return boxes;
}

std::vector<std::int64_t> level_columns(const Run& run, std::span<const LevelPoint> points,
                                        const ColumnScale& scale, Axis axis) {
  std::vector<std::int64_t> columns(static_cast<std::size_t>(scale.width_px), 0);
  std::size_t next = 0;
  std::int64_t bytes = 0;
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
