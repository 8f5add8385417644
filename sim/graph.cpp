#include "sim/graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/biconnected_components.hpp>
#include <iterator>

#include "sim/op_table.h"

namespace tidemark {
namespace {

bool contains(const std::vector<BufferId>& list, BufferId id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

void add_once(std::vector<BufferId>& list, BufferId id) {
  if (!contains(list, id)) list.push_back(id);
}

Space device_of(const Trace& source) {
  return Space{SpaceKind::device, source.meta.rank};
}

/// Marks what the body allocates, and what lives through it.
void find_owners(const Trace& source, Dataflow& flow) {
  std::vector<bool> live(source.buffers.size(), false);
  for (const Instruction& line : source.program.init) {
    if (line.kind == InstructionKind::run) continue;
    live[line.buffer().index()] = line.kind == InstructionKind::alloc;
  }
  for (const Instruction& line : source.program.body) {
    if (line.kind == InstructionKind::alloc && !live[line.buffer().index()]) {
      flow.values[line.buffer().index()].local = true;
    }
  }
  for (std::size_t row = 0; row < source.buffers.size(); ++row) {
    const Buffer& buffer = source.buffers[row];
    Value& value = flow.values[row];
    if (buffer.space == device_of(source)) value.bytes = counted_bytes(buffer);
    value.movable = value.local && value.bytes > 0;
    if (!live[row] || buffer.space != device_of(source)) continue;
    flow.persistent.push_back(BufferId{row});
    flow.persistent_bytes += value.bytes;
  }
  for (const Buffer& buffer : source.buffers) {
    if (buffer.storage.valid()) flow.values[buffer.storage.index()].movable = false;
  }
}

/// A view is used when its storage is, and the other way round for lifetimes: uses go to the owner.
void add_use(const Trace& source, Dataflow& flow, const Operand& operand, Position at) {
  const BufferId owner = storage_of(source, operand.buffer);
  Value& value = flow.values[owner.index()];
  if (value.uses.empty() || value.uses.back() != at) value.uses.push_back(at);
  if (operand.writes < 0) return;
  if (value.producer < 0) value.producer = at;
  if (value.last_write != at) ++value.writes;
  value.last_write = at;
}

void read_body(const Trace& source, Dataflow& flow) {
  flow.position.assign(source.ops.size(), -1);
  flow.begin_ns.push_back(0);
  for (const Instruction& line : source.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const auto at = static_cast<Position>(flow.body.size());
    const Op& op = source[line.op()];
    flow.position[line.op().index()] = at;
    BodyOp entry;
    entry.op = line.op();
    entry.duration_ns = std::max<std::int64_t>(op.duration_ns, 0);
    for (const Operand& operand : op.operands) {
      add_use(source, flow, operand, at);
      const BufferId owner = storage_of(source, operand.buffer);
      Value& value = flow.values[owner.index()];
      if (source[op.stream].kind != StreamKind::compute) value.movable = false;
      if (!value.local) continue;
      add_once(entry.touches, owner);
      if (operand.reads >= 0) add_once(entry.reads, owner);
      if (operand.reads < 0 && operand.writes >= 0) add_once(entry.outputs, owner);
    }
    flow.begin_ns.push_back(flow.begin_ns.back() + entry.duration_ns);
    flow.body.push_back(std::move(entry));
  }
}

/// True when running the op again changes nothing but fresh copies of its outputs.
bool may_run_again(const Dataflow& flow, const Op& op) {
  if (!op_rule(op.kind).recomputable) return false;
  return std::all_of(op.operands.begin(), op.operands.end(), [&flow](const Operand& operand) {
    const bool updates = operand.reads >= 0 && operand.writes >= 0;
    return !updates && (operand.writes < 0 || flow[operand.buffer].movable);
  });
}

/// First position after `after` where `writes` (ascending) has an entry; k_never when none.
Position next_after(const std::vector<Position>& writes, Position after) {
  const auto next = std::upper_bound(writes.begin(), writes.end(), after);
  return next == writes.end() ? k_never : *next;
}

void find_recomputable(const Trace& source, Dataflow& flow) {
  std::vector<std::vector<Position>> writes(source.buffers.size());
  for (std::size_t at = 0; at < flow.body.size(); ++at) {
    for (const Operand& operand : source[flow.body[at].op].operands) {
      if (operand.writes < 0) continue;
      writes[storage_of(source, operand.buffer).index()].push_back(static_cast<Position>(at));
    }
  }
  for (Value& value : flow.values) {
    if (!value.movable || value.writes != 1) continue;
    const Op& op = source[flow.body[static_cast<std::size_t>(value.producer)].op];
    value.recomputable = may_run_again(flow, op);
    value.valid_until = k_never;
    for (const Operand& operand : op.operands) {
      if (operand.reads < 0) continue;
      const auto& of_input = writes[storage_of(source, operand.buffer).index()];
      value.valid_until = std::min(value.valid_until, next_after(of_input, value.producer));
    }
  }
}

/// Nobody but the optimizer may touch it: init makes it, final frees it.
void find_parkable(const Trace& source, Dataflow& flow) {
  std::vector<bool> has_views(source.buffers.size(), false);
  for (const Buffer& buffer : source.buffers) {
    if (buffer.storage.valid()) has_views[buffer.storage.index()] = true;
  }
  for (const BufferId id : flow.persistent) {
    Value& value = flow.values[id.index()];
    value.parkable = source[id].category == Category::optimizer_state && value.bytes > 0 &&
                     !value.uses.empty() && !has_views[id.index()];
  }
  const auto touch = [&](const std::vector<Instruction>& lines, auto visit) {
    for (const Instruction& line : lines) {
      if (line.kind != InstructionKind::run) continue;
      const Op& op = source[line.op()];
      for (const Operand& operand : op.operands) visit(op, operand);
    }
  };
  std::vector<bool> made(source.buffers.size(), false);
  touch(source.program.init, [&](const Op& op, const Operand& operand) {
    const bool computes = source[op.stream].kind == StreamKind::compute;
    if (operand.writes >= 0 && computes) made[operand.buffer.index()] = true;
  });
  const auto refuse_copies = [&](const Op& op, const Operand& operand) {
    const bool computes = source[op.stream].kind == StreamKind::compute;
    if (!computes) flow.values[operand.buffer.index()].parkable = false;
  };
  touch(source.program.init, refuse_copies);
  touch(source.program.body, refuse_copies);
  for (const auto* section : {&source.program.eval, &source.program.final}) {
    touch(*section, [&](const Op&, const Operand& operand) {
      flow.values[operand.buffer.index()].parkable = false;
    });
  }
  for (const BufferId id : flow.persistent) {
    if (!made[id.index()]) flow.values[id.index()].parkable = false;
  }
}

}  // namespace

Dataflow with_parked(const Dataflow& flow, const std::vector<BufferId>& parked) {
  Dataflow out = flow;
  for (const BufferId id : parked) {
    Value& value = out.values[id.index()];
    value.local = true;
    out.persistent_bytes -= value.bytes;
    std::erase(out.persistent, id);
    for (const Position use : value.uses) {
      out.body[static_cast<std::size_t>(use)].touches.push_back(id);
      out.body[static_cast<std::size_t>(use)].reads.push_back(id);
    }
  }
  return out;
}

Dataflow dataflow_of(const Trace& source) {
  Dataflow flow;
  flow.values.resize(source.buffers.size());
  find_owners(source, flow);
  read_body(source, flow);
  find_recomputable(source, flow);
  find_parkable(source, flow);
  return flow;
}

std::vector<std::int64_t> keep_all_bytes(const Dataflow& flow) {
  std::vector<std::int64_t> change(flow.body.size() + 1, 0);
  for (const Value& value : flow.values) {
    if (!value.local || value.uses.empty()) continue;
    change[static_cast<std::size_t>(value.uses.front())] += value.bytes;
    change[static_cast<std::size_t>(value.last_use()) + 1] -= value.bytes;
  }
  std::vector<std::int64_t> live(flow.body.size());
  std::int64_t sum = flow.persistent_bytes;
  for (std::size_t at = 0; at < live.size(); ++at) live[at] = sum += change[at];
  return live;
}

std::vector<BufferId> articulation_values(const Dataflow& flow, Position backward_begin) {
  // One vertex per buffer and one per op: removing a value must not take an op with it.
  using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS>;
  const std::size_t first_op = flow.values.size();
  Graph graph(first_op + flow.body.size());
  for (std::size_t at = 0; static_cast<Position>(at) < backward_begin; ++at) {
    for (const BufferId id : flow.body[at].touches) {
      if (flow[id].recomputable) boost::add_edge(id.index(), first_op + at, graph);
    }
  }
  std::vector<std::size_t> cuts;
  boost::articulation_points(graph, std::back_inserter(cuts));
  std::vector<BufferId> found;
  for (const std::size_t vertex : cuts) {
    if (vertex < first_op) found.push_back(BufferId{vertex});
  }
  std::sort(found.begin(), found.end(), [&flow](BufferId a, BufferId b) {
    return std::pair(flow[a].producer, a) < std::pair(flow[b].producer, b);
  });
  return found;
}

}  // namespace tidemark
