#include "sim/meeting_times.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace tidemark {
namespace {

bool is_meeting(const Op& op) {
  return find_attribute(op, "group") != nullptr;
}

/// One rank on its way through its body.
struct Walk {
  std::vector<OpId> ops;
  std::size_t next = 0;
  std::int64_t now_ns = 0;
};

class Ranks {
 public:
  explicit Ranks(std::span<Trace> traces) : traces_(traces) {
    for (const Trace& trace : traces) {
      Walk& walk = walks_.emplace_back();
      for (const Instruction& line : trace.program.body) {
        if (line.kind == InstructionKind::run) walk.ops.push_back(line.op());
      }
    }
  }

  std::int64_t run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t rank = 0; rank < walks_.size(); ++rank) moved |= advance(rank);
    }
    std::int64_t end_ns = 0;
    for (const Walk& walk : walks_) {
      assert(walk.next == walk.ops.size());
      end_ns = std::max(end_ns, walk.now_ns);
    }
    return end_ns;
  }

 private:
  Op& op(std::size_t rank) {
    const Walk& walk = walks_[rank];
    return traces_[rank].ops[walk.ops[walk.next].index()];
  }
  bool is_done(std::size_t rank) const { return walks_[rank].next == walks_[rank].ops.size(); }
  const std::vector<std::int32_t>& group(std::size_t rank) {
    return traces_[rank].groups[static_cast<std::size_t>(integer_at(op(rank), "group", 0))].ranks;
  }

  /// Up to the next collective, and through it when all of its ranks are there.
  bool advance(std::size_t rank) {
    Walk& walk = walks_[rank];
    const std::size_t before = walk.next;
    for (; !is_done(rank) && !is_meeting(op(rank)); ++walk.next) {
      walk.now_ns += std::max<std::int64_t>(op(rank).duration_ns, 0);
    }
    if (!is_done(rank) && meet(group(rank))) return true;
    return walk.next != before;
  }

  bool meet(std::vector<std::int32_t> ranks) {
    std::int64_t begin_ns = 0;
    std::int64_t longest_ns = 0;
    for (const std::int32_t one : ranks) {
      const auto rank = static_cast<std::size_t>(one);
      if (is_done(rank) || !is_meeting(op(rank)) || group(rank) != ranks) return false;
      begin_ns = std::max(begin_ns, walks_[rank].now_ns);
      longest_ns = std::max(longest_ns, op(rank).duration_ns);
    }
    for (const std::int32_t one : ranks) {
      const auto rank = static_cast<std::size_t>(one);
      Walk& walk = walks_[rank];
      op(rank).duration_ns = begin_ns + longest_ns - walk.now_ns;
      op(rank).time_source = TimeSource::modelled;
      walk.now_ns = begin_ns + longest_ns;
      ++walk.next;
    }
    return true;
  }

  std::span<Trace> traces_;
  std::vector<Walk> walks_;
};

}  // namespace

std::int64_t add_waiting(std::span<Trace> ranks) {
  return Ranks(ranks).run();
}

}  // namespace tidemark
