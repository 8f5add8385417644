#include "sim/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/rank_program.h"
#include "sim/shard_alone.h"
#include "sim/shard_source.h"
#include "sim/shard_tensor.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// The weight, gradient and state of one trained weight on one rank.
struct Parts {
  Whole weight;          // none in zero3: gathered when needed
  BufferId weight_part;  // of this rank
  Whole gradient;
  BufferId gradient_part;
  std::vector<BufferId> states;  // parts; of stage data the whole
  bool reduced = false;          // the gradient is the sum over all ranks
};

/// Where a gathered weight may be used without being gathered again: in one section, micro-batch,
/// phase and block.
struct Place {
  Pass::Section section = Pass::Section::body;
  std::int32_t micro_batch = 0;
  Phase phase = Phase::forward;
  LayerId block;
  bool operator==(const Place&) const = default;
};

struct Gathered {
  BufferId value;
  Place place;
};

class RankWriter {
 public:
  RankWriter(const Trace& source, const ShardSource& parts, ShardStage stage, RankProgram& program)
      : source_(source), from_(parts), stage_(stage), p_(program) {}

  void write() {
    add_persistent();
    for (const OpId id : from_.init) init(id);
    find_last_writes();
    for (const OpId id : from_.body) {
      if (source_[id].phase == Phase::optimizer) {
        optimizer(id);
      } else if (is_mine(id)) {
        micro_batch(id, Pass::Section::body);
      }
    }
    for (const OpId id : from_.eval) {
      if (is_mine(id)) micro_batch(id, Pass::Section::eval);
    }
  }

 private:
  [[nodiscard]] bool shares_state() const { return stage_ >= ShardStage::zero1; }
  [[nodiscard]] bool shares_weights() const { return stage_ == ShardStage::zero3; }

  [[nodiscard]] bool is_mine(OpId id) const {
    const std::int64_t each = from_.micro_batches / p_.ranks();
    return source_[id].micro_batch / each == p_.rank();
  }

  Parts& parts_of(std::int32_t row) { return parts_[static_cast<std::size_t>(row)]; }

  /// Rows of what lives from step to step, in the order of the source.
  void add_persistent() {
    parts_.resize(from_.weights.size());
    gathered_.resize(from_.weights.size());
    for (const BufferId id : from_.persistent) {
      if (from_.weight_of[id.index()] >= 0) {
        Parts& parts = parts_of(from_.weight_of[id.index()]);
        if (!shares_weights()) parts.weight = p_.whole(id, "");
        parts.weight_part =
            p_.part(id, parts.weight, p_.rank(), ".shard");  // of its own when there is no whole
        p_.persist(shares_weights() ? parts.weight_part : parts.weight.owner);
      } else {
        Parts& parts = parts_of(from_.state_of[id.index()]);
        parts.states.push_back(shares_state() ? p_.own_part(id, "") : p_.kept(id));
        p_.persist(parts.states.back());
      }
    }
  }

  void init(OpId id) {
    const BufferId made = source_[id].operands[0].buffer;
    if (const std::int32_t row = from_.state_of[made.index()]; row >= 0) {
      const auto& states = from_.weights[static_cast<std::size_t>(row)].states;
      const auto place = std::ranges::find(states, made) - states.begin();
      return p_.run(id, {parts_of(row).states[static_cast<std::size_t>(place)]},
                    Pass::Section::init, shares_state() ? 1.0 / p_.ranks() : 1);
    }
    const std::int32_t row = from_.weight_of[made.index()];
    Parts& parts = parts_of(row);
    const Whole whole = shares_weights() ? p_.whole(made, ".init") : parts.weight;
    p_.run(id, {whole.value}, Pass::Section::init);
    p_.clear_padding(whole, id, Pass::Section::init);
    if (!shares_weights()) return;
    const BufferId mine = p_.part(made, whole, p_.rank(), ".init.shard");
    p_.add(OpKind::copy, source_[made].name + ".keep", {{"src", mine}, {"dst", parts.weight_part}},
           id, Pass::Section::init);
  }

  /// By gradient: the last op of this rank's micro-batches that writes it.
  void find_last_writes() {
    last_write_.resize(from_.weights.size());
    for (const OpId id : from_.body) {
      if (source_[id].phase == Phase::optimizer || !is_mine(id)) continue;
      for (const Operand& operand : source_[id].operands) {
        const std::int32_t row = from_.gradient_of[operand.buffer.index()];
        if (row >= 0 && operand.writes >= 0) last_write_[static_cast<std::size_t>(row)] = id;
      }
    }
  }

  void micro_batch(OpId id, Pass::Section section) {
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) {
      buffers.push_back(current(operand.buffer, id, section));
    }
    p_.run(id, buffers, section);
    if (stage_ < ShardStage::zero2) return;
    for (const Operand& operand : source_[id].operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row >= 0 && last_write_[static_cast<std::size_t>(row)] == id) reduce(row, id);
    }
  }

  BufferId current(BufferId of_source, OpId id, Pass::Section section) {
    if (const std::int32_t row = from_.weight_of[of_source.index()]; row >= 0) {
      return shares_weights() ? gathered(row, id, section) : parts_of(row).weight.value;
    }
    if (const std::int32_t row = from_.gradient_of[of_source.index()]; row >= 0) {
      Parts& parts = parts_of(row);
      if (!parts.gradient.owner.valid()) parts.gradient = p_.whole(of_source, "");
      return parts.gradient.value;
    }
    return p_.kept(of_source);
  }

  [[nodiscard]] LayerId block_of(LayerId layer) const {
    while (layer.valid() && source_[layer].parent.valid()) layer = source_[layer].parent;
    return layer;
  }

  /// All of a weight, put together where it was not yet.
  BufferId gathered(std::int32_t row, OpId id, Pass::Section section) {
    const Op& op = source_[id];
    const Place place{section, op.micro_batch, op.phase, block_of(op.layer)};
    Gathered& last = gathered_[static_cast<std::size_t>(row)];
    if (last.value.valid() && last.place == place) return last.value;
    const BufferId weight = from_.weights[static_cast<std::size_t>(row)].weight;
    const Whole whole = p_.whole(weight, fmt::format("~{}", ++gathers_));
    p_.meet(OpKind::all_gather, p_[whole.value].name + ".all_gather",
            {{"x", parts_of(row).weight_part}, {"y", whole.owner}}, id, section);
    last = {whole.value, place};
    return whole.value;
  }

  /// The gradient becomes the sum over all ranks, of which this rank has its part.
  void reduce(std::int32_t row, OpId place) {
    Parts& parts = parts_of(row);
    if (parts.reduced) return;
    parts.reduced = true;
    const BufferId gradient = from_.weights[static_cast<std::size_t>(row)].gradient;
    const std::string& name = source_[gradient].name;
    p_.clear_padding(parts.gradient, place, Pass::Section::body);
    const bool apart = stage_ >= ShardStage::zero2;
    parts.gradient_part = apart ? p_.own_part(gradient, ".shard")
                                : p_.part(gradient, parts.gradient, p_.rank(), ".shard");
    if (stage_ == ShardStage::data) {
      return p_.meet(OpKind::all_reduce, name + ".all_reduce", {{"x", parts.gradient.owner}}, place,
                     Pass::Section::body);
    }
    p_.meet(OpKind::reduce_scatter, name + ".reduce_scatter",
            {{"x", parts.gradient.owner}, {"y", parts.gradient_part}}, place, Pass::Section::body);
  }

  void optimizer(OpId id) {
    const Op& op = source_[id];
    for (const Operand& operand : op.operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row >= 0) reduce(row, id);
    }
    if (op.kind == OpKind::clip_factor) {
      p_.meet(OpKind::all_reduce, source_[op.operands[0].buffer].name + ".all_reduce",
              {{"x", p_.kept(op.operands[0].buffer)}}, id, Pass::Section::body);
    }
    const bool on_part = shares_state() || op.kind == OpKind::sum_of_squares;
    std::vector<BufferId> buffers;
    for (const Operand& operand : op.operands) {
      buffers.push_back(in_optimizer(operand.buffer, on_part));
    }
    const bool of_weight = from_.gradient_of[op.operands[0].buffer.index()] >= 0 ||
                           from_.weight_of[op.operands[0].buffer.index()] >= 0;
    p_.run(id, buffers, Pass::Section::body, on_part && of_weight ? 1.0 / p_.ranks() : 1);
    if (!is_update(op.kind) || !shares_state() || shares_weights()) return;
    const Parts& parts = parts_of(from_.weight_of[op.operands[0].buffer.index()]);
    p_.meet(OpKind::all_gather, source_[op.operands[0].buffer].name + ".all_gather",
            {{"x", parts.weight_part}, {"y", parts.weight.owner}}, id, Pass::Section::body);
  }

  BufferId in_optimizer(BufferId of_source, bool on_part) {
    if (const std::int32_t row = from_.weight_of[of_source.index()]; row >= 0) {
      return on_part ? parts_of(row).weight_part : parts_of(row).weight.value;
    }
    if (const std::int32_t row = from_.gradient_of[of_source.index()]; row >= 0) {
      return on_part ? parts_of(row).gradient_part : parts_of(row).gradient.value;
    }
    if (const std::int32_t row = from_.state_of[of_source.index()]; row >= 0) {
      const auto& states = from_.weights[static_cast<std::size_t>(row)].states;
      return parts_of(row)
          .states[static_cast<std::size_t>(std::ranges::find(states, of_source) - states.begin())];
    }
    return p_.kept(of_source);
  }

  const Trace& source_;
  const ShardSource& from_;
  ShardStage stage_;
  RankProgram& p_;
  std::vector<Parts> parts_;        // by row of from_.weights
  std::vector<Gathered> gathered_;  // the same
  std::vector<OpId> last_write_;    // the same
  int gathers_ = 0;
};

void require_shares(const ShardSource& from, std::int32_t ranks) {
  if (ranks >= 1 && from.micro_batches % ranks == 0) return;
  throw InputError(InputError::Parts{
      .place = "--ranks",
      .expected = fmt::format("a divisor of the {} micro-batch{} of a step (profile --accumulate)",
                              from.micro_batches, from.micro_batches == 1 ? "" : "es"),
      .found = std::to_string(ranks)});
}

}  // namespace

std::vector<Trace> shard(const Trace& source, ShardStage stage, std::int32_t ranks) {
  const ShardSource from = shard_source_of(source);
  if (stage == ShardStage::tensor) {
    std::vector<Trace> out;
    for (std::int32_t rank = 0; rank < ranks; ++rank) {
      out.push_back(shard_tensor(source, from, rank, ranks));
    }
    return out;
  }
  require_shares(from, ranks);
  if (stage == ShardStage::none) return {shard_alone(source, from, ranks)};
  std::vector<Trace> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    RankProgram program(source, {.index = rank, .count = ranks});
    RankWriter(source, from, stage, program).write();
    out.push_back(program.finish(fmt::format(", {} on {} ranks", to_string(stage), ranks)));
  }
  return out;
}

void number_collectives(Trace& trace) {
  for (const auto* section : sections_of(trace.program)) {
    std::map<std::int64_t, std::int64_t> next;  // by group
    for (const Instruction& line : *section) {
      if (line.kind != InstructionKind::run) continue;
      for (Attribute& attribute : trace.ops[line.op().index()].attributes) {
        if (attribute.name != "sequence") continue;
        attribute.integer = next[integer_at(trace[line.op()], "group", 0)]++;
      }
    }
  }
}

}  // namespace tidemark
