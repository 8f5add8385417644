#include "sim/meeting_times.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <vector>

#include "sim/shard_source.h"

namespace tidemark {
namespace {

/// One rank on its way through its body; its streams as replay() runs them.
struct Walk {
  std::vector<OpId> ops;
  std::size_t next = 0;
  std::vector<std::int64_t> ready_ns;             // by stream
  std::map<std::int64_t, std::int64_t> event_ns;  // by event

  [[nodiscard]] bool is_done() const { return next == ops.size(); }
  std::int64_t& ready_of(const Op& op) { return ready_ns[op.stream.index()]; }
  /// Issued by the compute stream, so no earlier than that is there.
  std::int64_t begin_of(const Op& op) { return std::max(ready_of(op), ready_ns[0]); }

  void run(const Op& op) {
    if (op.kind == OpKind::record_event) {
      event_ns[integer_at(op, "event", 0)] = ready_of(op);
    } else if (op.kind == OpKind::wait_event) {
      ready_of(op) = std::max(ready_of(op), event_ns[integer_at(op, "event", 0)]);
    } else {
      ready_of(op) = begin_of(op) + std::max<std::int64_t>(op.duration_ns, 0);
    }
    ++next;
  }
};

class Ranks {
 public:
  explicit Ranks(std::span<Trace> traces) : traces_(traces) {
    for (std::size_t row = 0; row < traces.size(); ++row) {
      const Trace& trace = traces[row];
      row_of_.emplace(trace.meta.rank, row);
      Walk& walk = walks_.emplace_back();
      walk.ready_ns.assign(std::max<std::size_t>(trace.streams.size(), 1), 0);
      for (const Instruction& line : trace.program.body) {
        if (line.kind == InstructionKind::run) walk.ops.push_back(line.op());
      }
    }
  }

  std::int64_t run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t row = 0; row < walks_.size(); ++row) moved |= advance(row);
    }
    std::int64_t end_ns = 0;
    for (const Walk& walk : walks_) {
      assert(walk.is_done());
      end_ns = std::max(end_ns, walk.ready_ns[0]);
    }
    return end_ns;
  }

 private:
  Op& op(std::size_t row) {
    const Walk& walk = walks_[row];
    return traces_[row].ops[walk.ops[walk.next].index()];
  }
  const std::vector<std::int32_t>& group(std::size_t row) {
    return traces_[row].groups[static_cast<std::size_t>(integer_at(op(row), "group", 0))].ranks;
  }

  /// Up to the next collective, and through it when all of its ranks are there.
  bool advance(std::size_t row) {
    Walk& walk = walks_[row];
    const std::size_t before = walk.next;
    while (!walk.is_done() && !is_meeting(op(row))) walk.run(op(row));
    if (!walk.is_done() && meet(group(row))) return true;
    return walk.next != before;
  }

  bool meet(const std::vector<std::int32_t>& ranks) {
    std::vector<std::size_t> rows;
    for (const std::int32_t rank : ranks) {
      if (const auto at = row_of_.find(rank); at != row_of_.end()) rows.push_back(at->second);
    }
    std::int64_t begin_ns = 0;
    std::int64_t longest_ns = 0;
    for (const std::size_t row : rows) {
      if (walks_[row].is_done() || !is_meeting(op(row)) || group(row) != ranks) return false;
      begin_ns = std::max(begin_ns, walks_[row].begin_of(op(row)));
      longest_ns = std::max(longest_ns, op(row).duration_ns);
    }
    for (const std::size_t row : rows) {
      op(row).duration_ns = begin_ns + longest_ns - walks_[row].begin_of(op(row));
      op(row).time_source = TimeSource::modelled;
      walks_[row].run(op(row));
    }
    return true;
  }

  std::span<Trace> traces_;
  std::vector<Walk> walks_;
  std::map<std::int32_t, std::size_t> row_of_;  // by rank
};

}  // namespace

std::int64_t add_waiting(std::span<Trace> ranks) {
  return Ranks(ranks).run();
}

}  // namespace tidemark
