#include "gui/transfers.h"

#include <algorithm>
#include <optional>

namespace tidemark {
namespace {

enum class Direction { to_host, to_device };

/// Nothing for an op that moves nothing over the link.
std::optional<Direction> direction_of(const Trace& trace, const Op& op) {
  if (op.kind != OpKind::copy || op.operands.size() < 2) return std::nullopt;
  const auto on_device = [&](const Operand& operand) {
    return trace[operand.buffer].space.kind == SpaceKind::device;
  };
  const bool from_device = on_device(op.operands.front());
  if (from_device == on_device(op.operands.back())) return std::nullopt;
  return from_device ? Direction::to_host : Direction::to_device;
}

/// `changes` summed up; of several at one time the last total stays.
std::vector<LevelPoint> levels_of(std::vector<LevelPoint> changes) {
  std::ranges::stable_sort(changes, {}, &LevelPoint::time_ns);
  std::vector<LevelPoint> levels;
  std::int64_t bytes = 0;
  for (const LevelPoint& change : changes) {
    bytes += change.bytes;
    if (!levels.empty() && levels.back().time_ns == change.time_ns) {
      levels.back().bytes = bytes;
    } else {
      levels.push_back({change.time_ns, bytes});
    }
  }
  return levels;
}

}  // namespace

Transfers transfers_of(const Trace& trace, const std::vector<OpSpan>& spans) {
  std::vector<std::optional<Direction>> directions;  // by op
  directions.reserve(trace.ops.size());
  for (const Op& op : trace.ops) directions.push_back(direction_of(trace, op));
  std::vector<LevelPoint> to_host;
  std::vector<LevelPoint> to_device;
  for (const OpSpan& span : spans) {
    if (!span.op.valid() || !directions[span.op.index()]) continue;
    auto& changes = *directions[span.op.index()] == Direction::to_host ? to_host : to_device;
    const std::int64_t bytes = trace[trace[span.op].operands.front().buffer].size_bytes;
    changes.push_back({span.begin_ns, bytes});
    changes.push_back({std::max(span.end_ns, span.begin_ns + 1), -bytes});
  }
  return {.to_host = levels_of(std::move(to_host)), .to_device = levels_of(std::move(to_device))};
}

}  // namespace tidemark
