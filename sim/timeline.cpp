#include "sim/timeline.h"

#include <algorithm>
#include <unordered_map>

#include "sim/op_table.h"
#include "sim/replay_events.h"
#include "sim/tide.h"

namespace tidemark {
namespace {

/// The simulated clocks of all streams.
class Clocks {
 public:
  explicit Clocks(const Trace& trace)
      : ready_ns_(std::max<std::size_t>(trace.streams.size(), 1), 0) {}

  [[nodiscard]] std::int64_t now_ns() const { return ready_ns_[0]; }
  [[nodiscard]] std::int64_t end_ns() const { return *std::ranges::max_element(ready_ns_); }

  /// Runs one op; returns its time span. An op is issued when the compute stream gets to it, so it
  /// cannot begin before that, on whatever stream it runs.
  std::pair<std::int64_t, std::int64_t> run(const Op& op) {
    std::int64_t& ready = ready_ns_[op.stream.index()];
    if (op.kind == OpKind::record_event) {
      event_ns_[integer_at(op, "event", 0)] = ready;
      return {ready, ready};
    }
    if (op.kind == OpKind::wait_event) {
      ready = std::max(ready, event_ns_[integer_at(op, "event", 0)]);
      return {ready, ready};
    }
    const std::int64_t begin = std::max(ready, ready_ns_[0]);
    ready = begin + std::max<std::int64_t>(op.duration_ns, 0);
    return {begin, ready};
  }

 private:
  std::vector<std::int64_t> ready_ns_;
  std::unordered_map<std::int64_t, std::int64_t> event_ns_;
};

template <class Sink>
void play(const Trace& trace, const std::vector<Instruction>& section, Clocks& clocks, Sink& tide) {
  OpId latest;
  for (const Instruction& i : section) {
    if (i.kind != InstructionKind::run) {
      tide.change(i.buffer(), i.kind == InstructionKind::alloc, clocks.now_ns(), latest);
      continue;
    }
    const Op& op = trace[i.op()];
    const auto [begin_ns, end_ns] = clocks.run(op);
    tide.issue(i.op());
    latest = i.op();
    if (op.kind != OpKind::record_event && op.kind != OpKind::wait_event) {
      tide.span({i.op(), tide.step(), begin_ns, end_ns});
    }
  }
}

/// Takes what a Tide takes and writes it down as a recording.
class EventWriter {
 public:
  explicit EventWriter(const Trace& trace) : trace_(trace) {}

  void change(BufferId buffer, bool alloc, std::int64_t time_ns, OpId) {
    Event e{alloc ? EventKind::alloc : EventKind::free, time_ns, buffer.value};
    if (alloc) {
      e.address_bytes = trace_[buffer].offset_bytes;
      e.size_bytes = counted_bytes(trace_[buffer]);
    }
    events_.push_back(e);
  }
  void issue(OpId) {}
  void span(const OpSpan& span) {
    events_.push_back({EventKind::op_begin, span.begin_ns, span.op.value});
    events_.push_back({EventKind::op_end, span.end_ns, span.op.value});
  }
  void begin_step(std::int32_t step, std::int64_t time_ns) {
    step_ = step;
    events_.push_back({EventKind::step_begin, time_ns, step});
  }
  void end_step(std::int64_t time_ns) {
    events_.push_back({EventKind::step_end, time_ns, step_});
    step_ = -1;
  }
  [[nodiscard]] std::int32_t step() const { return step_; }

  std::vector<Event> finish(std::int64_t) {
    std::ranges::stable_sort(events_, {}, &Event::time_ns);
    return std::move(events_);
  }

 private:
  const Trace& trace_;
  std::vector<Event> events_;
  std::int32_t step_ = -1;
};

template <class Sink>
auto play_steps(const Trace& trace, int steps, Sink tide) {
  Clocks clocks(trace);
  play(trace, trace.program.init, clocks, tide);
  bool evaluated = false;
  for (int step = 0; step < steps; ++step) {
    tide.begin_step(step, clocks.now_ns());
    play(trace, trace.program.body, clocks, tide);
    tide.end_step(clocks.now_ns());
    const bool due = evaluates_after(trace, step) || (!evaluated && step + 1 == steps);
    if (due) play(trace, trace.program.eval, clocks, tide);
    evaluated = evaluated || due;
  }
  play(trace, trace.program.final, clocks, tide);
  return tide.finish(clocks.end_ns());
}

}  // namespace

Timeline replay(const Trace& trace, Space space, int steps) {
  return play_steps(trace, steps, Tide<Timeline>(trace, space));
}

std::vector<Event> replay_events(const Trace& trace, int steps) {
  return play_steps(trace, steps, EventWriter(trace));
}

Timeline recorded_timeline(const Trace& trace, Space space) {
  RecordedTide<Timeline> tide(trace, space);
  for (const Event& event : trace.events) tide.take(event.kind, event.time_ns, event.index);
  return tide.finish();
}

Timeline timeline_of(const Trace& trace, Space space) {
  return trace.events.empty() ? replay(trace, space) : recorded_timeline(trace, space);
}

std::vector<BufferId> live_after(const Trace& trace, const Timeline& timeline,
                                 std::int64_t change) {
  return live_after_change(trace, timeline.changes, change);
}

std::int64_t highest_bytes(const Trace& trace, const Timeline& timeline,
                           const std::vector<Category>& categories) {
  const std::int32_t last = static_cast<std::int32_t>(timeline.step_begin_ns.size()) - 1;
  std::int64_t bytes = 0;
  std::int64_t highest = 0;
  for (const MemoryChange& c : timeline.changes) {
    // What lives into the step counts at its begin.
    if (c.step == last) highest = std::max(highest, bytes);
    if (std::ranges::find(categories, trace[c.buffer].category) != categories.end()) {
      bytes += c.delta_bytes;
    }
    if (c.step == last) highest = std::max(highest, bytes);
  }
  return highest;
}

}  // namespace tidemark
