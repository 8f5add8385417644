#include "sim/lifetimes.h"

#include <algorithm>

#include "sim/op_table.h"

namespace tidemark {
namespace {

Instruction line(InstructionKind kind, BufferId buffer) {
  return {kind, buffer.value};
}
Instruction line(OpId op) {
  return {InstructionKind::run, op.value};
}

std::vector<OpId> ops_of(const std::vector<Instruction>& section) {
  std::vector<OpId> out;
  for (const Instruction& one : section) {
    if (one.kind == InstructionKind::run) out.push_back(one.op());
  }
  return out;
}

struct Walk {
  const Trace& trace;
  const Touches& touches;
  std::vector<char> live;        // by owning buffer
  std::vector<char> persistent;  // by owning buffer

  /// Owning buffers of the operands, then of what else the op keeps alive.
  [[nodiscard]] std::vector<BufferId> owners(OpId op) const {
    std::vector<BufferId> out;
    for (const Operand& operand : trace[op].operands) {
      out.push_back(storage_of(trace, operand.buffer));
    }
    if (op.index() >= touches.size()) return out;
    for (const BufferId id : touches[op.index()]) out.push_back(storage_of(trace, id));
    return out;
  }

  std::vector<Instruction> section(std::span<const OpId> ops) {
    std::vector<std::size_t> last(trace.buffers.size(), 0);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      for (const BufferId owner : owners(ops[i])) last[owner.index()] = i;
    }
    std::vector<Instruction> out;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const std::vector<BufferId> used = owners(ops[i]);
      for (const BufferId owner : used) begin(out, owner);
      out.push_back(line(ops[i]));
      for (const BufferId owner : used) {
        if (last[owner.index()] == i) end(out, owner);
      }
    }
    return out;
  }

  void begin(std::vector<Instruction>& out, BufferId owner) {
    if (live[owner.index()] != 0) return;
    live[owner.index()] = 1;
    out.push_back(line(InstructionKind::alloc, owner));
  }

  void end(std::vector<Instruction>& out, BufferId owner) {
    if (live[owner.index()] == 0 || persistent[owner.index()] != 0) return;
    live[owner.index()] = 0;
    out.push_back(line(InstructionKind::free, owner));
  }
};

void number_operand(Operand& operand, Access access, std::int32_t current) {
  operand.reads = operand.writes = -1;
  const bool accumulates = access == Access::write_or_update && current > 0;
  if (access == Access::read || access == Access::update || accumulates) operand.reads = current;
  if (access != Access::read) operand.writes = current + 1;
}

void number_section(Trace& trace, std::span<const OpId> section) {
  std::vector<std::int32_t> version(trace.buffers.size(), 0);
  for (OpId id : section) {
    Op& op = trace.ops[id.index()];
    const OpRule& rule = op_rule(op.kind);
    std::size_t next = 0;
    for (Operand& operand : op.operands) {
      while (next < rule.operands.size() && rule.operands[next].role != operand.role) ++next;
      if (next == rule.operands.size()) break;  // op_error() names it
      number_operand(operand, rule.operands[next].access,
                     version[storage_of(trace, operand.buffer).index()]);
    }
    for (const Operand& operand : op.operands) {
      if (operand.writes >= 0) {
        version[storage_of(trace, operand.buffer).index()] = operand.writes;
      }
    }
  }
}

}  // namespace

OpOrder order_of(const Trace& trace) {
  OpOrder out{.init = ops_of(trace.program.init),
              .body = ops_of(trace.program.body),
              .eval = ops_of(trace.program.eval),
              .final = ops_of(trace.program.final),
              .persistent = {}};
  for (const Instruction& one : trace.program.init) {
    if (one.kind == InstructionKind::alloc) out.persistent.push_back(one.buffer());
    if (one.kind == InstructionKind::free) std::erase(out.persistent, one.buffer());
  }
  return out;
}

Program with_lifetimes(const Trace& trace, const OpOrder& schedule, const Touches& touches) {
  Walk walk{trace, touches, std::vector<char>(trace.buffers.size(), 0),
            std::vector<char>(trace.buffers.size(), 0)};
  for (BufferId id : schedule.persistent) walk.persistent[id.index()] = 1;
  Program program;
  program.init = walk.section(schedule.init);
  for (BufferId id : schedule.persistent) walk.begin(program.init, id);
  program.body = walk.section(schedule.body);
  program.eval = walk.section(schedule.eval);
  program.final = walk.section(schedule.final);
  for (auto id = schedule.persistent.rbegin(); id != schedule.persistent.rend(); ++id) {
    program.final.push_back(line(InstructionKind::free, *id));
  }
  return program;
}

void assign_versions(Trace& trace, const OpOrder& schedule) {
  number_section(trace, schedule.init);
  number_section(trace, schedule.body);
  number_section(trace, schedule.eval);
  number_section(trace, schedule.final);
}

}  // namespace tidemark
