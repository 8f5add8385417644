#include "gui/instant.h"

#include <algorithm>

#include "gui/alive_rows.h"

namespace tidemark {
namespace {

/// The op of the latest span that covers `time_ns`, if any.
OpId running_op(const RunTimeline& timeline, std::int64_t time_ns) {
  auto after =
      std::upper_bound(timeline.spans.begin(), timeline.spans.end(), time_ns,
                       [](std::int64_t t, const OpSpan& span) { return t < span.begin_ns; });
  // Spans of other streams may begin in between; a few steps back are enough to find a cover.
  constexpr int k_most_streams = 8;
  for (int i = 0; i < k_most_streams && after != timeline.spans.begin(); ++i) {
    --after;
    if (time_ns < after->end_ns) return after->op;
  }
  return {};
}

}  // namespace

Instant instant_at(const Run& run, std::int64_t change, std::int64_t position, Axis axis) {
  Instant instant;
  instant.change = change;
  instant.by_band = run.pyramid().state_after(change);
  instant.total_bytes = total_bytes(instant.by_band);
  instant.time_ns = axis == Axis::time ? position : run.timeline().begin_ns;
  if (change >= 0) {
    const MemoryChange at = run.timeline().changes[static_cast<std::size_t>(change)];
    const bool later = axis == Axis::time && position > at.time_ns;
    instant.time_ns = later ? position : at.time_ns;
    instant.step = at.step;
    instant.op = at.op;
    if (later) {
      const OpId running = running_op(run.timeline(), position);
      if (running.valid()) instant.op = running;
    }
  }
  return instant;
}

Instant instant_of_change(const Run& run, std::int64_t change) {
  return instant_at(run, change, change, Axis::change);
}

std::vector<AliveRow> alive_rows(const Run& run, std::int64_t change, std::size_t limit) {
  std::vector<AliveRow> rows = alive_rows_without_uses(run, change, limit);
  for (AliveRow& row : rows) fill_uses(run, row);
  return rows;
}

RangeStatistics range_statistics(const Run& run, ViewRange range, Axis axis) {
  RangeStatistics result;
  result.range = range;
  const Pyramid& pyramid = run.pyramid();
  const std::int64_t first = pyramid.first_change_from(range.begin, axis);
  const std::int64_t last = pyramid.first_change_from(range.end, axis);
  const PixelColumn all = pyramid.columns({.range = range, .width_px = 1}, axis).front();
  result.peak_bytes = all.extremes.max_bytes;
  result.peak_change = all.extremes.max_change;
  result.min_bytes = all.extremes.min_bytes;
  std::int64_t total = pyramid.total_after(first - 1);
  std::int64_t since = range.begin;
  double byte_units = 0;
  for (std::int64_t i = first; i < last; ++i) {
    const std::int64_t delta_bytes =
        run.timeline().changes.delta_bytes(static_cast<std::size_t>(i));
    const std::int64_t at = pyramid.position_of(i, axis);
    byte_units += static_cast<double>(total) * static_cast<double>(at - since);
    since = at;
    total += delta_bytes;
    (delta_bytes < 0 ? result.free_count : result.alloc_count) += 1;
    result.allocated_bytes += std::max<std::int64_t>(delta_bytes, 0);
    result.largest_bytes = std::max(result.largest_bytes, delta_bytes);
  }
  for (std::size_t row = run.alive().begun_until(first - 1);
       row < run.alive().begun_until(last - 1); ++row) {
    const Lifetime life = run.alive().lifetime(row);
    if (life.free_change < last) continue;
    ++result.survivor_count;
    result.survivor_bytes += life.bytes;
  }
  byte_units += static_cast<double>(total) * static_cast<double>(range.end - since);
  result.mean_bytes = byte_units / static_cast<double>(range.span());
  return result;
}

std::string layer_name(const Trace& trace, LayerId layer) {
  return layer.valid() ? trace[layer].name : "-";
}

std::string phase_name(const Trace& trace, OpId op) {
  return op.valid() ? std::string(to_string(trace[op].phase)) : "-";
}

std::string op_name(const Trace& trace, OpId op) {
  return op.valid() ? trace[op].name : "-";
}

}  // namespace tidemark
