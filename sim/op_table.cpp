#include "sim/op_table.h"

#include <array>
#include <map>

namespace tidemark {
namespace {

using enum Access;
using Trouble = std::string;

const Buffer& buffer_of(const Trace& trace, const Op& op, std::string_view role) {
  return trace[find_operand(op, role)->buffer];
}

bool has(const Op& op, std::string_view role) {
  return find_operand(op, role) != nullptr;
}

std::string shape_text(const Buffer& buffer) {
  std::string out = "[";
  for (std::size_t i = 0; i < buffer.shape.size(); ++i) {
    out += (i > 0 ? ", " : "") + std::to_string(buffer.shape[i]);
  }
  return out + "] " + std::string(to_string(buffer.dtype));
}

/// "x is [2, 3] f32, expected 6 columns"
Trouble trouble(const Trace& trace, const Op& op, std::string_view role, const std::string& wish) {
  return std::string(role) + " is " + shape_text(buffer_of(trace, op, role)) + ", expected " + wish;
}

Trouble want_elements(const Trace& trace, const Op& op, std::string_view role, std::int64_t count) {
  if (!has(op, role) || element_count(buffer_of(trace, op, role)) == count) return {};
  return trouble(trace, op, role, std::to_string(count) + " elements");
}

Trouble want_matrix(const Trace& trace, const Op& op, std::string_view role, std::int64_t rows,
                    std::int64_t columns) {
  const Buffer& b = buffer_of(trace, op, role);
  if (row_count(b) == rows && column_count(b) == columns) return {};
  return trouble(trace, op, role, std::to_string(rows) + " rows of " + std::to_string(columns));
}

/// First non-empty of several.
Trouble first_of(std::initializer_list<Trouble> all) {
  for (const Trouble& one : all) {
    if (!one.empty()) return one;
  }
  return {};
}

// ---- shapes

Trouble any_shape(const Trace&, const Op&) {
  return {};
}

template <std::size_t N>
Trouble same_elements(const Trace& trace, const Op& op, const std::array<const char*, N>& roles) {
  const std::int64_t count = element_count(buffer_of(trace, op, roles[0]));
  for (const char* role : roles) {
    if (Trouble t = want_elements(trace, op, role, count); !t.empty()) return t;
  }
  return {};
}

Trouble unary_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"x", "y"});
}
Trouble output_gradient_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"dy", "y", "dx"});
}
Trouble input_gradient_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"dy", "x", "dx"});
}
Trouble add_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"a", "b", "y"});
}
Trouble sgd_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"w", "dw"});
}
Trouble adamw_shape(const Trace& trace, const Op& op) {
  return same_elements(trace, op, std::array{"w", "dw", "m", "v"});
}

Trouble linear_forward_shape(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  const Buffer& w = buffer_of(trace, op, "w");
  return first_of({want_matrix(trace, op, "w", row_count(w), column_count(x)),
                   want_matrix(trace, op, "y", row_count(x), row_count(w)),
                   want_elements(trace, op, "b", row_count(w))});
}
Trouble linear_backward_data_shape(const Trace& trace, const Op& op) {
  const Buffer& dy = buffer_of(trace, op, "dy");
  const Buffer& w = buffer_of(trace, op, "w");
  return first_of({want_matrix(trace, op, "w", column_count(dy), column_count(w)),
                   want_matrix(trace, op, "dx", row_count(dy), column_count(w))});
}
Trouble linear_backward_weight_shape(const Trace& trace, const Op& op) {
  const Buffer& dy = buffer_of(trace, op, "dy");
  const Buffer& x = buffer_of(trace, op, "x");
  return first_of({want_matrix(trace, op, "x", row_count(dy), column_count(x)),
                   want_matrix(trace, op, "dw", column_count(dy), column_count(x)),
                   want_elements(trace, op, "db", column_count(dy))});
}
Trouble cross_entropy_shape(const Trace& trace, const Op& op) {
  const std::int64_t rows = row_count(buffer_of(trace, op, "logits"));
  return first_of({want_elements(trace, op, "target", rows),
                   want_elements(trace, op, "log_sum_exp", rows),
                   want_elements(trace, op, "loss", 1)});
}
Trouble embedding_shape(const Trace& trace, const Op& op, std::string_view grid,
                        std::string_view table, std::string_view positions) {
  const Buffer& tokens = buffer_of(trace, op, "tokens");
  const std::int64_t channels = column_count(buffer_of(trace, op, table));
  if (column_count(tokens) > row_count(buffer_of(trace, op, positions))) {
    return trouble(trace, op, positions,
                   "at least " + std::to_string(column_count(tokens)) + " rows");
  }
  return first_of(
      {want_matrix(trace, op, grid, element_count(tokens), channels),
       want_matrix(trace, op, positions, row_count(buffer_of(trace, op, positions)), channels)});
}
Trouble embedding_forward_shape(const Trace& trace, const Op& op) {
  return embedding_shape(trace, op, "y", "wte", "wpe");
}
Trouble embedding_backward_shape(const Trace& trace, const Op& op) {
  return embedding_shape(trace, op, "dy", "dwte", "dwpe");
}
Trouble layer_norm_shape(const Trace& trace, const Op& op) {
  const Buffer& x = buffer_of(trace, op, "x");
  for (const char* role : {"y", "dy", "dx", "residual"}) {
    if (Trouble t = want_elements(trace, op, role, element_count(x)); !t.empty()) return t;
  }
  for (const char* role : {"w", "b", "dw", "db"}) {
    if (Trouble t = want_elements(trace, op, role, column_count(x)); !t.empty()) return t;
  }
  return first_of({want_elements(trace, op, "mean", row_count(x)),
                   want_elements(trace, op, "inverse_deviation", row_count(x))});
}
/// qkv [B, T, 3C], probabilities [B, H, T, T]; the other side y or dy [B, T, C].
Trouble attention_shape(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const Buffer& p = buffer_of(trace, op, "probabilities");
  const std::int64_t heads = integer_at(op, "heads", 0);
  if (qkv.shape.size() != 3 || qkv.shape[2] % 3 != 0) {
    return trouble(trace, op, "qkv", "[B, T, 3C]");
  }
  const std::int64_t channels = qkv.shape[2] / 3;
  if (heads <= 0 || channels % heads != 0) return "attribute heads must divide C";
  const std::int64_t tokens = qkv.shape[1];
  if (p.shape != std::vector<std::int64_t>{qkv.shape[0], heads, tokens, tokens}) {
    return trouble(trace, op, "probabilities", "[B, H, T, T]");
  }
  return first_of({want_elements(trace, op, "y", qkv.shape[0] * tokens * channels),
                   want_elements(trace, op, "dy", qkv.shape[0] * tokens * channels),
                   want_elements(trace, op, "dqkv", element_count(qkv)),
                   want_elements(trace, op, "workspace", tokens * tokens)});
}
Trouble copy_shape(const Trace& trace, const Op& op) {
  const Buffer& from = buffer_of(trace, op, "src");
  const Buffer& to = buffer_of(trace, op, "dst");
  if (from.size_bytes == to.size_bytes) return {};
  return "src has " + std::to_string(from.size_bytes) + " bytes, dst " +
         std::to_string(to.size_bytes);
}
/// The larger side of a collective holds `group size` parts of the smaller.
Trouble gather_shape(const Trace& trace, const Op& op, std::string_view part,
                     std::string_view whole) {
  const auto group = static_cast<std::size_t>(integer_at(op, "group", 0, -1));
  if (group >= trace.groups.size()) return "attribute group is not a row of groups";
  const auto ranks = static_cast<std::int64_t>(trace.groups[group].ranks.size());
  return want_elements(trace, op, whole, ranks * element_count(buffer_of(trace, op, part)));
}
Trouble all_gather_shape(const Trace& trace, const Op& op) {
  return gather_shape(trace, op, "x", "y");
}
Trouble reduce_scatter_shape(const Trace& trace, const Op& op) {
  return gather_shape(trace, op, "y", "x");
}
Trouble all_reduce_shape(const Trace& trace, const Op& op) {
  const auto group = static_cast<std::size_t>(integer_at(op, "group", 0, -1));
  return group < trace.groups.size() ? Trouble{} : "attribute group is not a row of groups";
}

// ---- flops. A multiply-add counts as two.

std::int64_t no_flops(const Trace&, const Op&) {
  return 0;
}

/// `per` operations per element of the first written operand.
template <int per>
std::int64_t per_output(const Trace& trace, const Op& op) {
  for (const Operand& operand : op.operands) {
    if (operand.writes >= 0) return per * element_count(trace[operand.buffer]);
  }
  return 0;
}
std::int64_t linear_forward_flops(const Trace& trace, const Op& op) {
  return 2 * row_count(buffer_of(trace, op, "x")) * element_count(buffer_of(trace, op, "w"));
}
std::int64_t linear_backward_data_flops(const Trace& trace, const Op& op) {
  return 2 * row_count(buffer_of(trace, op, "dy")) * element_count(buffer_of(trace, op, "w"));
}
std::int64_t linear_backward_weight_flops(const Trace& trace, const Op& op) {
  return 2 * row_count(buffer_of(trace, op, "dy")) * element_count(buffer_of(trace, op, "dw"));
}
/// Two products of T x T x (C / H) per head, and the softmax: 4 B T^2 C + 5 B H T^2.
std::int64_t attention_forward_flops(const Trace& trace, const Op& op) {
  const std::int64_t p = element_count(buffer_of(trace, op, "probabilities"));
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const std::int64_t channels_per_head = column_count(qkv) / 3 / integer_at(op, "heads", 0, 1);
  return 4 * p * channels_per_head + 5 * p;
}
std::int64_t attention_backward_flops(const Trace& trace, const Op& op) {
  return 2 * attention_forward_flops(trace, op);
}

std::vector<OpRule> make_rules() {
  using A = AttributeType;
  const std::vector<AttributeRule> collective{{"group"}, {"sequence"}, {"order", A::text}};
  std::vector<OpRule> rules{
      {OpKind::load_batch,
       {{"x", write}, {"target", write}},
       {{"cursor"}},
       false,
       {},
       {},
       no_flops,
       any_shape},
      {OpKind::fill, {{"y", write}}, {{"value", A::real}}, true, {}, {}, no_flops, any_shape},
      {OpKind::random_normal,
       {{"y", write}},
       {{"deviation", A::real}, {"seed"}, {"key"}},
       true,
       {},
       {},
       per_output<20>,
       any_shape},
      {OpKind::linear_forward,
       {{"x"}, {"w"}, {"b", read, true}, {"y", write}},
       {},
       true,
       {},
       {},
       linear_forward_flops,
       linear_forward_shape},
      {OpKind::linear_backward_data,
       {{"dy"}, {"w"}, {"dx", write}},
       {},
       true,
       {},
       {},
       linear_backward_data_flops,
       linear_backward_data_shape},
      {OpKind::linear_backward_weight,
       {{"dy"}, {"x"}, {"dw", write_or_update}, {"db", write_or_update, true}},
       {},
       true,
       {},
       {},
       linear_backward_weight_flops,
       linear_backward_weight_shape},
      {OpKind::sigmoid_forward,
       {{"x"}, {"y", write}},
       {},
       true,
       {},
       {},
       per_output<4>,
       unary_shape},
      {OpKind::sigmoid_backward,
       {{"dy"}, {"y"}, {"dx", write}},
       {},
       true,
       {},
       {},
       per_output<3>,
       output_gradient_shape},
      {OpKind::tanh_forward, {{"x"}, {"y", write}}, {}, true, {}, {}, per_output<4>, unary_shape},
      {OpKind::tanh_backward,
       {{"dy"}, {"y"}, {"dx", write}},
       {},
       true,
       {},
       {},
       per_output<3>,
       output_gradient_shape},
      {OpKind::relu_forward, {{"x"}, {"y", write}}, {}, true, {}, {}, per_output<1>, unary_shape},
      {OpKind::relu_backward,
       {{"dy"}, {"y"}, {"dx", write}},
       {},
       true,
       {},
       {},
       per_output<1>,
       output_gradient_shape},
      {OpKind::gelu_forward, {{"x"}, {"y", write}}, {}, true, {}, {}, per_output<12>, unary_shape},
      {OpKind::gelu_backward,
       {{"dy"}, {"x"}, {"dx", write}},
       {},
       true,
       {},
       {},
       per_output<20>,
       input_gradient_shape},
      {OpKind::softmax_cross_entropy_forward,
       {{"logits"}, {"target"}, {"loss", write}, {"log_sum_exp", write}},
       {},
       true,
       {},
       {},
       [](const Trace& t, const Op& op) { return 4 * element_count(buffer_of(t, op, "logits")); },
       cross_entropy_shape},
      {OpKind::softmax_cross_entropy_backward,
       {{"logits", update}, {"target"}, {"log_sum_exp"}},
       {{"scale", A::real}},
       false,
       {},
       {},
       per_output<4>,
       cross_entropy_shape},
      {OpKind::embedding_forward,
       {{"tokens"}, {"wte"}, {"wpe"}, {"y", write}},
       {},
       true,
       {},
       {},
       per_output<1>,
       embedding_forward_shape},
      {OpKind::embedding_backward,
       {{"dy"}, {"tokens"}, {"dwte", write_or_update}, {"dwpe", write_or_update}},
       {},
       true,
       {},
       {},
       [](const Trace& t, const Op& op) { return 2 * element_count(buffer_of(t, op, "dy")); },
       embedding_backward_shape},
      {OpKind::layer_norm_forward,
       {{"x"}, {"w"}, {"b"}, {"y", write}, {"mean", write}, {"inverse_deviation", write}},
       {{"epsilon", A::real}},
       true,
       {},
       {},
       per_output<8>,
       layer_norm_shape},
      {OpKind::layer_norm_backward,
       {{"dy"},
        {"x"},
        {"w"},
        {"mean"},
        {"inverse_deviation"},
        {"residual", read, true},
        {"dx", write},
        {"dw", write_or_update},
        {"db", write_or_update}},
       {},
       true,
       {},
       {},
       per_output<14>,
       layer_norm_shape},
      {OpKind::attention_forward,
       {{"qkv"}, {"probabilities", write}, {"y", write}},
       {{"heads"}},
       true,
       {},
       {},
       attention_forward_flops,
       attention_shape},
      {OpKind::attention_backward,
       {{"dy"}, {"qkv"}, {"probabilities"}, {"dqkv", write}, {"workspace", write}},
       {{"heads"}},
       true,
       {},
       {},
       attention_backward_flops,
       attention_shape},
      {OpKind::add, {{"a"}, {"b"}, {"y", write}}, {}, true, {}, {}, per_output<1>, add_shape},
      {OpKind::sgd_update,
       {{"w", update}, {"dw"}},
       {{"learning_rate", A::real}, {"weight_decay", A::real}},
       false,
       {},
       {},
       per_output<4>,
       sgd_shape},
      {OpKind::adamw_update,
       {{"w", update}, {"dw"}, {"m", update}, {"v", update}},
       {{"learning_rate", A::real},
        {"beta1", A::real},
        {"beta2", A::real},
        {"epsilon", A::real},
        {"weight_decay", A::real},
        {"t"}},
       false,
       {},
       {},
       per_output<16>,
       adamw_shape},
      {OpKind::report_loss, {{"loss"}}, {}, false, {}, {}, no_flops, any_shape},
      {OpKind::copy, {{"src"}, {"dst", write}}, {}, false, {}, {}, no_flops, copy_shape},
      {OpKind::record_event, {}, {{"event"}}, false, {}, {}, no_flops, any_shape},
      {OpKind::wait_event, {}, {{"event"}}, false, {}, {}, no_flops, any_shape},
      {OpKind::all_reduce,
       {{"x", update}},
       collective,
       false,
       {},
       {},
       per_output<1>,
       all_reduce_shape},
      {OpKind::reduce_scatter,
       {{"x"}, {"y", write}},
       collective,
       false,
       "y",
       "x",
       [](const Trace& t, const Op& op) { return element_count(buffer_of(t, op, "x")); },
       reduce_scatter_shape},
      {OpKind::all_gather,
       {{"x"}, {"y", write}},
       collective,
       false,
       "x",
       "y",
       no_flops,
       all_gather_shape},
      {OpKind::foreign, {}, {}, false, {}, {}, no_flops, any_shape},
  };
  return rules;
}

std::string place_of(const OperandRule& rule) {
  return "operand '" + std::string(rule.role) + "'";
}

/// Empty when reads and writes of an operand fit its access.
std::string access_error(const OperandRule& rule, const Operand& operand) {
  const bool reads = operand.reads >= 0;
  const bool writes = operand.writes >= 0;
  const bool fits =
      (rule.access == read && reads && !writes) || (rule.access == write && !reads && writes) ||
      (rule.access == update && reads && writes) || (rule.access == write_or_update && writes);
  return fits ? "" : place_of(rule) + " has the wrong access for its kind";
}

std::string operands_error(const OpRule& rule, const Op& op) {
  std::size_t next = 0;
  for (const OperandRule& wanted : rule.operands) {
    const bool here = next < op.operands.size() && op.operands[next].role == wanted.role;
    if (!here && wanted.optional) continue;
    if (!here) return "expected " + place_of(wanted) + " at position " + std::to_string(next);
    if (std::string e = access_error(wanted, op.operands[next]); !e.empty()) return e;
    ++next;
  }
  if (next < op.operands.size()) return "unexpected operand '" + op.operands[next].role + "'";
  return {};
}

}  // namespace

const OpRule& op_rule(OpKind kind) {
  static const std::vector<OpRule> rules = make_rules();
  return rules[static_cast<std::size_t>(kind)];
}

OpWork op_work(const Trace& trace, const Op& op) {
  OpWork work{.flops = op_rule(op.kind).flops(trace, op)};
  for (const Operand& operand : op.operands) {
    const std::int64_t bytes = trace[operand.buffer].size_bytes;
    if (operand.reads >= 0) work.bytes_read += bytes;
    if (operand.writes >= 0) work.bytes_written += bytes;
  }
  return work;
}

std::string op_error(const Trace& trace, const Op& op) {
  if (op.kind == OpKind::foreign) return {};
  const OpRule& rule = op_rule(op.kind);
  if (std::string e = operands_error(rule, op); !e.empty()) return e;
  for (const AttributeRule& attribute : rule.attributes) {
    if (find_attribute(op, attribute.name) == nullptr) {
      return "expected attribute '" + std::string(attribute.name) + "'";
    }
  }
  return rule.shape_error(trace, op);
}

bool is_structural(OpKind kind) {
  return kind == OpKind::copy || kind == OpKind::record_event || kind == OpKind::wait_event;
}

std::int64_t element_count(const Buffer& buffer) {
  std::int64_t count = 1;
  for (std::int64_t extent : buffer.shape) count *= extent;
  return count;
}

std::int64_t column_count(const Buffer& buffer) {
  return buffer.shape.empty() ? 1 : buffer.shape.back();
}

std::int64_t row_count(const Buffer& buffer) {
  const std::int64_t columns = column_count(buffer);
  return columns == 0 ? 0 : element_count(buffer) / columns;
}

}  // namespace tidemark
