#include "sim/timeline.h"

#include <algorithm>
#include <unordered_map>

#include "sim/op_table.h"

namespace tidemark {
namespace {

/// Collects changes and keeps the highest state of the latest step and of the whole run.
class Tide {
 public:
  Tide(const Trace& trace, Space space) : trace_(trace), live_(trace.buffers.size(), 0) {
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
      MemoryChange& change = timeline_.changes[waiting_++];
      if (change.delta_bytes > 0) change.op = op;
    }
  }

  void span(OpSpan span) { timeline_.spans.push_back(span); }
  [[nodiscard]] std::int32_t step() const { return step_; }

  Timeline finish(std::int64_t end_ns) {
    timeline_.end_ns = end_ns;
    std::stable_sort(timeline_.spans.begin(), timeline_.spans.end(),
                     [](const OpSpan& a, const OpSpan& b) { return a.begin_ns < b.begin_ns; });
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
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < timeline_.changes.size(); ++i) {
      const MemoryChange& c = timeline_.changes[i];
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
    peak.owners = live_after(trace_, timeline_, high.change);
    for (BufferId id : peak.owners) {
      peak.by_category[static_cast<std::size_t>(trace_[id].category)] += counted_bytes(trace_[id]);
    }
    return peak;
  }

  const Trace& trace_;
  Timeline timeline_;
  std::vector<char> live_;  // by buffer
  std::int64_t total_bytes_ = 0;
  std::int32_t step_ = -1;
  std::size_t waiting_ = 0;
  High run_;
  High latest_;
  High steady_;
};

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

void play(const Trace& trace, const std::vector<Instruction>& section, Clocks& clocks, Tide& tide) {
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

}  // namespace

Timeline replay(const Trace& trace, Space space, int steps) {
  Tide tide(trace, space);
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

Timeline recorded_timeline(const Trace& trace, Space space) {
  Tide tide(trace, space);
  std::unordered_map<std::int32_t, std::int64_t> begun_ns;
  OpId latest;
  for (const Event& event : trace.events) {
    const auto row = static_cast<std::size_t>(std::max(event.index, 0));
    switch (event.kind) {
      case EventKind::alloc:
      case EventKind::free:
        tide.change(BufferId{row}, event.kind == EventKind::alloc, event.time_ns, latest);
        break;
      case EventKind::op_begin:
        begun_ns[event.index] = event.time_ns;
        if (trace[OpId{row}].stream.value <= 0) {
          latest = OpId{row};
          tide.issue(latest);
        }
        break;
      case EventKind::op_end:
        if (const auto begin = begun_ns.find(event.index); begin != begun_ns.end()) {
          tide.span({OpId{row}, tide.step(), begin->second, event.time_ns});
        }
        break;
      case EventKind::step_begin:
        tide.begin_step(event.index, event.time_ns);
        break;
      case EventKind::step_end:
        tide.end_step(event.time_ns);
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
  return tide.finish(trace.events.empty() ? 0 : trace.events.back().time_ns);
}

Timeline timeline_of(const Trace& trace, Space space) {
  return trace.events.empty() ? replay(trace, space) : recorded_timeline(trace, space);
}

std::vector<BufferId> live_after(const Trace& trace, const Timeline& timeline,
                                 std::int64_t change) {
  std::vector<char> live(trace.buffers.size(), 0);
  for (std::int64_t i = 0; i <= change; ++i) {
    const MemoryChange& c = timeline.changes[static_cast<std::size_t>(i)];
    live[c.buffer.index()] = c.delta_bytes > 0 ? 1 : 0;
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
