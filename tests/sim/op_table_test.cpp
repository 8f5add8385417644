// The rules of the op table: operands in order, access, attributes, work.
#include "sim/op_table.h"

#include "../catch.h"
#include "sim/builder.h"
#include "small_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

template <class Visit>
void each_kind(Visit&& visit) {
  for (std::size_t i = 0; i < EnumNames<OpKind>::k_names.size(); ++i) visit(static_cast<OpKind>(i));
}

void add_ops(const RunConfig& config, std::vector<std::pair<Trace, Op>>& out) {
  const Trace trace = build_program(config);
  std::vector<char> seen(EnumNames<OpKind>::k_names.size(), 0);
  for (const Op& op : trace.ops) {
    if (seen[static_cast<std::size_t>(op.kind)]++ == 0) out.emplace_back(trace, op);
  }
}

/// One op of every kind that the programs of all families and optimizers contain.
std::vector<std::pair<Trace, Op>> built_ops() {
  std::vector<std::pair<Trace, Op>> out;
  for (const char* name :
       {"mlp-tiny", "gpt2-tiny", "lenet5", "resnet20", "llama-tiny", "moe-tiny"}) {
    for (Optimizer optimizer :
         {Optimizer::sgd, Optimizer::adamw, Optimizer::momentum, Optimizer::adam}) {
      RunConfig config = default_run(name);
      config.optimizer.kind = optimizer;
      config.batch = 2;
      config.optimizer.clip_norm = 1;
      config.eval_every = 1;
      config.model.llama.balance_loss = 0.1;
      if (config.sequence > 0) {
        const bool is_flash = optimizer != Optimizer::sgd;
        config.dropout = 0.5;
        config.attention = is_flash ? AttentionLowering::flash : AttentionLowering::composite;
        config.attention_dropout = is_flash ? 0.5 : 0;  // the composite form must have a workspace
      }
      add_ops(config, out);
    }
  }
  RunConfig inference = default_run("gpt2-tiny");
  set_inference(inference, 7, 5);
  add_ops(inference, out);
  return out;
}

std::int64_t flops(const Trace& t, const Op& op) {
  return op_work(t, op).flops;
}

}  // namespace

TEST_CASE("every kind has its rule, at its place in the table, with roles that differ") {
  each_kind([](OpKind kind) {
    const OpRule& rule = op_rule(kind);
    CAPTURE(to_string(kind));
    CHECK(rule.kind == kind);
    CHECK(rule.flops != nullptr);
    CHECK(rule.shape_error != nullptr);
    for (std::size_t i = 0; i < rule.operands.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) CHECK(rule.operands[i].role != rule.operands[j].role);
    }
  });
}

TEST_CASE("ops that update, communicate, report or order are never recomputed") {
  each_kind([](OpKind kind) {
    const OpRule& rule = op_rule(kind);
    CAPTURE(to_string(kind));
    bool updates = false;
    for (const OperandRule& o : rule.operands) updates = updates || o.access == Access::update;
    const bool collective =
        kind == OpKind::all_gather || kind == OpKind::reduce_scatter || kind == OpKind::all_to_all;
    if (updates || collective || is_structural(kind) || kind == OpKind::report_loss ||
        kind == OpKind::load_batch) {
      CHECK_FALSE(rule.recomputable);
    }
  });
  CHECK(op_rule(OpKind::linear_forward).recomputable);
  CHECK(op_rule(OpKind::attention_forward).recomputable);
}

TEST_CASE("a missing, extra, misplaced or misused operand of any built op is named") {
  for (const auto& [trace, op] : built_ops()) {
    CAPTURE(to_string(op.kind));
    REQUIRE(op_error(trace, op).empty());
    for (std::size_t i = 0; i < op.operands.size(); ++i) {
      const std::string role = op.operands[i].role;
      Op bad = op;
      bad.operands[i].role = "nonsense";
      CHECK_FALSE(op_error(trace, bad).empty());
      bad = op;
      bad.operands[i].reads = bad.operands[i].writes = -1;
      CHECK(op_error(trace, bad) == "operand '" + role + "' has the wrong access for its kind");
      bad = op;
      bad.operands.erase(bad.operands.begin() + static_cast<std::ptrdiff_t>(i));
      const OperandRule* rule = nullptr;
      for (const OperandRule& r : op_rule(op.kind).operands) {
        if (r.role == role) rule = &r;
      }
      REQUIRE(rule != nullptr);
      CHECK(op_error(trace, bad).empty() == rule->optional);
      if (i == 0) continue;
      bad = op;
      std::swap(bad.operands[i - 1], bad.operands[i]);
      CHECK_FALSE(op_error(trace, bad).empty());
    }
    Op more = op;
    more.operands.push_back(use("more", 0, 0));
    CHECK(op_error(trace, more) == "unexpected operand 'more'");
    for (std::size_t i = 0; i < op.attributes.size(); ++i) {
      Op bad = op;
      bad.attributes.erase(bad.attributes.begin() + static_cast<std::ptrdiff_t>(i));
      const AttributeRule* rule = nullptr;
      for (const AttributeRule& r : op_rule(op.kind).attributes) {
        if (r.name == op.attributes[i].name) rule = &r;
      }
      REQUIRE(rule != nullptr);
      const std::string wanted = "expected attribute '" + op.attributes[i].name + "'";
      CHECK(op_error(trace, bad) == (rule->optional ? "" : wanted));
    }
  }
}

TEST_CASE("work counts the bytes of what is read and written, both for an update") {
  Trace t;
  t.buffers = {buffer("x", {2, 3}), buffer("y", {2, 3})};
  const OpWork relu_work = op_work(t, relu(0, 1, 1, 1));
  CHECK(relu_work.bytes_read == 24);
  CHECK(relu_work.bytes_written == 24);
  const Op sgd = op(OpKind::sgd_update, {use("w", 0, 0, 1), use("dw", 1, 1)});
  CHECK(op_work(t, sgd).bytes_read == 48);
  CHECK(op_work(t, sgd).bytes_written == 24);
}

TEST_CASE("flops of the linear ops are those of the naive loops") {
  constexpr std::int64_t rows = 6;
  constexpr std::int64_t inputs = 5;
  constexpr std::int64_t outputs = 7;
  std::int64_t naive = 0;  // one product: a multiplication and an addition per inner step
  for (std::int64_t m = 0; m < rows; ++m) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      for (std::int64_t k = 0; k < inputs; ++k) naive += 2;
    }
  }
  Trace t;
  t.buffers = {buffer("x", {2, 3, inputs}), buffer("w", {outputs, inputs}),
               buffer("y", {2, 3, outputs})};
  CHECK(flops(t, op(OpKind::linear_forward,
                    {use("x", 0, 0), use("w", 1, 0), use("y", 2, -1, 1)})) == naive);
  CHECK(flops(t, op(OpKind::linear_backward_data,
                    {use("dy", 2, 0), use("w", 1, 0), use("dx", 0, -1, 1)})) == naive);
  CHECK(flops(t, op(OpKind::linear_backward_weight,
                    {use("dy", 2, 0), use("x", 0, 0), use("dw", 1, -1, 1)})) == naive);
}

TEST_CASE("flops of attention are its two products and the softmax, backward twice that") {
  constexpr std::int64_t batch = 2;
  constexpr std::int64_t tokens = 5;
  constexpr std::int64_t channels = 12;
  constexpr std::int64_t heads = 3;
  std::int64_t naive = 0;
  for (std::int64_t row = 0; row < batch * heads * tokens; ++row) {
    for (std::int64_t column = 0; column < tokens; ++column) {
      naive += 2 * (channels / heads);  // q k^T
      naive += 2 * (channels / heads);  // p v
      naive += 5;                       // scale, maximum, difference, exponential, division
    }
  }
  Trace t;
  t.buffers = {buffer("qkv", {batch, tokens, 3 * channels}),
               buffer("p", {batch, heads, tokens, tokens}), buffer("y", {batch, tokens, channels})};
  const Op forward = op(OpKind::attention_forward,
                        {use("qkv", 0, 0), use("probabilities", 1, -1, 1), use("y", 2, -1, 1)},
                        {number("heads", heads)});
  CHECK(op_error(t, forward).empty());
  CHECK(flops(t, forward) == naive);
  Op backward = forward;
  backward.kind = OpKind::attention_backward;
  CHECK(flops(t, backward) == 2 * naive);
}

TEST_CASE("flops of elementwise ops grow with their output, structural ops have none") {
  Trace t;
  t.buffers = {buffer("x", {10}), buffer("y", {10}), buffer("z", {10})};
  CHECK(flops(t, relu(0, 0, 1, 1)) == 10);
  CHECK(flops(t, op(OpKind::add, {use("a", 0, 0), use("b", 1, 0), use("y", 2, -1, 1)})) == 10);
  CHECK(flops(t, copy(0, 0, 1, 1)) == 0);
  CHECK(flops(t, record(0)) == 0);
}

TEST_CASE("flops of monstrous shapes stay at the largest number") {
  Trace t;
  t.buffers = {buffer("x", {1}), buffer("w", {1}), buffer("y", {1})};
  t.buffers[0].shape = {std::int64_t{1} << 50, 1};
  t.buffers[1].shape = {std::int64_t{1} << 50, 1};
  CHECK(flops(t, op(OpKind::linear_forward,
                    {use("x", 0, 0), use("w", 1, 0), use("y", 2, -1, 1)})) == INT64_MAX);
}

TEST_CASE("rows, columns and elements of a shape") {
  CHECK(row_count(buffer("b", {2, 3, 4})) == 6);
  CHECK(column_count(buffer("b", {2, 3, 4})) == 4);
  CHECK(element_count(buffer("b", {2, 3, 4})) == 24);
  CHECK(row_count(buffer("scalar", {})) == 1);
  CHECK(column_count(buffer("scalar", {})) == 1);
  CHECK(element_count(buffer("empty", {3, 0})) == 0);
  CHECK(row_count(buffer("empty", {3, 0})) == 0);
}
