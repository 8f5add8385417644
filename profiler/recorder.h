// Writes down what happens. One event costs one time stamp and one store; everything that can be
// computed later is computed later.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "profiler/clock.h"
#include "traces/trace.h"

namespace tidemark {

/// One execution of an op on another stream than the compute stream, measured there.
struct CopySpan {
  OpId op;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

/// For the compute thread only.
class Recorder {
 public:
  /// `expected_events`: space is set aside for so many, so that none of them has to wait for it.
  /// `on` false: nothing is written down and the clock is not read, but steps are timed.
  Recorder(const Clock& clock, std::size_t expected_events, bool on = true)
      : clock_(clock), on_(on) {
    if (on_) events_.reserve(expected_events);
  }

  void alloc(BufferId buffer, std::int64_t address_bytes, std::int64_t size_bytes) {
    now(EventKind::alloc, buffer.value, address_bytes, size_bytes);
  }
  void free(BufferId buffer) { now(EventKind::free, buffer.value, -1, 0); }
  void op_begin(OpId op) { now(EventKind::op_begin, op.value, -1, 0); }
  void op_end(OpId op) { now(EventKind::op_end, op.value, -1, 0); }
  void segment(EventKind kind, std::int64_t address_bytes, std::int64_t size_bytes) {
    now(kind, -1, address_bytes, size_bytes);
  }
  void out_of_memory(BufferId buffer, std::int64_t request_bytes) {
    now(EventKind::out_of_memory, buffer.value, -1, request_bytes);
  }

  /// Opens step `step` (0-based).
  void step_begin(std::int32_t step);

  /// Closes the step. `record` gets its wall and CPU time; the loss is the caller's.
  void step_end(StepRecord& record);

  /// Forgets everything since the last step_begin: a step that was cancelled.
  void drop_step();

  /// Puts what happened on other streams since the last merge in its place by time. Events of the
  /// compute thread keep their order among each other.
  void merge(std::span<const CopySpan> spans);

  /// For a device that works behind the thread that issues: the events since the last merge get the
  /// times of `spans`, one for each op of the compute stream in order of issue. What stands between
  /// two ops gets the time of the event before it: allocation and free have their place in the
  /// order, not a time of the device. The device must be idle.
  void restamp(std::span<const CopySpan> spans);

  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  [[nodiscard]] std::vector<Event> take_events() { return std::move(events_); }

 private:
  void now(EventKind kind, std::int32_t index, std::int64_t address_bytes,
           std::int64_t size_bytes) {
    if (on_) events_.push_back({kind, clock_.now_ns(), index, address_bytes, size_bytes});
  }

  const Clock& clock_;
  bool on_;
  std::vector<Event> events_;
  std::size_t merged_ = 0;      // events before this one are final
  std::size_t step_first_ = 0;  // the last step_begin
  std::int32_t step_ = -1;
  std::int64_t step_begin_ns_ = 0;
  std::int64_t step_cpu_begin_ns_ = 0;
};

/// Sets duration_ns of every op of `trace` that its events time: the median over the steps, without
/// the first when there are several (it pays for cold caches and fresh pages); for ops of init and
/// final their time there. `source` says what kind of time it is.
void set_durations(Trace& trace, TimeSource source);

}  // namespace tidemark
