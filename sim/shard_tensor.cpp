#include "sim/shard_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/op_table.h"
#include "sim/rank_program.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// How a weight [N, K], of each expert where it has several, or a bias [N], is split.
struct WeightSplit {
  bool by_outputs = false;               // rows, of each segment its part; else columns
  std::vector<std::int64_t> segments{};  // rows of queries, keys, values; of gate and unit; or all
};

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

bool is_attention(OpKind kind) {
  return kind == OpKind::attention_forward || kind == OpKind::attention_backward ||
         kind == OpKind::flash_attention_forward || kind == OpKind::flash_attention_backward;
}

/// What stands between two linear layers of a decoder's block.
bool works_on_parts(OpKind kind) {
  switch (kind) {
    case OpKind::rotary_forward:
    case OpKind::rotary_backward:
    case OpKind::swiglu_forward:
    case OpKind::swiglu_backward:
    case OpKind::gelu_forward:
    case OpKind::gelu_backward:
      return true;
    default:
      return is_attention(kind);
  }
}

bool is_linear(OpKind kind) {
  return kind == OpKind::linear_forward || kind == OpKind::linear_backward_data ||
         kind == OpKind::linear_backward_weight;
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
    for (const OpId id : from_.body) step(id, Pass::Section::body);
    for (const OpId id : from_.eval) step(id, Pass::Section::eval);
  }

 private:
  // ---- what is split

  void find_splits() {
    bool attends = false;
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) {
        attends = attends || is_attention(source_[id].kind);
        if (works_on_parts(source_[id].kind)) split_operands(source_[id]);
      }
    }
    if (!attends) refuse("--shard tensor", "a decoder", "a program without attention");
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) {
        if (source_[id].kind == OpKind::linear_forward) split_weights(source_[id]);
        if (source_[id].kind == OpKind::linear_backward_weight) split_rounded(source_[id]);
      }
    }
  }

  void split_operands(const Op& op) {
    if (real_of(op, "probability") > 0) {
      refuse("op '" + op.name + "'", "no dropout of attention, whose mask is one over all heads",
             "a probability of " + fmt::format("{}", real_of(op, "probability")));
    }
    for (const Operand& operand : op.operands) {
      const int dimension = split_dimension(operand, source_[operand.buffer]);
      if (dimension >= 0) dimension_[operand.buffer.index()] = dimension;
    }
    const std::int64_t heads = integer_at(op, "heads", 0, p_.ranks());
    for (const std::int64_t units : {heads, integer_at(op, "kv_heads", 0, heads)}) {
      if (units % p_.ranks() == 0) continue;
      refuse("--ranks", fmt::format("a divisor of the {} heads of '{}'", units, op.name),
             std::to_string(p_.ranks()));
    }
    if (const Operand* in = find_operand(op, is_attention(op.kind) ? "qkv" : "x")) {
      segments_[in->buffer.index()] = segments_of(op, column_count(source_[in->buffer]));
    }
  }

  /// Columns of an op's input that are split one by one.
  static std::vector<std::int64_t> segments_of(const Op& op, std::int64_t columns) {
    if (is_attention(op.kind)) return {columns / 3, columns / 3, columns / 3};
    if (op.kind == OpKind::swiglu_forward || op.kind == OpKind::swiglu_backward) {
      return {columns / 2, columns / 2};
    }
    if (op.kind != OpKind::rotary_forward) return {columns};
    const std::int64_t heads = integer_at(op, "heads", 0);
    const std::int64_t groups = integer_at(op, "kv_heads", 0);
    const std::int64_t width = columns / (heads + 2 * groups);
    return {heads * width, groups * width, groups * width};
  }

  void split_weights(const Op& op) {
    const BufferId x = find_operand(op, "x")->buffer;
    const BufferId y = find_operand(op, "y")->buffer;
    const bool by_outputs = dimension_[y.index()] >= 0;
    const bool by_inputs = dimension_[x.index()] >= 0;
    if (!by_outputs && !by_inputs) return;
    if (by_outputs && by_inputs) {
      refuse("op '" + op.name + "'", "a linear layer before, or one behind, what is split",
             "one between two of them");
    }
    const std::vector<std::int64_t> segments =
        by_outputs ? segments_.at(y.index()) : std::vector{column_count(source_[x])};
    for (const std::int64_t count : segments) {
      if (count % p_.ranks() == 0) continue;
      refuse("--ranks", fmt::format("a divisor of the {} units of '{}'", count, op.name),
             std::to_string(p_.ranks()));
    }
    const BufferId w = find_operand(op, "w")->buffer;
    const int inputs = static_cast<int>(source_[w].shape.size()) - 1;  // experts come before
    split_weight(w, {by_outputs, segments}, by_outputs ? inputs - 1 : inputs);
    const Operand* bias = find_operand(op, "b");
    if (by_outputs && bias != nullptr) split_weight(bias->buffer, {by_outputs, segments}, 0);
  }

  void split_weight(BufferId weight, const WeightSplit& split, int dimension) {
    const TrainedWeight* w = from_.trained(from_.weight_of, weight);
    if (w == nullptr) refuse("buffer '" + source_[weight].name + "'", "a weight", "something else");
    splits_.emplace(weight, split);
    for (const BufferId id : {w->weight, w->gradient}) dimension_[id.index()] = dimension;
    for (const BufferId id : w->states) dimension_[id.index()] = dimension;
  }

  /// The rounded gradient of a product is split as the gradient is.
  void split_rounded(const Op& op) {
    const Operand* rounded = find_operand(op, "bf16_dy");
    if (rounded == nullptr) return;
    dimension_[rounded->buffer.index()] = dimension_[find_operand(op, "dy")->buffer.index()];
  }

  /// How the weight is split that a linear op works with; null when it is not.
  [[nodiscard]] const WeightSplit* split_of(const Op& op) const {
    if (!is_linear(op.kind)) return nullptr;
    const Operand* w = find_operand(op, "w");
    const BufferId weight =
        w != nullptr ? w->buffer
                     : from_.trained(from_.gradient_of, find_operand(op, "dw")->buffer)->weight;
    const auto found = splits_.find(weight);
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

  /// Room for those factors of a product of parts that it rounds itself.
  BufferId factors_of(const Op& op, BufferId of_source) {
    std::int64_t elements = 0;
    for (const Operand& operand : op.operands) {
      const bool is_factor = operand.role == "x" || operand.role == "w" || operand.role == "dy";
      const bool has_own = operand.role == "dy" && find_operand(op, "bf16_dy") != nullptr;
      if (!is_factor || has_own || source_[operand.buffer].dtype == DType::bf16) continue;
      elements += element_count(p_[row_of(operand.buffer)]);
    }
    return p_.resized(of_source, {elements});
  }

  // ---- ops

  /// Random weights are made whole, and this rank keeps its part.
  void init(OpId id) {
    const BufferId made = source_[id].operands[0].buffer;
    const auto split = splits_.find(made);
    if (split == splits_.end() || source_[id].kind == OpKind::fill) {
      return p_.run(id, {row_of(made)}, Pass::Section::init);
    }
    const BufferId whole = p_.like(made, ".init");
    p_.run(id, {whole}, Pass::Section::init);
    if (split->second.by_outputs) return keep_rows(id, made, whole, split->second.segments);
    const std::int64_t count = source_[made].shape.back() / p_.ranks();
    p_.add(OpKind::slice_columns, source_[made].name + ".keep", {{"x", whole}, {"y", row_of(made)}},
           id, Pass::Section::init, {integer("first", count * p_.rank())});
  }

  void keep_rows(OpId id, BufferId made, BufferId whole,
                 const std::vector<std::int64_t>& segments) {
    std::int64_t from = 0, to = 0;
    const auto groups = static_cast<std::size_t>(linear_groups(source_[made]));
    for (std::size_t i = 0; i < groups * segments.size(); ++i) {
      const std::int64_t segment = segments[i % segments.size()];
      const std::int64_t rows = segment / p_.ranks();
      const std::string suffix = fmt::format(".rows{}", i);
      const BufferId src = p_.rows(whole, from + rows * p_.rank(), rows, suffix);
      const BufferId dst = p_.rows(row_of(made), to, rows, suffix);
      p_.add(OpKind::copy, source_[made].name + suffix + ".keep", {{"src", src}, {"dst", dst}}, id,
             Pass::Section::init);
      from += segment;
      to += rows;
    }
  }

  void step(OpId id, Pass::Section section) {
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
    if (split == nullptr) return;
    if (op.kind == OpKind::linear_forward && !split->by_outputs) sum_outputs(id, section);
    if (op.kind == OpKind::linear_backward_data && split->by_outputs) {
      all_reduce(row_of(find_operand(op, "dx")->buffer), id, section);
    }
  }

  void all_reduce(BufferId sum, OpId place, Pass::Section section) {
    p_.meet(OpKind::all_reduce, p_[sum].name + ".all_reduce", {{"x", sum}}, place, section);
    p_.last().layer = source_[place].layer;  // whose pipeline stage has both
  }

  /// The bias, of which there is one, is added to the sum of the ranks' products.
  void sum_outputs(OpId id, Pass::Section section) {
    const BufferId y = row_of(find_operand(source_[id], "y")->buffer);
    const Operand* bias = find_operand(source_[id], "b");
    std::erase_if(p_.last().operands, [](const Operand& o) { return o.role == "b"; });
    all_reduce(y, id, section);
    if (bias == nullptr) return;
    p_.add(OpKind::add_bias, source_[id].name + ".bias", {{"y", y}, {"b", row_of(bias->buffer)}},
           id, section);
  }

  /// Norms of parts are summed by themselves: only they are added over the ranks.
  void norm(OpId id) {
    const Op& op = source_[id];
    const BufferId sum = op.operands[1].buffer;
    const bool of_part = dimension_[op.operands[0].buffer.index()] >= 0;
    if (of_part && !norm_of_parts_.valid()) norm_of_parts_ = p_.like(sum, ".of_parts");
    p_.run(id, {row_of(op.operands[0].buffer), of_part ? norm_of_parts_ : row_of(sum)},
           Pass::Section::body, of_part ? 1.0 / p_.ranks() : 1);
  }

  void clip(OpId id) {
    const Op& op = source_[id];
    const BufferId sum = op.operands[0].buffer;
    const BufferId total = p_.like(sum, ".total");
    all_reduce(norm_of_parts_, id, Pass::Section::body);
    p_.add(OpKind::add, source_[sum].name + ".total",
           {{"a", row_of(sum)}, {"b", norm_of_parts_}, {"y", total}}, id, Pass::Section::body);
    p_.run(id, {total, row_of(op.operands[1].buffer)}, Pass::Section::body);
  }

  const Trace& source_;
  const ShardSource& from_;
  RankProgram& p_;
  std::vector<int> dimension_;                                 // by buffer; -1 = whole
  std::vector<BufferId> parts_;                                // by buffer: its row here
  std::map<std::size_t, std::vector<std::int64_t>> segments_;  // by buffer that is split
  std::map<BufferId, WeightSplit> splits_;                     // by weight or bias
  BufferId norm_of_parts_;
};

}  // namespace

Trace shard_tensor(const Trace& source, const ShardSource& from, std::int32_t rank,
                   std::int32_t ranks) {
  RankProgram program(source, {.name = "tensor_parallel", .index = rank, .count = ranks});
  TensorWriter(source, from, program).write();
  return program.finish(fmt::format(", tensor parallel on {} ranks", ranks));
}

}  // namespace tidemark
