#include "sim/op_table.h"

#include <algorithm>
#include <limits>

#include "sim/op_shapes.h"

namespace tidemark {
namespace {

using enum Access;

const Buffer& buffer_of(const Trace& trace, const Op& op, std::string_view role) {
  return trace[find_operand(op, role)->buffer];
}

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
/// Each group of rows with its part of the weight.
std::int64_t linear_flops(const Buffer& rows, const Buffer& weight) {
  return product({2, row_count(rows), element_count(weight) / linear_groups(weight)});
}
std::int64_t linear_forward_flops(const Trace& trace, const Op& op) {
  return linear_flops(buffer_of(trace, op, "x"), buffer_of(trace, op, "w"));
}
std::int64_t linear_backward_data_flops(const Trace& trace, const Op& op) {
  return linear_flops(buffer_of(trace, op, "dy"), buffer_of(trace, op, "w"));
}
std::int64_t linear_backward_weight_flops(const Trace& trace, const Op& op) {
  return linear_flops(buffer_of(trace, op, "dy"), buffer_of(trace, op, "dw"));
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
/// Of one convolution: 2 x filters x positions x (channels x kernel) per sample.
std::int64_t conv2d_flops(const Trace& trace, const Op& op, std::string_view image,
                          std::string_view filter) {
  const Buffer& y = buffer_of(trace, op, image);  // [B, O, H, W]
  return product(
      {2, y.shape[0], y.shape[2], y.shape[3], element_count(buffer_of(trace, op, filter))});
}
std::int64_t conv2d_forward_flops(const Trace& trace, const Op& op) {
  return conv2d_flops(trace, op, "y", "w");
}
std::int64_t conv2d_backward_data_flops(const Trace& trace, const Op& op) {
  return conv2d_flops(trace, op, "dy", "w");
}
std::int64_t conv2d_backward_weight_flops(const Trace& trace, const Op& op) {
  return conv2d_flops(trace, op, "dy", "dw");
}
/// `per` operations per element of x.
template <int per>
std::int64_t per_input(const Trace& trace, const Op& op) {
  return product({per, element_count(buffer_of(trace, op, "x"))});
}
/// As the composite form; backward makes the scores once more.
std::int64_t flash_forward_flops(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const std::int64_t heads = integer_at(op, "heads", 0, 1);
  const Operand* kv = find_operand(op, "kv");
  const std::int64_t keys = kv == nullptr
                                ? qkv.shape[1]
                                : product({trace[kv->buffer].shape[0], trace[kv->buffer].shape[2]});
  return product(
      {qkv.shape[0], heads, qkv.shape[1], keys, 4 * (column_count(qkv) / 3 / heads) + 5});
}
std::int64_t flash_backward_flops(const Trace& trace, const Op& op) {
  return product({5, flash_forward_flops(trace, op)}) / 2;
}
/// Keys that one row of queries sees in the mean: at the first position that `op` has and at the
/// last one that the cache [B,S,C] has room for.
std::int64_t mean_keys_seen(const Trace& trace, const Op& op) {
  const std::int64_t rows = buffer_of(trace, op, "qkv").shape[1];
  const std::int64_t first = integer_at(op, "position", 0);
  const std::int64_t last =
      integer_at(op, "position", 1) == first ? first : buffer_of(trace, op, "keys").shape[1] - rows;
  return (first + last + rows + 1) / 2;
}
std::int64_t cached_attention_flops(const Trace& trace, const Op& op) {
  const Buffer& qkv = buffer_of(trace, op, "qkv");
  const std::int64_t heads = integer_at(op, "heads", 0, 1);
  return product({qkv.shape[0], heads, qkv.shape[1], mean_keys_seen(trace, op),
                  4 * (column_count(qkv) / 3 / heads) + 5});
}
std::int64_t most_likely_flops(const Trace& trace, const Op& op) {
  return element_count(buffer_of(trace, op, "logits"));
}
std::int64_t cross_entropy_forward_flops(const Trace& trace, const Op& op) {
  return 4 * element_count(buffer_of(trace, op, "logits"));
}
std::int64_t embedding_backward_flops(const Trace& trace, const Op& op) {
  return 2 * element_count(buffer_of(trace, op, "dy"));
}
std::int64_t token_embedding_backward_flops(const Trace& trace, const Op& op) {
  return element_count(buffer_of(trace, op, "dy"));
}
/// Every choice looks at all experts.
std::int64_t route_flops(const Trace& trace, const Op& op) {
  return product(
      {element_count(buffer_of(trace, op, "logits")), column_count(buffer_of(trace, op, "slots"))});
}
/// `per` operations per element of a token's row, for each of its choices.
template <int per>
std::int64_t per_choice(const Trace& trace, const Op& op, std::string_view row) {
  return product(
      {per, element_count(buffer_of(trace, op, row)), column_count(buffer_of(trace, op, "slots"))});
}
std::int64_t dispatch_backward_flops(const Trace& trace, const Op& op) {
  return per_choice<1>(trace, op, "dx");
}
std::int64_t combine_forward_flops(const Trace& trace, const Op& op) {
  return per_choice<2>(trace, op, "y");
}
std::int64_t combine_backward_flops(const Trace& trace, const Op& op) {
  return per_choice<3>(trace, op, "dy");
}
/// A softmax per row and its slope.
std::int64_t balance_flops(const Trace& trace, const Op& op) {
  return product({8, element_count(buffer_of(trace, op, "logits"))});
}
std::int64_t reduce_scatter_flops(const Trace& trace, const Op& op) {
  return element_count(buffer_of(trace, op, "x"));
}

// clang-format off
std::vector<OpRule> make_rules() {
  using A = AttributeType;
  using K = OpKind;
  namespace s = op_shapes;
  const std::vector<AttributeRule> none;
  const std::vector<AttributeRule> collective{{"group"}, {"sequence"}, {"order", A::text}};
  const std::vector<AttributeRule> event{{"event"}};
  const std::vector<AttributeRule> random{
      {"probability", A::real}, {"seed"}, {"key"}, {"step"}, {"first", A::integer, true},
      {"run", A::integer, true}, {"stride", A::integer, true}, {"offset", A::integer, true}};
  const std::vector<AttributeRule> attention{
      {"heads"}, {"probability", A::real, true}, {"seed", A::integer, true},
      {"key", A::integer, true}, {"step", A::integer, true}, {"first", A::integer, true},
      {"run", A::integer, true}, {"stride", A::integer, true}, {"offset", A::integer, true},
      {"position", A::integer, true}};
  std::vector<AttributeRule> flash = attention;
  flash.push_back({"bf16", A::integer, true});
  const std::vector<AttributeRule> rotary{
      {"heads"}, {"kv_heads"}, {"base", A::real}, {"position", A::integer, true}};
  const std::vector<AttributeRule> window{{"stride"}, {"padding"}};
  constexpr bool pure = true;  // may be executed again
  constexpr bool once = false;
  constexpr bool factor = true;  // may be bf16 beside f32
  return {
      {K::load_batch, {{"x", write}, {"target", write, true}},
       {{"cursor"}, {"part", A::text, true}, {"width", A::integer, true},
        {"position", A::integer, true}},
       once, no_flops, s::load_batch},
      {K::fill, {{"y", write}}, {{"value", A::real}}, pure, no_flops, s::any},
      {K::random_normal, {{"y", write}},
       {{"deviation", A::real}, {"seed"}, {"key"}}, pure, per_output<20>, s::any},
      {K::linear_forward,
       {{"x", read, false, factor}, {"w"}, {"b", read, true}, {"y", write},
        {"bf16_factors", write, true, factor}},
       none, pure, linear_forward_flops, s::linear_forward},
      {K::linear_backward_data,
       {{"dy", read, false, factor}, {"w"}, {"dx", write}, {"bf16_factors", write, true, factor}},
       none, pure, linear_backward_data_flops, s::linear_backward_data},
      {K::linear_backward_weight,
       {{"dy", read, false, factor}, {"x", read, false, factor}, {"dw", write_or_update},
        {"db", write_or_update, true}, {"bf16_dy", write, true, factor},
        {"bf16_factors", write, true, factor}},
       none, pure, linear_backward_weight_flops, s::linear_backward_weight},
      {K::sigmoid_forward, {{"x"}, {"y", write}}, none, pure, per_output<4>, s::unary},
      {K::sigmoid_backward, {{"dy"}, {"y"}, {"dx", write}},
       none, pure, per_output<3>, s::output_gradient},
      {K::tanh_forward, {{"x"}, {"y", write}}, none, pure, per_output<4>, s::unary},
      {K::tanh_backward, {{"dy"}, {"y"}, {"dx", write}},
       none, pure, per_output<3>, s::output_gradient},
      {K::relu_forward, {{"x"}, {"y", write}}, none, pure, per_output<1>, s::unary},
      {K::relu_backward, {{"dy"}, {"y"}, {"dx", write}},
       none, pure, per_output<1>, s::output_gradient},
      {K::gelu_forward, {{"x"}, {"y", write, false, factor}}, none, pure, per_output<12>,
       s::unary},
      {K::gelu_backward, {{"dy"}, {"x"}, {"dx", write, false, factor}},
       none, pure, per_output<20>, s::input_gradient},
      {K::softmax_cross_entropy_forward,
       {{"logits"}, {"target"}, {"loss", write}, {"log_sum_exp", write}},
       {{"scale", A::real, true}}, pure, cross_entropy_forward_flops, s::cross_entropy},
      {K::softmax_cross_entropy_backward, {{"logits", update}, {"target"}, {"log_sum_exp"}},
       {{"scale", A::real}}, once, per_output<4>, s::cross_entropy},
      {K::embedding_forward, {{"tokens"}, {"wte"}, {"wpe"}, {"y", write}},
       {{"position", A::integer, true}}, pure, per_output<1>, s::embedding_forward},
      {K::embedding_backward,
       {{"dy"}, {"tokens"}, {"dwte", write_or_update}, {"dwpe", write_or_update}},
       {{"position", A::integer, true}}, pure, embedding_backward_flops, s::embedding_backward},
      {K::layer_norm_forward,
       {{"x"}, {"w"}, {"b"}, {"y", write, false, factor}, {"mean", write},
        {"inverse_deviation", write}},
       {{"epsilon", A::real}}, pure, per_output<8>, s::layer_norm},
      {K::layer_norm_backward,
       {{"dy"}, {"x"}, {"w"}, {"mean"}, {"inverse_deviation"},
        {"residual", read, true}, {"dx", write},
        {"dw", write_or_update}, {"db", write_or_update}},
       none, pure, per_output<14>, s::layer_norm},
      {K::attention_forward,
       {{"qkv"}, {"kv", read, true}, {"probabilities", write}, {"y", write},
        {"workspace", write, true}},
       attention, pure, attention_forward_flops, s::attention},
      {K::attention_backward,
       {{"dy"}, {"qkv"}, {"kv", read, true}, {"probabilities"}, {"dqkv", write},
        {"dkv", write, true}, {"workspace", write}},
       attention, pure, attention_backward_flops, s::attention},
      {K::add, {{"a"}, {"b"}, {"y", write}}, none, pure, per_output<1>, s::add},
      {K::sgd_update, {{"w", update}, {"dw"}},
       {{"learning_rate", A::real}, {"weight_decay", A::real}}, once,
       per_output<4>, s::sgd},
      {K::adamw_update, {{"w", update}, {"dw"}, {"m", update}, {"v", update}},
       {{"learning_rate", A::real}, {"beta1", A::real}, {"beta2", A::real}, {"epsilon", A::real},
        {"weight_decay", A::real}, {"t"}},
       once, per_output<16>, s::adamw},
      {K::report_loss, {{"loss"}}, none, once, no_flops, s::report_loss},
      {K::copy, {{"src"}, {"dst", write}}, none, once, no_flops, s::copy},
      {K::record_event, {}, event, once, no_flops, s::any},
      {K::wait_event, {}, event, once, no_flops, s::any},
      {K::all_reduce, {{"x", update}}, collective, once, per_output<1>, s::all_reduce},
      {K::reduce_scatter, {{"x"}, {"y", write}},
       collective, once, reduce_scatter_flops, s::reduce_scatter, "x", "y"},
      {K::all_gather, {{"x"}, {"y", write}}, collective, once, no_flops, s::all_gather, "x", "y"},
      {K::foreign, {}, none, once, no_flops, s::any},
      {K::momentum_update, {{"w", update}, {"dw"}, {"velocity", update}},
       {{"learning_rate", A::real}, {"momentum", A::real}, {"weight_decay", A::real}}, once,
       per_output<6>, s::momentum},
      {K::adam_update, {{"w", update}, {"dw"}, {"m", update}, {"v", update}},
       {{"learning_rate", A::real}, {"beta1", A::real}, {"beta2", A::real}, {"epsilon", A::real},
        {"weight_decay", A::real}, {"t"}},
       once, per_output<16>, s::adamw},
      {K::sum_of_squares, {{"x"}, {"sum", write_or_update}}, none, pure, per_input<2>,
       s::sum_of_squares},
      {K::clip_factor, {{"sum"}, {"factor", write}}, {{"max_norm", A::real}}, pure, per_output<4>,
       s::clip_factor},
      {K::scale_by, {{"x", update}, {"factor"}}, none, once, per_output<1>, s::scale_by},
      {K::dropout_forward, {{"x"}, {"y", write}}, random, pure, per_output<10>, s::dropout},
      {K::dropout_backward, {{"dy"}, {"dx", write}}, random, pure, per_output<10>,
       s::dropout},
      {K::conv2d_forward, {{"x"}, {"w"}, {"b", read, true}, {"y", write}, {"workspace", write}},
       window, pure, conv2d_forward_flops, s::conv2d},
      {K::conv2d_backward_data, {{"dy"}, {"w"}, {"dx", write}, {"workspace", write}},
       window, pure, conv2d_backward_data_flops, s::conv2d},
      {K::conv2d_backward_weight,
       {{"dy"}, {"x"}, {"dw", write_or_update}, {"db", write_or_update, true},
        {"workspace", write}},
       window, pure, conv2d_backward_weight_flops, s::conv2d},
      {K::batch_norm_forward,
       {{"x"}, {"w"}, {"b"}, {"y", write}, {"mean", write}, {"variance", write}},
       {{"epsilon", A::real}}, pure, per_output<8>, s::batch_norm},
      {K::batch_norm_backward,
       {{"dy"}, {"x"}, {"w"}, {"mean"}, {"variance"}, {"dx", write},
        {"dw", write_or_update}, {"db", write_or_update}},
       {{"epsilon", A::real}}, pure, per_output<12>, s::batch_norm},
      {K::batch_norm_update,
       {{"mean"}, {"variance"}, {"running_mean", update}, {"running_variance", update}},
       {{"momentum", A::real}, {"count"}}, once, per_output<8>, s::batch_norm_update},
      {K::max_pool_forward, {{"x"}, {"y", write}}, {{"size"}}, pure, per_input<1>, s::max_pool},
      {K::max_pool_backward, {{"dy"}, {"x"}, {"dx", write}}, {{"size"}}, pure, per_input<2>,
       s::max_pool},
      {K::average_pool_forward, {{"x"}, {"y", write}}, none, pure, per_input<1>, s::average_pool},
      {K::average_pool_backward, {{"dy"}, {"dx", write}}, none, pure, per_output<1>,
       s::average_pool},
      {K::flash_attention_forward,
       {{"qkv"}, {"kv", read, true}, {"y", write}, {"log_sum_exp", write}, {"workspace", write}},
       flash, pure,
       flash_forward_flops, s::flash_attention},
      {K::flash_attention_backward,
       {{"dy"}, {"qkv"}, {"kv", read, true}, {"y"}, {"log_sum_exp"}, {"dqkv", write},
        {"dkv", write, true}, {"workspace", write}},
       flash, pure, flash_backward_flops, s::flash_attention},
      {K::cached_attention_forward,
       {{"qkv"}, {"keys", update}, {"values", update}, {"y", write}, {"workspace", write}},
       {{"heads"}, {"position"}}, once, cached_attention_flops, s::cached_attention},
      {K::last_token, {{"x"}, {"y", write}}, none, pure, no_flops, s::last_token},
      {K::most_likely, {{"logits"}, {"tokens", write}}, none, pure, most_likely_flops,
       s::most_likely},
      {K::batch_norm_inference,
       {{"x"}, {"w"}, {"b"}, {"mean"}, {"variance"}, {"y", write}}, {{"epsilon", A::real}}, pure,
       per_output<2>, s::batch_norm},
      {K::rms_norm_forward,
       {{"x"}, {"w"}, {"y", write, false, factor}, {"inverse_rms", write}},
       {{"epsilon", A::real}}, pure, per_output<5>, s::rms_norm},
      {K::rms_norm_backward,
       {{"dy"}, {"x"}, {"w"}, {"inverse_rms"}, {"residual", read, true}, {"dx", write},
        {"dw", write_or_update}},
       none, pure, per_output<9>, s::rms_norm},
      {K::rotary_forward, {{"x"}, {"y", write}}, rotary, pure, per_output<6>, s::rotary},
      {K::rotary_backward, {{"dy"}, {"dx", write}}, rotary, pure, per_output<6>, s::rotary},
      {K::swiglu_forward, {{"x"}, {"y", write, false, factor}}, none, pure, per_output<7>,
       s::swiglu},
      {K::swiglu_backward, {{"dy"}, {"x"}, {"dx", write, false, factor}},
       none, pure, per_output<7>, s::swiglu},
      {K::token_embedding_forward, {{"tokens"}, {"w"}, {"y", write}}, none, pure, no_flops,
       s::token_embedding},
      {K::token_embedding_backward, {{"dy"}, {"tokens"}, {"dw", write_or_update}}, none, pure,
       token_embedding_backward_flops, s::token_embedding},
      {K::slice_columns, {{"x"}, {"y", write}}, {{"first"}}, pure, no_flops, s::slice_columns},
      {K::add_bias, {{"y", update}, {"b"}}, none, once, per_output<1>, s::add_bias},
      {K::route_forward, {{"logits"}, {"gates", write}, {"slots", write}}, {{"capacity"}}, pure,
       route_flops, s::route},
      {K::route_backward, {{"dgates"}, {"gates"}, {"slots"}, {"dlogits", write}}, {{"capacity"}},
       pure, per_output<4>, s::route},
      {K::dispatch_forward,
       {{"x", read, false, factor}, {"slots"}, {"y", write, false, factor}}, none, pure, no_flops,
       s::dispatch},
      {K::dispatch_backward, {{"dy"}, {"slots"}, {"residual", read, true}, {"dx", write}}, none,
       pure, dispatch_backward_flops, s::dispatch},
      {K::combine_forward, {{"x"}, {"slots"}, {"gates"}, {"y", write}}, none, pure,
       combine_forward_flops, s::combine},
      {K::combine_backward,
       {{"dy"}, {"x"}, {"slots"}, {"gates"}, {"dx", write}, {"dgates", write}}, none, pure,
       combine_backward_flops, s::combine},
      {K::all_to_all, {{"x"}, {"y", write}},
       {{"group"}, {"sequence"}, {"order", A::text}, {"split"}, {"join"}}, once, no_flops,
       s::all_to_all},
      {K::balance_backward, {{"logits"}, {"slots"}, {"dlogits", update}},
       {{"capacity"}, {"scale", A::real}}, once, balance_flops, s::balance},
      {K::insert_columns, {{"x"}, {"y", update}}, {{"first"}}, once, no_flops, s::insert_columns},
  };
}
// clang-format on

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

/// Bytes of an operand that are read, or written: of a table and of a cache some rows only, of a
/// collective those of other ranks, too.
std::int64_t touched_bytes(const Trace& trace, const Op& op, const Operand& operand, bool writes) {
  const Buffer& b = trace[operand.buffer];
  if (op.kind == OpKind::cached_attention_forward && operand.reads >= 0 && operand.writes >= 0) {
    const std::int64_t rows = writes ? buffer_of(trace, op, "qkv").shape[1]
                                     : std::min(mean_keys_seen(trace, op), b.shape[1]);
    return b.size_bytes / b.shape[1] * rows;
  }
  // Every part of the whole is read, where its rank has it.
  if (op.kind == OpKind::all_gather && !writes) return buffer_of(trace, op, "y").size_bytes;
  if (op.kind == OpKind::last_token && !writes) return trace[op.operands[1].buffer].size_bytes;
  return b.size_bytes;
}

}  // namespace

const OpRule& op_rule(OpKind kind) {
  static const std::vector<OpRule> rules = make_rules();
  return rules[static_cast<std::size_t>(kind)];
}

bool holds_indices(std::string_view role) {
  return role == "tokens" || role == "target" || role == "slots";
}

std::int64_t linear_groups(const Buffer& weight) {
  return weight.shape.size() == 3 ? weight.shape[0] : 1;
}

bool is_rounded(const Trace& trace, const Op& op, const Operand& operand) {
  if (trace[operand.buffer].dtype != DType::bf16) return false;
  const std::vector<OperandRule>& rules = op_rule(op.kind).operands;
  const auto rule = std::ranges::find(rules, operand.role, &OperandRule::role);
  return rule != rules.end() && rule->may_be_bf16;
}

OpWork op_work(const Trace& trace, const Op& op) {
  OpWork work{.flops = op_rule(op.kind).flops(trace, op)};
  for (const Operand& operand : op.operands) {
    if (operand.reads >= 0) work.bytes_read += touched_bytes(trace, op, operand, false);
    if (operand.writes >= 0) work.bytes_written += touched_bytes(trace, op, operand, true);
  }
  return work;
}

std::string op_error(const Trace& trace, const Op& op) {
  if (op.kind == OpKind::foreign) return {};
  const OpRule& rule = op_rule(op.kind);
  if (std::string e = operands_error(rule, op); !e.empty()) return e;
  for (const AttributeRule& attribute : rule.attributes) {
    if (!attribute.optional && find_attribute(op, attribute.name) == nullptr) {
      return "expected attribute '" + std::string(attribute.name) + "'";
    }
  }
  if (std::string e = op_shapes::content(trace, op); !e.empty()) return e;
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
