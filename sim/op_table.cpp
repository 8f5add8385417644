#include "sim/op_table.h"

#include <limits>

#include "sim/op_shapes.h"

namespace tidemark {
namespace {

using enum Access;

// ---- flops. A multiply-add counts as two.

/// Stays at the largest number: sizes may come from a hostile file.
std::int64_t product(std::initializer_list<std::int64_t> factors) {
  std::int64_t out = 1;
  for (std::int64_t factor : factors) {
    if (__builtin_mul_overflow(out, factor, &out)) return std::numeric_limits<std::int64_t>::max();
  }
  return out;
}

std::int64_t no_flops(const Trace&, const Op&) {
  return 0;
}

/// `per` operations per element of the first written operand.
template <int per>
std::int64_t per_output(const Trace& trace, const Op& op) {
  for (const Operand& operand : op.operands) {
    if (operand.writes >= 0) return product({per, element_count(trace[operand.buffer])});
  }
  return 0;
}
std::int64_t linear_forward_flops(const Trace& trace, const Op& op) {
  return product(
      {2, row_count(buffer_of(trace, op, "x")), element_count(buffer_of(trace, op, "w"))});
}
std::int64_t linear_backward_data_flops(const Trace& trace, const Op& op) {
  return product(
      {2, row_count(buffer_of(trace, op, "dy")), element_count(buffer_of(trace, op, "w"))});
}
std::int64_t linear_backward_weight_flops(const Trace& trace, const Op& op) {
  return product(
      {2, row_count(buffer_of(trace, op, "dy")), element_count(buffer_of(trace, op, "dw"))});
}
/// Two products of T x T x (C / H) per head, and the softmax: 4 B T^2 C + 5 B H T^2.
std::int64_t attention_forward_flops(const Trace& trace, const Op& op) {
  const std::int64_t p = element_count(buffer_of(trace, op, "probabilities"));
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const std::int64_t channels_per_head = column_count(qkv) / 3 / integer_at(op, "heads", 0, 1);
  return product({p, 4 * channels_per_head + 5});
}
std::int64_t attention_backward_flops(const Trace& trace, const Op& op) {
  return product({2, attention_forward_flops(trace, op)});
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
      {OpKind::report_loss, {{"loss"}}, {}, false, {}, {}, no_flops, report_loss_shape},
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
       "x",
       "y",
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
  if (std::string e = content_error(trace, op); !e.empty()) return e;
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
