#include "sim/shard_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "sim/op_table.h"
#include "sim/rank_program.h"
#include "sim/token_share.h"
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

/// Columns of keys and values, taken from and put to those of a token.
bool moves_columns(OpKind kind) {
  return kind == OpKind::slice_columns || kind == OpKind::insert_columns;
}

/// What stands between two linear layers of a decoder's block, or gathers keys and values there.
bool works_on_parts(const Op& op) {
  return works_in_block(op.kind) || moves_columns(op.kind);
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
  /// Where what was gathered is there: section, micro-batch, phase and layer.
  using Place = std::tuple<Pass::Section, std::int32_t, Phase, LayerId>;

 public:
  TensorWriter(const Trace& source, const ShardSource& from, RankProgram& program)
      : source_(source),
        from_(from),
        p_(program),
        dimension_(source.buffers.size(), -1),
        has_tokens_(source.buffers.size(), false),
        sums_of_share_(from.weights.size(), false),
        parts_(source.buffers.size()) {}

  /// The rank has its share of the tokens wherever it does not have parts of heads or units.
  void share_tokens() { share_ = share_of_rows(token_grid_of(source_), p_.rank(), p_.ranks()); }

  void write() {
    find_splits();
    if (share_) find_tokens();
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
        if (works_on_parts(source_[id])) split_operands(source_[id]);
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
    if (moves_columns(op.kind)) return;
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

  /// What has a row for each token of the share, and which gradients are sums over it.
  void find_tokens() {
    for (const auto* section : {&from_.body, &from_.eval}) {
      for (const OpId id : *section) {
        const Op& op = source_[id];
        const bool elsewhere = op.phase == Phase::optimizer || op.kind == OpKind::report_loss ||
                               is_meeting(op) || works_on_parts(op) || split_of(op) != nullptr;
        if (elsewhere) continue;
        if (!works_by_token(op.kind)) {
          refuse("--layout sp, op '" + op.name + "'", "an op that works on each token by itself",
                 std::string(to_string(op.kind)));
        }
        for (const Operand& operand : op.operands) {
          if (has_row_per_token(op, operand)) has_tokens_[operand.buffer.index()] = true;
          const std::int32_t row = from_.gradient_of[operand.buffer.index()];
          if (row >= 0) sums_of_share_[static_cast<std::size_t>(row)] = true;
        }
      }
    }
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

  /// The row of this rank: a part, or its tokens, when the buffer is split.
  BufferId row_of(BufferId of_source) {
    const int dimension = dimension_[of_source.index()];
    const bool has_share = has_tokens_[of_source.index()];
    if (dimension < 0 && !has_share) return p_.kept(of_source);
    BufferId& row = parts_[of_source.index()];
    if (row.valid()) return row;
    row = dimension >= 0 ? p_.split(of_source, dimension)
                         : p_.resized(of_source, share_shape(source_[of_source], *share_));
    return row;
  }

  /// The rows that an op works on, one per operand. What is split needs all tokens, and makes a
  /// partial sum of all of them.
  std::vector<BufferId> rows_of(OpId id, bool is_split, Pass::Section section) {
    const Op& op = source_[id];
    std::vector<BufferId> rows;
    for (const Operand& operand : op.operands) {
      const bool factors = operand.role == "bf16_factors" && (is_split || share_);
      if (factors) {
        rows.push_back(p_.factors(op, operand.buffer, rows));
      } else if (!is_split || !has_tokens_[operand.buffer.index()]) {
        rows.push_back(row_of(operand.buffer));
      } else if (operand.writes < 0) {
        rows.push_back(gathered(operand.buffer, id, section));
      } else {
        rows.push_back(p_.exchanged(operand.buffer, source_[operand.buffer].shape, ".partial"));
      }
    }
    return rows;
  }

  /// All tokens of what this rank has its share of, put together once per layer and phase.
  BufferId gathered(BufferId of_source, OpId id, Pass::Section section) {
    const Op& op = source_[id];
    const Place place{section, op.micro_batch, op.phase, op.layer};
    const auto found = gathered_.find(of_source);
    if (found != gathered_.end() && found->second.first == place) return found->second.second;
    const BufferId whole = p_.exchanged(of_source, source_[of_source].shape, ".gathered");
    p_.meet(OpKind::all_gather, p_[whole].name, {{"x", row_of(of_source)}, {"y", whole}}, id,
            section);
    p_.last().layer = op.layer;
    gathered_[of_source] = {place, whole};
    return whole;
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
    if (op.phase == Phase::optimizer) sum_gradients(id);
    if (op.phase == Phase::optimizer && op.kind == OpKind::sum_of_squares) return norm(id);
    if (op.kind == OpKind::clip_factor) return clip(id);
    const WeightSplit* split = split_of(op);
    const bool on_parts = works_on_parts(op) || split != nullptr || is_update(op.kind) ||
                          op.kind == OpKind::scale_by || is_meeting(op);
    for (const Operand& operand : op.operands) {
      if (on_parts || dimension_[operand.buffer.index()] < 0) continue;
      refuse("op '" + op.name + "'", "an op that can work on a part",
             std::string(to_string(op.kind)));
    }
    const std::vector<BufferId> rows = rows_of(id, split != nullptr, section);
    const BufferId first = op.operands[0].buffer;
    const bool part_of_work = works_on_parts(op) || split != nullptr ||
                              dimension_[first.index()] >= 0 || has_tokens_[first.index()];
    p_.run(id, rows, section, part_of_work ? 1.0 / p_.ranks() : 1);
    if (works_on_parts(op)) {
      for (Attribute& a : p_.last().attributes) {
        const bool counts_columns = a.name == "first" && moves_columns(op.kind);
        const bool counts_heads = a.name == "heads" || a.name == "kv_heads";
        if (counts_heads || counts_columns) a.integer /= p_.ranks();
      }
    }
    if (split != nullptr) return sum_products(id, *split, rows, section);
    if (!share_) return;
    set_share(p_.last(), source_, *share_);
    if (op.kind == OpKind::softmax_cross_entropy_forward) {
      all_reduce(row_of(find_operand(op, "loss")->buffer), id, section);
    }
  }

  /// What a split layer made is a part of the sum over all ranks.
  void sum_products(OpId id, const WeightSplit& split, const std::vector<BufferId>& rows,
                    Pass::Section section) {
    const Op& op = source_[id];
    const bool forward = op.kind == OpKind::linear_forward && !split.by_outputs;
    const bool backward = op.kind == OpKind::linear_backward_data && split.by_outputs;
    if (!forward && !backward) return;
    const Operand* bias = forward ? find_operand(op, "b") : nullptr;
    if (bias != nullptr) {
      std::erase_if(p_.last().operands, [](const Operand& o) { return o.role == "b"; });
    }
    const Operand* made = find_operand(op, forward ? "y" : "dx");
    const BufferId partial = rows[static_cast<std::size_t>(made - op.operands.data())];
    const BufferId sum = row_of(made->buffer);
    if (partial == sum) {
      all_reduce(sum, id, section);
    } else {
      p_.meet(OpKind::reduce_scatter, p_[sum].name + ".reduce_scatter",
              {{"x", partial}, {"y", sum}}, id, section);
    }
    if (bias == nullptr) return;
    // One bias, added to the sum of the ranks' products.
    p_.add(OpKind::add_bias, op.name + ".bias", {{"y", sum}, {"b", row_of(bias->buffer)}}, id,
           section);
  }

  void all_reduce(BufferId sum, OpId place, Pass::Section section) {
    p_.meet(OpKind::all_reduce, p_[sum].name + ".all_reduce", {{"x", sum}}, place, section);
    p_.last().layer = source_[place].layer;  // whose pipeline stage has both
  }

  /// Gradients that saw the tokens of this rank only, before the optimizer reads them.
  void sum_gradients(OpId id) {
    for (const Operand& operand : source_[id].operands) {
      const std::int32_t row = from_.gradient_of[operand.buffer.index()];
      if (row < 0 || !sums_of_share_[static_cast<std::size_t>(row)]) continue;
      sums_of_share_[static_cast<std::size_t>(row)] = false;
      all_reduce(row_of(operand.buffer), id, Pass::Section::body);
    }
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
  std::optional<TokenShare> share_;                            // none: all tokens everywhere
  std::vector<int> dimension_;                                 // by buffer; -1 = whole
  std::vector<bool> has_tokens_;                               // by buffer: of the share
  std::vector<bool> sums_of_share_;                            // by weight: its gradient
  std::vector<BufferId> parts_;                                // by buffer: its row here
  std::map<std::size_t, std::vector<std::int64_t>> segments_;  // by buffer that is split
  std::map<BufferId, WeightSplit> splits_;                     // by weight or bias
  std::map<BufferId, std::pair<Place, BufferId>> gathered_;    // by what has a share
  BufferId norm_of_parts_;
};

}  // namespace

Trace shard_tensor(const Trace& source, const ShardSource& from, std::int32_t rank,
                   std::int32_t ranks, bool sequence_parallel) {
  RankProgram program(source, {.name = "tensor_parallel", .index = rank, .count = ranks});
  TensorWriter writer(source, from, program);
  if (sequence_parallel) writer.share_tokens();
  writer.write();
  return program.finish(fmt::format(", tensor {}parallel on {} ranks",
                                    sequence_parallel ? "and sequence " : "", ranks));
}

}  // namespace tidemark
