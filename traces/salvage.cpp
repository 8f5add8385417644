#include "traces/salvage.h"

#include <algorithm>
#include <limits>

namespace tidemark {
namespace {

template <class IdType, class Rows>
bool missing(IdType id, const Rows& rows) {
  return id.valid() && id.index() >= rows.size();
}

template <class IdType, class Rows>
void forget_missing(IdType& id, const Rows& rows) {
  if (missing(id, rows)) id = IdType{};
}

void salvage_buffers(Trace& t) {
  for (Buffer& b : t.buffers) {
    forget_missing(b.layer, t.layers);
    forget_missing(b.shard.group, t.groups);
    forget_missing(b.decision, t.decisions);
    if (!missing(b.storage, t.buffers)) continue;
    b.storage = {};
    b.storage_offset_bytes = 0;
    b.size_bytes = 0;
  }
}

void salvage_ops(Trace& t) {
  const auto lost = [&t](const Op& op) {
    return !op.stream.valid() || missing(op.stream, t.streams) ||
           std::ranges::any_of(op.operands,
                               [&t](const Operand& o) { return missing(o.buffer, t.buffers); });
  };
  t.ops.erase(std::ranges::find_if(t.ops, lost), t.ops.end());
  for (Op& op : t.ops) {
    forget_missing(op.layer, t.layers);
    forget_missing(op.decision, t.decisions);
  }
}

void salvage_program(Trace& t) {
  const auto lost = [&t](const Instruction& line) {
    return line.kind == InstructionKind::run ? missing(line.op(), t.ops)
                                             : missing(line.buffer(), t.buffers);
  };
  const auto sections = sections_of(t.program);
  if (std::ranges::any_of(sections,
                          [&](const auto* lines) { return std::ranges::any_of(*lines, lost); })) {
    t.program = {};
  }
  if (t.program.body.empty()) t.meta.level = std::min(t.meta.level, 1);
}

void salvage_events(Trace& t) {
  const auto lost = [&t](const Event& e) {
    const bool of_op = e.kind == EventKind::op_begin || e.kind == EventKind::op_end;
    const bool of_buffer = e.kind == EventKind::alloc || e.kind == EventKind::free ||
                           e.kind == EventKind::free_requested;
    const auto row = static_cast<std::size_t>(e.index);
    return e.index >= 0 &&
           ((of_op && row >= t.ops.size()) || (of_buffer && row >= t.buffers.size()));
  };
  const auto first = std::ranges::find_if(t.events, lost);
  std::int64_t& dropped = t.health.dropped_events;
  if (__builtin_add_overflow(dropped, t.events.end() - first, &dropped)) {
    dropped = std::numeric_limits<std::int64_t>::max();
  }
  t.events.erase(first, t.events.end());
  for (Event& e : t.events) {
    if (e.stream > 0 && static_cast<std::size_t>(e.stream) >= t.streams.size()) e.stream = 0;
  }
}

}  // namespace

void salvage(Trace& trace) {
  salvage_buffers(trace);
  salvage_ops(trace);
  salvage_program(trace);
  for (Decision& d : trace.decisions) {
    forget_missing(d.buffer, trace.buffers);
    for (OpId* op : {&d.until, &d.release_before, &d.fetch_before}) forget_missing(*op, trace.ops);
  }
  std::erase_if(trace.digests, [&trace](const Digest& d) {
    return !d.buffer.valid() || missing(d.buffer, trace.buffers);
  });
  salvage_events(trace);
}

}  // namespace tidemark
