// The timeline of a run as the window keeps it: columns of 16 bytes per change in place of rows of
// 32, and the recording's other facts. A run of ten million events stays in a few hundred MB.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gui/flat_array.h"
#include "sim/timeline.h"
#include "traces/event_stream.h"

namespace tidemark {

/// The changes of a timeline, in issue order.
class ChangeColumns {
 public:
  /// From here on all changes belong to `step`.
  struct StepMark {
    std::int64_t first_change = 0;
    std::int32_t step = -1;
    std::int32_t unused = 0;
    bool operator==(const StepMark&) const = default;
  };
  /// What a view index stores (gui/view_index.h).
  struct Arrays {
    FlatArray<std::int64_t> time_ns;
    FlatArray<std::uint32_t> buffer_kind;  // 2 * row of the buffer, + 1 for a free
    FlatArray<std::int32_t> op;            // -1 = none
    FlatArray<StepMark> steps;
  };

  ChangeColumns() = default;
  explicit ChangeColumns(const Trace& trace, Arrays arrays = {});

  [[nodiscard]] std::size_t size() const { return arrays_.time_ns.size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::int64_t time_ns(std::size_t row) const { return arrays_.time_ns[row]; }
  [[nodiscard]] std::size_t buffer_row(std::size_t row) const {
    return arrays_.buffer_kind[row] / 2;
  }
  [[nodiscard]] BufferId buffer(std::size_t row) const { return BufferId{buffer_row(row)}; }
  [[nodiscard]] bool is_free(std::size_t row) const { return arrays_.buffer_kind[row] % 2 != 0; }
  [[nodiscard]] std::int64_t delta_bytes(std::size_t row) const {
    const std::int64_t bytes = bytes_[buffer_row(row)];
    return is_free(row) ? -bytes : bytes;
  }
  [[nodiscard]] OpId op(std::size_t row) const;
  [[nodiscard]] std::int32_t step(std::size_t row) const;
  /// First change at or after `time_ns`; size() when there is none.
  [[nodiscard]] std::size_t first_from(std::int64_t time_ns) const;

  /// All of one change; its parts alone are faster.
  [[nodiscard]] MemoryChange operator[](std::size_t row) const;
  [[nodiscard]] MemoryChange back() const { return (*this)[size() - 1]; }

  void reserve(std::size_t count);
  void push_back(const MemoryChange& change);
  friend  // For sim/tide.h: of millions of changes it looks at a part, and all of one takes a
          // search for its
      // step.
      void
      set_op(ChangeColumns& changes, std::size_t row, OpId op);
  [[nodiscard]] inline BufferId buffer_of(const ChangeColumns& changes, std::size_t row) {
    return changes.buffer(row);
  }
  [[nodiscard]] inline bool is_alloc(const ChangeColumns& changes, std::size_t row) {
    return !changes.is_free(row);
  }

  [[nodiscard]] const Arrays& arrays() const { return arrays_; }

 private:
  Arrays arrays_;
  std::vector<std::int64_t> bytes_;  // counted, by buffer
};

// For sim/tide.h: of millions of changes it looks at a part, and all of one takes a search for its
// step.
void set_op(ChangeColumns& changes, std::size_t row, OpId op);
[[nodiscard]] inline BufferId buffer_of(const ChangeColumns& changes, std::size_t row) {
  return changes.buffer(row);
}
[[nodiscard]] inline bool is_alloc(const ChangeColumns& changes, std::size_t row) {
  return !changes.is_free(row);
}

/// Bytes from a time on, of a small series beside the stack.
struct LevelPoint {
  std::int64_t time_ns = 0;
  std::int64_t bytes = 0;
  bool operator==(const LevelPoint&) const = default;
};

/// As sim/timeline.h, but for `changes`, and what else a recording tells.
struct RunTimeline {
  Space space;
  ChangeColumns changes;
  std::vector<OpSpan> spans;
  std::vector<std::int64_t> step_begin_ns;
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  std::int64_t step_ns = 0;
  Peak peak;
  Peak run_peak;
  Peak eval_peak;
  std::int64_t event_count = 0;      // of the recording
  std::vector<LevelPoint> reserved;  // segments of the allocator; empty when none were recorded
  std::vector<LevelPoint> host;      // live in host memory; empty when it is not used
};

/// Takes the events of a recording one by one. `trace` (without its events) must outlive it.
class RunRecording {
 public:
  RunRecording(const Trace& trace, std::size_t event_count);
  ~RunRecording();
  RunRecording(const RunRecording&) = delete;
  RunRecording& operator=(const RunRecording&) = delete;

  void take(const BriefEvent& event);
  /// Once, at the end. `kept`: the events that are neither a change of memory nor of an op, and the
  /// last allocation and the last event: what sim/run_state.h asks about a trace.
  [[nodiscard]] RunTimeline finish(std::vector<Event>& kept);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Takes trace.events, and leaves of them what RunRecording::finish() keeps. A trace without
/// events is replayed, as sim's timeline_of() does.
[[nodiscard]] RunTimeline take_timeline(Trace& trace);

/// A replay of the device space of `trace` that is there already; host memory is replayed here.
[[nodiscard]] RunTimeline columns_of(Timeline replayed, const Trace& trace);

}  // namespace tidemark
