#include "sim/shard_states.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/op_table.h"
#include "sim/shard_experts.h"

namespace tidemark {
namespace {

/// The ranks that share a state, and those that have the same part of it.
struct StateAxes {
  RankAxis shard;
  RankAxis replicas;
};

/// Of a weight that every `apart`-th rank along the axis has.
StateAxes axes_of(const StatesSplit& split, std::int32_t apart) {
  RankAxis same = split.axis;
  if (apart > 1) {
    same.name = "same_experts";
    same.index /= apart;
    same.count /= apart;
    same.stride *= apart;
  }
  StateAxes out{.shard = same, .replicas = {}};
  const std::int32_t shard = split.shard / apart;
  if (shard == 0 || shard == same.count) return out;
  out.shard.name = "shard_group";
  out.shard.count = shard;
  out.shard.index = same.index % shard;
  out.replicas = {.name = "replicas",
                  .index = same.index / shard,
                  .count = same.count / shard,
                  .stride = same.stride * shard};
  return out;
}

/// The weight, gradient and state of one trained weight on one rank.
struct Parts {
  StateAxes axes;
  Whole weight;          // none in zero3: gathered when needed
  BufferId weight_part;  // of this rank
  Whole gradient;
  BufferId gradient_part;
  std::vector<BufferId> states;  // parts; of stage data the whole
  bool reduced = false;          // the gradient is the sum over all ranks
  Whole made;                    // all of it, in init
  std::size_t last_made = 0;     // position in init
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

class StatesWriter {
 public:
  StatesWriter(const Trace& source, const ShardSource& from, const StatesSplit& split,
               RankProgram& program)
      : source_(source),
        from_(from),
        stage_(split.stage),
        p_(program),
        parts_(from.weights.size()),
        gathered_(from.weights.size()),
        last_write_(from.weights.size()),
        last_update_(source.buffers.size()),
        norms_(axes_of(split, 1).shard) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const bool of_experts = is_of_experts(source[from.weights[i].weight]);
      parts_[i].axes = axes_of(split, of_experts ? split.experts : 1);
    }
  }

  void write() {
    add_persistent();
    for (std::size_t i = 0; i < from_.init.size(); ++i) {
      if (from_.init_of[i] >= 0 && !makes_state(i)) parts_of(from_.init_of[i]).last_made = i;
    }
    for (std::size_t i = 0; i < from_.init.size(); ++i) init(i);
    find_last_writes();
    for (const OpId id : from_.body) {
      source_[id].phase == Phase::optimizer ? optimizer(id) : micro_batch(id, Pass::Section::body);
    }
    for (const OpId id : from_.eval) micro_batch(id, Pass::Section::eval);
  }

 private:
  // What one rank alone has is not shared, whatever the stage.
  [[nodiscard]] bool shares_state(const Parts& parts) const {
    return stage_ >= ShardStage::zero1 && parts.axes.shard.count > 1;
  }
  [[nodiscard]] bool shares_weights(const Parts& parts) const {
    return stage_ == ShardStage::zero3 && parts.axes.shard.count > 1;
  }

  Parts& parts_of(std::int32_t row) { return parts_[static_cast<std::size_t>(row)]; }
  [[nodiscard]] const TrainedWeight& trained(std::int32_t row) const {
    return from_.weights[static_cast<std::size_t>(row)];
  }

  /// Rows of what lives from step to step, in the order of the source.
  void add_persistent() {
    for (const BufferId id : from_.persistent) {
      if (from_.weight_of[id.index()] >= 0) {
        Parts& parts = parts_of(from_.weight_of[id.index()]);
        const bool shared = shares_weights(parts);
        if (!shared) parts.weight = p_.whole(id, "", parts.axes.shard);
        parts.weight_part = parts.axes.shard.count == 1
                                ? parts.weight.owner
                                : p_.part(id, parts.weight, ".shard", parts.axes.shard);
        p_.persist(shared ? parts.weight_part : parts.weight.owner);
      } else if (from_.state_of[id.index()] < 0) {
        p_.persist(p_.kept(id));  // statistics
      } else {
        Parts& parts = parts_of(from_.state_of[id.index()]);
        parts.states.push_back(shares_state(parts) ? p_.part(id, Whole{}, "", parts.axes.shard)
                                                   : p_.kept(id));
        p_.persist(parts.states.back());
      }
    }
  }

  [[nodiscard]] bool makes_state(std::size_t position) const {
    return from_.state_of[source_[from_.init[position]].operands[0].buffer.index()] >= 0;
  }

  /// Weights are made whole, and this rank keeps its part.
  void init(std::size_t position) {
    const OpId id = from_.init[position];
    const std::int32_t row = from_.init_of[position];
    if (row < 0) {
      return p_.run(id, {p_.kept(source_[id].operands[0].buffer)}, Pass::Section::init);
    }
    if (makes_state(position)) {
      return p_.run(id, {state_row(source_[id].operands[0].buffer)}, Pass::Section::init,
                    shares_state(parts_of(row)) ? share_of(row) : 1);
    }
    Parts& parts = parts_of(row);
    const BufferId weight = trained(row).weight;
    if (!parts.made.owner.valid()) {
      parts.made =
          shares_weights(parts) ? p_.whole(weight, ".init", parts.axes.shard) : parts.weight;
    }
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) {
      const BufferId of_source = operand.buffer;
      buffers.push_back(of_source == weight ? parts.made.value
                        : source_[of_source].storage == weight
                            ? p_.view(of_source, parts.made.owner)
                            : p_.kept(of_source));
    }
    p_.run(id, buffers, Pass::Section::init);
    if (parts.last_made != position) return;
    p_.clear_padding(parts.made, id, Pass::Section::init);
    if (!shares_weights(parts)) return;
    const BufferId mine = p_.part(weight, parts.made, ".init.shard", parts.axes.shard);
    p_.add(OpKind::copy, source_[weight].name + ".keep",
           {{"src", mine}, {"dst", parts.weight_part}}, id, Pass::Section::init);
  }

  [[nodiscard]] double share_of(std::int32_t row) { return 1.0 / parts_of(row).axes.shard.count; }

  /// By gradient: the last op of the micro-batches that writes it.
  void find_last_writes() {
    for (const OpId id : from_.body) {
      if (source_[id].phase == Phase::optimizer) continue;
      for (const Operand& operand : source_[id].operands) {
        const std::int32_t row = from_.gradient_of[operand.buffer.index()];
        if (row >= 0 && operand.writes >= 0) last_write_[static_cast<std::size_t>(row)] = id;
        if (operand.writes >= 0) last_update_[operand.buffer.index()] = id;
      }
    }
  }

  void micro_batch(OpId id, Pass::Section section) {
    std::vector<BufferId> buffers;
    for (const Operand& operand : source_[id].operands) {
      buffers.push_back(current(operand.buffer, id, section));
    }
    p_.run(id, buffers, section);
    if (section == Pass::Section::body) share_statistics(id);
    if (stage_ < ShardStage::zero2) return;
    for (const Operand& operand : source_[id].operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row >= 0 && last_write_[static_cast<std::size_t>(row)] == id) reduce(row, id);
    }
  }

  /// Behind their last update of the step: all ranks take those of the first, as PyTorch's
  /// DistributedDataParallel does with buffers. Of other ranks nothing but statistics gets lost.
  void share_statistics(OpId id) {
    for (const BufferId statistic : from_.statistics) {
      if (last_update_[statistic.index()] != id) continue;
      const std::string& name = source_[statistic].name;
      const std::int64_t count = element_count(source_[statistic]);
      const BufferId of_all = p_.exchanged(statistic, {count * p_.ranks()}, ".of_all");
      p_.meet(OpKind::all_gather, name + ".all_gather", {{"x", p_.kept(statistic)}, {"y", of_all}},
              id, Pass::Section::body);
      p_.add(OpKind::slice_columns, name + ".first", {{"x", of_all}, {"y", p_.kept(statistic)}}, id,
             Pass::Section::body, {integer("first", 0)});
    }
  }

  BufferId current(BufferId of_source, OpId id, Pass::Section section) {
    if (const std::int32_t row = from_.weight_of[of_source.index()]; row >= 0) {
      return shares_weights(parts_of(row)) ? gathered(row, id, section)
                                           : parts_of(row).weight.value;
    }
    if (const std::int32_t row = from_.gradient_of[of_source.index()]; row >= 0) {
      Parts& parts = parts_of(row);
      if (!parts.gradient.owner.valid()) {
        parts.gradient = p_.whole(of_source, "", parts.axes.shard);
      }
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
    const StateAxes& axes = parts_of(row).axes;
    const Whole whole = p_.whole(trained(row).weight, fmt::format("~{}", ++gathers_), axes.shard);
    p_.meet_along(axes.shard, OpKind::all_gather, p_[whole.value].name + ".all_gather",
                  {{"x", parts_of(row).weight_part}, {"y", whole.owner}}, id, section);
    last = {whole.value, place};
    return whole.value;
  }

  /// The gradient becomes the sum over all ranks, of which this rank has its part.
  void reduce(std::int32_t row, OpId place) {
    Parts& parts = parts_of(row);
    if (parts.reduced) return;
    parts.reduced = true;
    const BufferId gradient = trained(row).gradient;
    const std::string& name = source_[gradient].name;
    p_.clear_padding(parts.gradient, place, Pass::Section::body);
    const RankAxis& among = parts.axes.shard;
    const bool shared = stage_ > ShardStage::data && among.count > 1;
    if (among.count == 1) {
      parts.gradient_part = parts.gradient.owner;
    } else {
      const bool apart = stage_ >= ShardStage::zero2;
      parts.gradient_part = p_.part(gradient, apart ? Whole{} : parts.gradient, ".shard", among);
    }
    if (shared) {
      p_.meet_along(among, OpKind::reduce_scatter, name + ".reduce_scatter",
                    {{"x", parts.gradient.owner}, {"y", parts.gradient_part}}, place,
                    Pass::Section::body);
    } else if (among.count > 1) {
      p_.meet_along(among, OpKind::all_reduce, name + ".all_reduce", {{"x", parts.gradient.owner}},
                    place, Pass::Section::body);
    }
    if (parts.axes.replicas.count == 1) return;
    p_.meet_along(parts.axes.replicas, OpKind::all_reduce, name + ".replicas.all_reduce",
                  {{"x", shared ? parts.gradient_part : parts.gradient.owner}}, place,
                  Pass::Section::body);
  }

  void optimizer(OpId id) {
    const Op& op = source_[id];
    const BufferId first = op.operands[0].buffer;
    for (const Operand& operand : op.operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row >= 0) reduce(row, id);
    }
    if (op.kind == OpKind::clip_factor) {
      p_.meet_along(norms_, OpKind::all_reduce, source_[first].name + ".all_reduce",
                    {{"x", p_.kept(first)}}, id, Pass::Section::body);
    }
    const std::int32_t row =
        std::max(from_.gradient_of[first.index()], from_.weight_of[first.index()]);
    const bool on_part =
        row >= 0 && (shares_state(parts_of(row)) || op.kind == OpKind::sum_of_squares);
    std::vector<BufferId> buffers;
    for (const Operand& operand : op.operands) {
      buffers.push_back(in_optimizer(operand.buffer, on_part));
    }
    p_.run(id, buffers, Pass::Section::body, on_part ? share_of(row) : 1);
    if (!is_update(op.kind)) return;
    const Parts& parts = parts_of(row);
    if (!shares_state(parts) || shares_weights(parts)) return;
    p_.meet_along(parts.axes.shard, OpKind::all_gather, source_[first].name + ".all_gather",
                  {{"x", parts.weight_part}, {"y", parts.weight.owner}}, id, Pass::Section::body);
  }

  BufferId in_optimizer(BufferId of_source, bool on_part) {
    if (const std::int32_t row = from_.weight_of[of_source.index()]; row >= 0) {
      return on_part ? parts_of(row).weight_part : parts_of(row).weight.value;
    }
    if (const std::int32_t row = from_.gradient_of[of_source.index()]; row >= 0) {
      return on_part ? parts_of(row).gradient_part : parts_of(row).gradient.value;
    }
    return from_.state_of[of_source.index()] >= 0 ? state_row(of_source) : p_.kept(of_source);
  }

  BufferId state_row(BufferId of_source) {
    const std::int32_t row = from_.state_of[of_source.index()];
    const std::vector<BufferId>& states = trained(row).states;
    const auto place = std::ranges::find(states, of_source) - states.begin();
    return parts_of(row).states[static_cast<std::size_t>(place)];
  }

  const Trace& source_;
  const ShardSource& from_;
  ShardStage stage_;
  RankProgram& p_;
  std::vector<Parts> parts_;        // by row of from_.weights
  std::vector<Gathered> gathered_;  // the same
  std::vector<OpId> last_write_;    // the same
  std::vector<OpId> last_update_;   // by buffer: the last op of the micro-batches that writes it
  RankAxis norms_;                  // ranks whose norms of parts make that of all gradients
  int gathers_ = 0;
};

}  // namespace

Trace shard_states(const Trace& rank, const ShardSource& from, const StatesSplit& split) {
  RankProgram program(rank, split.axis);
  StatesWriter(rank, from, split, program).write();
  return program.finish(fmt::format(", {} on {} ranks", to_string(split.stage), split.axis.count));
}

}  // namespace tidemark
