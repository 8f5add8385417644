// A schedule that changes by one execution at a time, with its cost and bytes kept up to date.
// A change costs time in proportion to the executions over which some value is kept longer or
// shorter; everything is exact, as evaluate() would say.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/graph.h"
#include "sim/schedule.h"

namespace tidemark {

/// What the state needs of a Dataflow, by small indices. Values that can be made again are
/// `flexible`: an instance begins with each execution of the producer. The others live from their
/// first touch to their last, and longer when executions that were added read them.
struct ScheduleTask {
  struct Op {
    std::int64_t cost_ns = 0;
    std::int64_t begin_bytes = 0;    // of all that begins to live with the original
    std::int64_t output_bytes = 0;   // of all outputs: begin to live with an added execution
    std::int64_t dropped_bytes = 0;  // of outputs that an added execution makes for nothing
    Position again_until = -1;       // last stage in which it may run again; -1 = never
    std::vector<std::int32_t> reads;
    std::vector<std::int32_t> makes;  // flexible outputs
  };
  struct Value {
    std::int64_t bytes = 0;
    Position producer = -1;         // flexible; else -1
    Position begin = -1;            // first touch in the source
    Position last = -1;             // last touch in the source
    std::vector<Position> readers;  // ascending
  };
  std::vector<Op> ops;
  std::vector<Value> values;  // row = BufferId
  std::int64_t persistent_bytes = 0;
};
[[nodiscard]] ScheduleTask task_of(const Dataflow& flow);

/// An execution: the stage and the op, ordered as they run.
using Moment = std::int64_t;
inline constexpr Moment moment(Position stage, Position op) {
  return (Moment{stage} << 32) + op;
}
inline constexpr Position stage_of(Moment m) {
  return static_cast<Position>(m >> 32);
}
inline constexpr Position op_of(Moment m) {
  return static_cast<Position>(m & 0x7fffffff);
}

/// `bytes` more are live at every execution strictly between two moments.
struct ByteChange {
  Moment after = 0;
  Moment before = 0;
  std::int64_t bytes = 0;
  bool operator==(const ByteChange&) const = default;
};

/// The task must outlive the state. Copyable.
class ScheduleState {
 public:
  /// Keep-all. `limit_bytes` is what excess_bytes() is measured against.
  ScheduleState(const ScheduleTask& task, std::int64_t limit_bytes);

  [[nodiscard]] const ScheduleTask& task() const { return *task_; }
  [[nodiscard]] std::int64_t cost_ns() const { return cost_ns_; }
  [[nodiscard]] std::int64_t limit_bytes() const { return limit_bytes_; }
  /// Sum over all executions of the live bytes above the limit; 0 = fits.
  [[nodiscard]] std::int64_t excess_bytes() const { return excess_bytes_; }
  [[nodiscard]] const std::vector<Moment>& added() const { return added_; }
  /// Stages in which the op runs, ascending; the first is its own.
  [[nodiscard]] const std::vector<Position>& stages(Position op) const {
    return stages_[static_cast<std::size_t>(op)];
  }

  /// The op may run in the stage and does not yet.
  [[nodiscard]] bool can_insert(Position stage, Position op) const;
  void insert(Position stage, Position op);
  /// Takes an added execution out again.
  void erase(Position stage, Position op);

  /// Last moment at which the instance that was made by the execution of the producer in `stage` is
  /// needed; the moment of that execution when nobody needs it.
  [[nodiscard]] Moment end_of(std::int32_t value, Position stage) const;
  /// The stage in which the instance was made that an op after the flexible `value`'s producer
  /// finds in `stage`.
  [[nodiscard]] Position made_for(std::int32_t value, Position stage) const;
  /// Last moment at which a value is needed that op `reader` would read in `stage`.
  [[nodiscard]] Moment end_for(std::int32_t value, Position stage) const;
  /// No output of this added execution is read before it is made again.
  [[nodiscard]] bool is_useless(Position stage, Position op) const;

  [[nodiscard]] std::int64_t live_bytes(Position original) const {
    return live_[static_cast<std::size_t>(original)];
  }
  [[nodiscard]] std::int64_t added_live_bytes(std::size_t index) const {
    return added_live_[index];
  }
  /// Moments at which the bytes are above the limit, one chosen by `pick`; -1 when there is none.
  [[nodiscard]] Moment over_limit(std::uint64_t pick) const;

  [[nodiscard]] Schedule schedule() const;
  void load(const Schedule& schedule);

  /// From now on what every insert() and erase() does to the values' lifetimes is appended to
  /// `log`; what an added execution takes for itself is not. nullptr = no longer.
  void record(std::vector<ByteChange>* log) { log_ = log; }

 private:
  [[nodiscard]] Moment last_read(const ScheduleTask::Value& value, Position from,
                                 Position before) const;
  void change(Moment after, Moment before, std::int64_t bytes);
  void set_live(std::int64_t& live, std::int64_t bytes);
  [[nodiscard]] std::int64_t excess(std::int64_t bytes) const {
    return bytes > limit_bytes_ ? bytes - limit_bytes_ : 0;
  }

  const ScheduleTask* task_;
  std::int64_t limit_bytes_ = 0;
  std::int64_t cost_ns_ = 0;
  std::int64_t excess_bytes_ = 0;
  std::vector<std::vector<Position>> stages_;  // by op
  std::vector<std::int64_t> live_;             // while the original of each op runs
  std::vector<Moment> added_;                  // ascending
  std::vector<std::int64_t> added_live_;       // while each added execution runs
  std::vector<ByteChange>* log_ = nullptr;
};

}  // namespace tidemark
