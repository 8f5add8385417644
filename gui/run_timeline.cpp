#include "gui/run_timeline.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "sim/tide.h"

namespace tidemark {

namespace {

bool is_segment(EventKind kind) {
  return kind == EventKind::segment_alloc || kind == EventKind::segment_free ||
         kind == EventKind::segment_map || kind == EventKind::segment_unmap;
}

Event whole(const BriefEvent& event) {
  return {.kind = event.kind,
          .time_ns = event.time_ns,
          .index = event.index,
          .size_bytes = event.size_bytes};
}

/// A total that goes up and down; of several points at one time the last stays.
class Level {
 public:
  void add(std::int64_t time_ns, std::int64_t delta_bytes) {
    const std::int64_t bytes = (points_.empty() ? 0 : points_.back().bytes) + delta_bytes;
    if (!points_.empty() && points_.back().time_ns == time_ns) {
      points_.back().bytes = bytes;
    } else {
      points_.push_back({time_ns, bytes});
    }
  }
  [[nodiscard]] std::vector<LevelPoint> take() { return std::move(points_); }

 private:
  std::vector<LevelPoint> points_;
};

/// Host memory while the program of `trace` is replayed.
std::vector<LevelPoint> replayed_host(const Trace& trace) {
  std::vector<LevelPoint> points;
  for (const SpaceKind kind : {SpaceKind::host_pinned, SpaceKind::host_pageable}) {
    const auto is_there = [&](const Buffer& buffer) { return buffer.space.kind == kind; };
    if (std::none_of(trace.buffers.begin(), trace.buffers.end(), is_there)) continue;
    const Timeline host = replay(trace, {.kind = kind, .rank = trace.meta.rank});
    Level level;
    for (const MemoryChange& change : host.changes) level.add(change.time_ns, change.delta_bytes);
    if (points.empty()) points = level.take();
  }
  return points;
}

}  // namespace

ChangeColumns::ChangeColumns(const Trace& trace, Arrays arrays) : arrays_(std::move(arrays)) {
  bytes_.reserve(trace.buffers.size());
  for (const Buffer& buffer : trace.buffers) bytes_.push_back(counted_bytes(buffer));
}

OpId ChangeColumns::op(std::size_t row) const {
  const std::int32_t op = arrays_.op[row];
  return op < 0 ? OpId{} : OpId{static_cast<std::size_t>(op)};
}

std::int32_t ChangeColumns::step(std::size_t row) const {
  const auto change = static_cast<std::int64_t>(row);
  if (arrays_.steps.empty()) return -1;
  if (arrays_.steps.back().first_change <= change) return arrays_.steps.back().step;
  const auto* after = std::upper_bound(
      arrays_.steps.begin(), arrays_.steps.end(), change,
      [](std::int64_t at, const StepMark& mark) { return at < mark.first_change; });
  return after == arrays_.steps.begin() ? -1 : std::prev(after)->step;
}

std::size_t ChangeColumns::first_from(std::int64_t time_ns) const {
  const auto* found = std::lower_bound(arrays_.time_ns.begin(), arrays_.time_ns.end(), time_ns);
  return static_cast<std::size_t>(found - arrays_.time_ns.begin());
}

MemoryChange ChangeColumns::operator[](std::size_t row) const {
  return {.time_ns = time_ns(row),
          .buffer = buffer(row),
          .delta_bytes = delta_bytes(row),
          .step = step(row),
          .op = op(row)};
}

void ChangeColumns::reserve(std::size_t count) {
  arrays_.time_ns.reserve(count);
  arrays_.buffer_kind.reserve(count);
  arrays_.op.reserve(count);
}

void ChangeColumns::push_back(const MemoryChange& change) {
  const std::int32_t last = arrays_.steps.empty() ? -1 : arrays_.steps.back().step;
  if (change.step != last) {
    arrays_.steps.push_back(
        {.first_change = static_cast<std::int64_t>(size()), .step = change.step});
  }
  const std::uint32_t kind = change.delta_bytes < 0 ? 1 : 0;
  arrays_.time_ns.push_back(change.time_ns);
  arrays_.buffer_kind.push_back(2 * static_cast<std::uint32_t>(change.buffer.index()) + kind);
  arrays_.op.push_back(change.op.value);
}

void set_op(ChangeColumns& changes, std::size_t row, OpId op) {
  changes.arrays_.op.owned_rows()[row] = op.value;
}

struct RunRecording::Parts {
  Parts(const Trace& of, RunTimeline empty)
      : trace(of), tide(of, {.kind = SpaceKind::device, .rank = of.meta.rank}, std::move(empty)) {}

  void keep(const BriefEvent& event) {
    if (event.kind == EventKind::alloc) {
      last_alloc = event;
      return;
    }
    if (event.kind == EventKind::free || event.kind == EventKind::op_begin ||
        event.kind == EventKind::op_end || event.kind == EventKind::free_requested) {
      return;
    }
    if (last_alloc) kept.push_back(whole(*std::exchange(last_alloc, std::nullopt)));
    kept.push_back(whole(event));
  }

  const Trace& trace;
  RecordedTide<RunTimeline> tide;
  std::int64_t count = 0;
  Level reserved;
  Level host;
  std::vector<Event> kept;
  std::optional<BriefEvent> last_alloc;
  BriefEvent last;
};

RunRecording::RunRecording(const Trace& trace, std::size_t event_count) {
  RunTimeline empty;
  empty.changes = ChangeColumns(trace);
  empty.changes.reserve(event_count);
  parts_ = std::make_unique<Parts>(trace, std::move(empty));
}

RunRecording::~RunRecording() = default;

void RunRecording::take(const BriefEvent& event) {
  Parts& p = *parts_;
  ++p.count;
  p.last = event;
  p.tide.take(event.kind, event.time_ns, event.index);
  p.keep(event);
  if (event.kind == EventKind::alloc || event.kind == EventKind::free) {
    const Buffer& buffer = p.trace.buffers[static_cast<std::size_t>(event.index)];
    if (buffer.space.kind != SpaceKind::device) {
      const std::int64_t bytes = counted_bytes(buffer);
      p.host.add(event.time_ns, event.kind == EventKind::alloc ? bytes : -bytes);
    }
  } else if (is_segment(event.kind)) {
    const bool grows =
        event.kind == EventKind::segment_alloc || event.kind == EventKind::segment_map;
    p.reserved.add(event.time_ns, grows ? event.size_bytes : -event.size_bytes);
  }
}

RunTimeline RunRecording::finish(std::vector<Event>& kept) {
  Parts& p = *parts_;
  RunTimeline timeline = p.tide.finish();
  timeline.event_count = p.count;
  timeline.reserved = p.reserved.take();
  timeline.host = p.host.take();
  if (p.last_alloc) p.kept.push_back(whole(*p.last_alloc));
  const Event last = whole(p.last);
  if (p.count > 0 && (p.kept.empty() || p.kept.back() != last)) p.kept.push_back(last);
  kept = std::move(p.kept);
  return timeline;
}

RunTimeline take_timeline(Trace& trace) {
  if (!trace.events.empty()) {
    const std::vector<Event> events = std::move(trace.events);
    trace.events.clear();
    RunRecording recording(trace, events.size());
    for (const Event& e : events) recording.take({e.kind, e.time_ns, e.index, e.size_bytes});
    return recording.finish(trace.events);
  }
  return columns_of(replay(trace, {.kind = SpaceKind::device, .rank = trace.meta.rank}), trace);
}

RunTimeline columns_of(Timeline replayed, const Trace& trace) {
  RunTimeline timeline;
  timeline.space = replayed.space;
  timeline.changes = ChangeColumns(trace);
  timeline.changes.reserve(replayed.changes.size());
  for (const MemoryChange& change : replayed.changes) timeline.changes.push_back(change);
  timeline.spans = std::move(replayed.spans);
  timeline.step_begin_ns = std::move(replayed.step_begin_ns);
  timeline.begin_ns = replayed.begin_ns;
  timeline.end_ns = replayed.end_ns;
  timeline.step_ns = replayed.step_ns;
  timeline.peak = std::move(replayed.peak);
  timeline.run_peak = std::move(replayed.run_peak);
  timeline.eval_peak = std::move(replayed.eval_peak);
  timeline.host = replayed_host(trace);
  return timeline;
}

}  // namespace tidemark
