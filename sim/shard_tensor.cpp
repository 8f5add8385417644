#include "sim/shard_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "sim/op_table.h"
#include "sim/rank_program.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// How a weight [N, K] is split.
struct WeightSplit {
  bool by_outputs = false;               // rows, of each segment its part; else columns
  std::vector<std::int64_t> segments{};  // rows of queries, keys, values; or of gate and unit
};

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

bool is_attention(OpKind kind) {
  return kind == OpKind::attention_forward || kind == OpKind::attention_backward ||
         kind == OpKind::flash_attention_forward || kind == OpKind::flash_attention_backward;
}

bool works_on_parts(OpKind kind) {
  return is_attention(kind) || kind == OpKind::rotary_forward || kind == OpKind::rotary_backward ||
         kind == OpKind::swiglu_forward || kind == OpKind::swiglu_backward;
}

/// The dimension of an operand of such an op that is split; -1 = none (workspaces).
int split_dimension(const Operand& operand, const Buffer& buffer) {
  if (operand.role == "workspace") return -1;
  const bool per_head = operand.role == "probabilities" || operand.role == "log_sum_exp";
  return per_head ? 1 : static_cast<int>(buffer.shape.size()) - 1;
}

class TensorWriter {
 public:
  TensorWriter(const Trace& source, const ShardSource& from, RankProgram& program)
      : source_(source),
        from_(from),
        p_(program),
        dimension_(source.buffers.size(), -1),
        parts_(source.buffers.size()) {}

  void write() {
    find_splits();
    for (const BufferId id : from_.persistent) p_.persist(row_of(id));
    for (const OpId id : from_.init) init(id);
    for (const OpId id : from_.body) step(id, Section::body);
    for (const OpId id : from_.eval) step(id, Section::eval);
  }

 private:
  // ---- what is split

  void find_splits() {
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) {
        if (works_on_parts(source_[id].kind)) split_operands(source_[id]);
      }
    }
    for (const OpId id : from_.body) {
      if (source_[id].kind == OpKind::linear_forward) find_weight_split(source_[id]);
    }
    if (splits_.empty()) {
      refuse("--shard tensor", "a decoder of family llama", "a program without gated units");
    }
    for (const auto& [row, split] : splits_) {
      const TrainedWeight& w = from_.weights[static_cast<std::size_t>(row)];
      const int dimension = split.by_outputs ? 0 : 1;
      for (const BufferId id : {w.weight, w.gradient}) dimension_[id.index()] = dimension;
      for (const BufferId id : w.states) dimension_[id.index()] = dimension;
    }
  }

  void split_operands(const Op& op) {
    if (real_of(op, "probability") > 0) {
      refuse("op '" + op.name + "'", "no dropout of attention", "one");
    }
    for (const Operand& operand : op.operands) {
      const int dimension = split_dimension(operand, source_[operand.buffer]);
      if (dimension >= 0) dimension_[operand.buffer.index()] = dimension;
    }
    const std::int64_t heads = integer_at(op, "heads", 0, p_.ranks());
    for (const std::int64_t units : {heads, integer_at(op, "kv_heads", 0, heads)}) {
      if (units % p_.ranks() != 0) {
        refuse("--ranks", fmt::format("a divisor of the {} heads", units),
               std::to_string(p_.ranks()));
      }
    }
    if (op.kind == OpKind::swiglu_forward) {
      const std::int64_t hidden = column_count(source_[op.operands[1].buffer]);
      segments_[op.operands[0].buffer.index()] = {hidden, hidden};
    }
    if (op.kind == OpKind::rotary_forward) {
      const std::int64_t groups = integer_at(op, "kv_heads", 0);
      const std::int64_t width =
          column_count(source_[op.operands[0].buffer]) / (heads + 2 * groups);
      segments_[op.operands[0].buffer.index()] = {heads * width, groups * width, groups * width};
    }
  }

  void find_weight_split(const Op& op) {
    const std::int32_t row = from_.weight_of[find_operand(op, "w")->buffer.index()];
    const BufferId x = find_operand(op, "x")->buffer;
    const BufferId y = find_operand(op, "y")->buffer;
    const bool by_outputs = dimension_[y.index()] >= 0;
    if (!by_outputs && dimension_[x.index()] < 0) return;
    if (find_operand(op, "b") != nullptr) {
      refuse("op '" + op.name + "'", "a linear layer without bias", "one with it");
    }
    WeightSplit split{.by_outputs = by_outputs};
    if (by_outputs) split.segments = segments_.at(y.index());
    const std::vector<std::int64_t> units =
        by_outputs ? split.segments : std::vector{column_count(source_[x])};
    for (const std::int64_t count : units) {
      if (count % p_.ranks() == 0) continue;
      refuse("--ranks", fmt::format("a divisor of {} units of '{}'", count, op.name),
             std::to_string(p_.ranks()));
    }
    splits_.emplace(row, std::move(split));
  }

  /// How the weight is split that a linear op works with; null when it is not.
  [[nodiscard]] const WeightSplit* split_of(const Op& op) const {
    const Operand* w = find_operand(op, "w");
    const Operand* dw = find_operand(op, "dw");
    if (w == nullptr && dw == nullptr) return nullptr;
    const std::int32_t row =
        w != nullptr ? from_.weight_of[w->buffer.index()] : from_.gradient_of[dw->buffer.index()];
    const auto found = splits_.find(row);
    return found == splits_.end() ? nullptr : &found->second;
  }

  // ---- rows

  /// The row of this rank: a part when the buffer is split.
  BufferId row_of(BufferId of_source) {
    const int dimension = dimension_[of_source.index()];
    if (dimension < 0) return p_.kept(of_source);
    BufferId& row = parts_[of_source.index()];
    if (!row.valid()) row = p_.split(of_source, dimension);
    return row;
  }

  /// The rounded factors of a product of parts.
  BufferId factors_of(const Op& op, BufferId of_source) {
    std::int64_t elements = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      elements += element_count(p_[row_of(op.operands[i].buffer)]);
    }
    return p_.resized(of_source, {elements});
  }

  // ---- ops

  /// Weights are made whole, and this rank keeps its part.
  void init(OpId id) {
    const BufferId made = source_[id].operands[0].buffer;
    const std::int32_t row = from_.weight_of[made.index()];
    const auto split = splits_.find(row);
    if (row < 0 || split == splits_.end()) return p_.run(id, {row_of(made)}, Section::init);
    const BufferId whole = p_.like(made, ".init");
    p_.run(id, {whole}, Section::init);
    if (split->second.by_outputs) return keep_rows(id, made, whole, split->second.segments);
    const std::int64_t count = source_[made].shape[1] / p_.ranks();
    p_.add(OpKind::slice_columns, source_[made].name + ".keep", {{"x", whole}, {"y", row_of(made)}},
           id, Section::init, {integer("first", count * p_.rank())});
  }

  void keep_rows(OpId id, BufferId made, BufferId whole,
                 const std::vector<std::int64_t>& segments) {
    std::int64_t from = 0, to = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::int64_t rows = segments[i] / p_.ranks();
      const std::string suffix = fmt::format(".rows{}", i);
      const BufferId src = p_.rows(whole, from + rows * p_.rank(), rows, suffix);
      const BufferId dst = p_.rows(row_of(made), to, rows, suffix);
      p_.add(OpKind::copy, source_[made].name + suffix + ".keep", {{"src", src}, {"dst", dst}}, id,
             Section::init);
      from += segments[i];
      to += rows;
    }
  }

  void step(OpId id, Section section) {
    const Op& op = source_[id];
    if (op.phase == Phase::optimizer && op.kind == OpKind::sum_of_squares) return norm(id);
    if (op.kind == OpKind::clip_factor) return clip(id);
    const WeightSplit* split = split_of(op);
    const bool on_parts = works_on_parts(op.kind) || split != nullptr || is_update(op.kind) ||
                          op.kind == OpKind::scale_by;
    std::vector<BufferId> buffers;
    for (const Operand& operand : op.operands) {
      const bool factors = operand.role == "bf16_factors" && split != nullptr;
      if (!on_parts && dimension_[operand.buffer.index()] >= 0) {
        refuse("op '" + op.name + "'", "an op that can work on a part",
               std::string(to_string(op.kind)));
      }
      buffers.push_back(factors ? factors_of(op, operand.buffer) : row_of(operand.buffer));
    }
    const bool part_of_work = works_on_parts(op.kind) || split != nullptr ||
                              dimension_[op.operands[0].buffer.index()] >= 0;
    p_.run(id, buffers, section, part_of_work ? 1.0 / p_.ranks() : 1);
    if (works_on_parts(op.kind)) {
      for (Attribute& a : p_.last().attributes) {
        if (a.name == "heads" || a.name == "kv_heads") a.integer /= p_.ranks();
      }
    }
    if (const std::optional<std::size_t> partial = partial_result(op, split)) {
      const BufferId sum = row_of(op.operands[*partial].buffer);
      p_.meet(OpKind::all_reduce, p_[sum].name + ".all_reduce", {{"x", sum}}, id, section);
    }
  }

  /// The operand that holds one term of a sum over the ranks.
  static std::optional<std::size_t> partial_result(const Op& op, const WeightSplit* split) {
    if (split == nullptr) return std::nullopt;
    const bool forward = op.kind == OpKind::linear_forward && !split->by_outputs;
    const bool backward = op.kind == OpKind::linear_backward_data && split->by_outputs;
    if (!forward && !backward) return std::nullopt;
    const Operand* result = find_operand(op, forward ? "y" : "dx");
    return static_cast<std::size_t>(result - op.operands.data());
  }

  /// Norms of parts are summed by themselves: only they are added over the ranks.
  void norm(OpId id) {
    const Op& op = source_[id];
    const BufferId sum = op.operands[1].buffer;
    const bool of_part = dimension_[op.operands[0].buffer.index()] >= 0;
    if (of_part && !norm_of_parts_.valid()) norm_of_parts_ = p_.like(sum, ".of_parts");
    p_.run(id, {row_of(op.operands[0].buffer), of_part ? norm_of_parts_ : row_of(sum)},
           Section::body, of_part ? 1.0 / p_.ranks() : 1);
  }

  void clip(OpId id) {
    const Op& op = source_[id];
    const BufferId sum = op.operands[0].buffer;
    const std::string name = source_[sum].name;
    const BufferId total = p_.like(sum, ".total");
    p_.meet(OpKind::all_reduce, name + ".of_parts.all_reduce", {{"x", norm_of_parts_}}, id,
            Section::body);
    p_.add(OpKind::add, name + ".total", {{"a", row_of(sum)}, {"b", norm_of_parts_}, {"y", total}},
           id, Section::body);
    p_.run(id, {total, row_of(op.operands[1].buffer)}, Section::body);
  }

  const Trace& source_;
  const ShardSource& from_;
  RankProgram& p_;
  std::vector<int> dimension_;                                 // by buffer; -1 = whole
  std::vector<BufferId> parts_;                                // by buffer: its row here
  std::map<std::size_t, std::vector<std::int64_t>> segments_;  // by result of a linear layer
  std::map<std::int32_t, WeightSplit> splits_;                 // by row of from_.weights
  BufferId norm_of_parts_;
};

}  // namespace

Trace shard_tensor(const Trace& source, const ShardSource& from, std::int32_t rank,
                   std::int32_t ranks) {
  RankProgram program(source, rank, ranks);
  TensorWriter(source, from, program).write();
  return program.finish(fmt::format(", tensor parallel on {} ranks", ranks));
}

}  // namespace tidemark
