// From allocations, frees and ops one by one to a timeline. Templates: a window keeps the changes
// of a long run in another form than the planner, but counts them in the same way.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

inline void set_op(std::vector<MemoryChange>& changes, std::size_t row, OpId op) {
  changes[row].op = op;
}

inline BufferId buffer_of(const std::vector<MemoryChange>& changes, std::size_t row) {
  return changes[row].buffer;
}
inline bool is_alloc(const std::vector<MemoryChange>& changes, std::size_t row) {
  return changes[row].delta_bytes > 0;
}

/// Buffers alive right after changes[change], largest first, ties by id; none for change < 0.
template <class Changes>
[[nodiscard]] std::vector<BufferId> live_after_change(const Trace& trace, const Changes& changes,
                                                      std::int64_t change) {
  std::vector<char> live(trace.buffers.size(), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(change + 1); ++i) {
    live[buffer_of(changes, i).index()] = is_alloc(changes, i) ? 1 : 0;
  }
  std::vector<BufferId> out;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i] != 0) out.emplace_back(i);
  }
  std::stable_sort(out.begin(), out.end(), [&trace](BufferId a, BufferId b) {
    return trace[a].size_bytes > trace[b].size_bytes;
  });
  return out;
}

/// Collects changes and keeps the highest state of the latest step and of the whole run.
/// `AnyTimeline` has the members of Timeline; its `changes` have push_back(), size(), [], and the
/// functions above, which look at a part of a change alone.
template <class AnyTimeline>
class Tide {
 public:
  Tide(const Trace& trace, Space space, AnyTimeline empty = {})
      : trace_(trace), timeline_(std::move(empty)), live_(trace.buffers.size(), 0) {
    timeline_.space = space;
  }

  void change(BufferId buffer, bool alloc, std::int64_t time_ns, OpId op) {
    const Buffer& b = trace_[buffer];
    const std::int64_t bytes = counted_bytes(b);
    if (b.space != timeline_.space || bytes == 0) return;
    // A recording with holes may free what it never allocated: that changes nothing.
    if ((live_[buffer.index()] != 0) == alloc) return;
    live_[buffer.index()] = alloc ? 1 : 0;
    total_bytes_ += alloc ? bytes : -bytes;
    timeline_.changes.push_back({time_ns, buffer, alloc ? bytes : -bytes, step_, op});
    note(run_);
    note(latest_);
  }

  void begin_step(std::int32_t step, std::int64_t time_ns) {
    step_ = step;
    timeline_.step_begin_ns.push_back(time_ns);
    latest_ = {};
    note(latest_);  // what lives into the step counts, even if the step allocates nothing
  }

  void end_step(std::int64_t time_ns) {
    steady_ = latest_;
    timeline_.step_ns = time_ns - timeline_.step_begin_ns.back();
    step_ = -1;
  }

  /// Ops of the changes that wait for the next op to be issued.
  void issue(OpId op) {
    while (waiting_ < timeline_.changes.size()) {
      const std::size_t row = waiting_++;
      if (is_alloc(timeline_.changes, row)) set_op(timeline_.changes, row, op);
    }
  }

  void span(OpSpan span) { timeline_.spans.push_back(span); }
  [[nodiscard]] std::int32_t step() const { return step_; }

  AnyTimeline finish(std::int64_t end_ns) {
    timeline_.end_ns = end_ns;
    const auto earlier = [](const OpSpan& a, const OpSpan& b) { return a.begin_ns < b.begin_ns; };
    if (!std::is_sorted(timeline_.spans.begin(), timeline_.spans.end(), earlier)) {
      std::stable_sort(timeline_.spans.begin(), timeline_.spans.end(), earlier);
    }
    timeline_.run_peak = peak_at(run_);
    timeline_.eval_peak = peak_at(highest_in_eval());
    timeline_.peak = steady_.seen ? peak_at(steady_) : timeline_.run_peak;
    return std::move(timeline_);
  }

 private:
  struct High {
    bool seen = false;
    std::int64_t bytes = 0;
    std::int64_t change = -1;
  };

  void note(High& high) const {
    if (high.seen && total_bytes_ <= high.bytes) return;
    high = {true, total_bytes_, static_cast<std::int64_t>(timeline_.changes.size()) - 1};
  }

  /// Between steps; a section eval begins with an allocation.
  [[nodiscard]] High highest_in_eval() const {
    High high;
    const auto is_eval = [](const Op& op) { return op.phase == Phase::eval; };
    if (std::ranges::none_of(trace_.ops, is_eval)) return high;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < timeline_.changes.size(); ++i) {
      const MemoryChange c = timeline_.changes[i];
      bytes += c.delta_bytes;
      if (c.step >= 0 || !c.op.valid() || trace_[c.op].phase != Phase::eval) continue;
      if (!high.seen || bytes > high.bytes) high = {true, bytes, static_cast<std::int64_t>(i)};
    }
    return high;
  }

  Peak peak_at(const High& high) const {
    Peak peak{.bytes = high.bytes, .change = high.change};
    if (high.change < 0) return peak;
    peak.time_ns = timeline_.changes[static_cast<std::size_t>(high.change)].time_ns;
    peak.owners = live_after_change(trace_, timeline_.changes, high.change);
    for (BufferId id : peak.owners) {
      peak.by_category[static_cast<std::size_t>(trace_[id].category)] += counted_bytes(trace_[id]);
    }
    return peak;
  }

  const Trace& trace_;
  AnyTimeline timeline_;
  std::vector<char> live_;  // by buffer
  std::int64_t total_bytes_ = 0;
  std::int32_t step_ = -1;
  std::size_t waiting_ = 0;
  High run_;
  High latest_;
  High steady_;
};

/// The events of a recording, in its order.
template <class AnyTimeline>
class RecordedTide {
 public:
  /// `trace` must outlive it; its events are not looked at.
  RecordedTide(const Trace& trace, Space space, AnyTimeline empty = {})
      : trace_(trace), tide_(trace, space, std::move(empty)), begun_ns_(trace.ops.size(), -1) {}

  void take(EventKind kind, std::int64_t time_ns, std::int32_t index) {
    const auto row = static_cast<std::size_t>(std::max(index, 0));
    end_ns_ = time_ns;
    switch (kind) {
      case EventKind::alloc:
      case EventKind::free:
        tide_.change(BufferId{row}, kind == EventKind::alloc, time_ns, latest_);
        break;
      case EventKind::op_begin:
        begun_ns_[row] = time_ns;
        if (trace_[OpId{row}].stream.value <= 0) {
          latest_ = OpId{row};
          tide_.issue(latest_);
        }
        break;
      case EventKind::op_end:
        if (begun_ns_[row] >= 0) tide_.span({OpId{row}, tide_.step(), begun_ns_[row], time_ns});
        break;
      case EventKind::step_begin:
        tide_.begin_step(index, time_ns);
        break;
      case EventKind::step_end:
        tide_.end_step(time_ns);
        break;
      case EventKind::out_of_memory:
      case EventKind::segment_alloc:
      case EventKind::segment_free:
      case EventKind::free_requested:
      case EventKind::segment_map:
      case EventKind::segment_unmap:
      case EventKind::empty_cache:
      case EventKind::recording_begin:
        break;
    }
  }

  AnyTimeline finish() { return tide_.finish(end_ns_); }

 private:
  const Trace& trace_;
  Tide<AnyTimeline> tide_;
  std::vector<std::int64_t> begun_ns_;  // by op; -1 = never
  OpId latest_;
  std::int64_t end_ns_ = 0;
};

}  // namespace tidemark
