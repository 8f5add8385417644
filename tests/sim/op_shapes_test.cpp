// Shapes and types of operands: any wrong one of any built op is refused.
#include "../catch.h"
#include "sim/builder.h"
#include "sim/op_table.h"
#include "small_program.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct Collective {
  Trace t;
  Op gather;
  Op scatter;
};

/// Rank 1 of two: y [8] is gathered from parts x [4].
Collective collective() {
  Collective c;
  c.t.meta.rank = 1;
  c.t.groups = {{"all", {0, 1}}};
  c.t.buffers = {buffer("part", {4}), buffer("whole", {8})};
  const std::vector<Attribute> attributes{
      number("group", 0), number("sequence", 0), {"order", 0, 0, 0, "rank"}};
  c.gather = op(OpKind::all_gather, {use("x", 0, 0), use("y", 1, -1, 1)}, attributes);
  c.scatter = op(OpKind::reduce_scatter, {use("x", 1, 0), use("y", 0, -1, 1)}, attributes);
  return c;
}

bool may_be_of_any_size(OpKind kind) {
  return kind == OpKind::sum_of_squares || kind == OpKind::scale_by || kind == OpKind::fill ||
         kind == OpKind::random_normal || kind == OpKind::load_batch;
}

}  // namespace

TEST_CASE("one more row of any operand of any built op is refused") {
  std::vector<RunConfig> configs;
  for (const char* name :
       {"mlp-tiny", "gpt2-tiny", "lenet5", "resnet20", "llama-tiny", "moe-tiny"}) {
    RunConfig config = default_run(name);
    config.batch = 2;
    config.optimizer.clip_norm = 1;
    config.eval_every = 1;
    config.model.llama.balance_loss = 0.1;
    if (config.sequence > 0) {
      config.dropout = config.attention_dropout = 0.5;
      config.attention = AttentionLowering::flash;
    }
    configs.push_back(config);
  }
  configs.push_back(default_run("gpt2-tiny"));
  configs.back().attention_dropout = 0.5;
  configs.push_back(default_run("gpt2-tiny"));
  set_inference(configs.back(), 7, 5);
  configs.push_back(default_run("gpt2-tiny"));
  configs.back().precision = Precision::bf16;
  for (const RunConfig& config : configs) {
    const Trace trace = build_program(config);
    for (const Op& op : trace.ops) {
      if (may_be_of_any_size(op.kind)) continue;
      for (const Operand& operand : op.operands) {
        const bool table = op.kind == OpKind::token_embedding_forward ||
                           op.kind == OpKind::token_embedding_backward;
        if (table && operand.role.ends_with("w")) continue;                            // any rows
        if (operand.role.ends_with("wte") || operand.role.ends_with("wpe")) continue;  // any rows
        const bool slots =
            op.kind == OpKind::combine_forward ? operand.role == "x"
            : op.kind == OpKind::dispatch_forward || op.kind == OpKind::dispatch_backward
                ? operand.role.ends_with("y")
                : false;
        if (slots) continue;  // as many as there are
        const bool flash = op.kind == OpKind::flash_attention_forward ||
                           op.kind == OpKind::flash_attention_backward;
        if (flash && operand.role == "workspace") continue;  // of more heads at a time
        Trace bad = trace;
        Buffer& b = bad.buffers[operand.buffer.index()];
        const bool may_be_of_groups = operand.role.ends_with("w") && b.shape.size() == 2;
        may_be_of_groups ? b.shape.front() *= 2 : *b.shape.insert(b.shape.begin(), 2);
        b.size_bytes *= 2;
        CAPTURE(op.name, operand.role);
        REQUIRE_FALSE(op_error(bad, op).empty());
      }
    }
  }
}

TEST_CASE("a shape that its bytes do not hold is refused: a kernel would leave the buffer") {
  const Trace trace = build_program(default_run("mlp-tiny"));
  for (const Op& op : trace.ops) {
    for (const Operand& operand : op.operands) {
      Trace bad = trace;
      bad.buffers[operand.buffer.index()].size_bytes -= 1;
      CHECK_THAT(op_error(bad, op), Catch::Contains(operand.role) && Catch::Contains("bytes"));
    }
  }
}

TEST_CASE("operands of another type are refused") {
  RunConfig config = default_run("gpt2-tiny");
  for (const Precision precision : {Precision::full, Precision::bf16}) {
    config.precision = precision;
    const Trace trace = build_program(config);
    for (const Op& op : trace.ops) {
      if (op.operands.size() < 2) continue;
      for (const Operand& operand : op.operands) {
        Trace bad = trace;
        Buffer& b = bad.buffers[operand.buffer.index()];
        b.dtype = b.dtype == DType::f32 ? DType::f64 : DType::i64;
        b.size_bytes = element_count(b) * size_bytes(b.dtype);
        CAPTURE(op.name, operand.role);
        REQUIRE_FALSE(op_error(bad, op).empty());
      }
    }
  }
}

TEST_CASE("messages say the role, the shape and what was expected") {
  Trace t;
  t.buffers = {buffer("x", {2, 3}), buffer("w", {4, 2}), buffer("y", {2, 4}), buffer("b", {5})};
  Op linear = op(OpKind::linear_forward, {use("x", 0, 0), use("w", 1, 0), use("y", 2, -1, 1)});
  CHECK(op_error(t, linear) == "w is [4, 2] f32, expected 4 rows of 3");
  t.buffers[1] = buffer("w", {4, 3});
  CHECK(op_error(t, linear) == "");
  linear.operands.insert(linear.operands.begin() + 2, use("b", 3, 0));
  CHECK(op_error(t, linear) == "b is [5] f32, expected 4 elements");
}

TEST_CASE("attention needs heads that divide the channels and square probabilities") {
  Trace t;
  t.buffers = {buffer("qkv", {2, 5, 36}), buffer("p", {2, 3, 5, 5}), buffer("y", {2, 5, 12})};
  Op forward = op(OpKind::attention_forward,
                  {use("qkv", 0, 0), use("probabilities", 1, -1, 1), use("y", 2, -1, 1)},
                  {number("heads", 3)});
  CHECK(op_error(t, forward) == "");
  for (std::int64_t heads : {0, -3, 5, 4}) {
    forward.attributes[0].integer = heads;
    CHECK_FALSE(op_error(t, forward).empty());
  }
  forward.attributes[0].integer = 3;
  t.buffers[1] = buffer("p", {2, 3, 25});
  CHECK_THAT(op_error(t, forward), Catch::Contains("[B, H, T, S]"));
}

TEST_CASE("the workspace of flash attention holds whole blocks of scores, at least one") {
  Trace t;
  t.buffers = {buffer("qkv", {2, 5, 36}), buffer("y", {2, 5, 12}), buffer("log_sum_exp", {2, 3, 5}),
               buffer("workspace", {25})};
  const Op forward = op(OpKind::flash_attention_forward,
                        {use("qkv", 0, 0), use("y", 1, -1, 1), use("log_sum_exp", 2, -1, 1),
                         use("workspace", 3, -1, 1)},
                        {number("heads", 3)});
  for (const std::int64_t blocks : {1, 2, 6, 7}) {
    t.buffers[3] = buffer("workspace", {blocks, 5, 5});
    CHECK(op_error(t, forward) == "");
  }
  for (const std::int64_t elements : {1, 24, 26}) {
    t.buffers[3] = buffer("workspace", {elements});
    CHECK_THAT(op_error(t, forward), Catch::Contains("expected a multiple of 25 elements"));
  }
}

TEST_CASE("the loss is one number, a copy keeps the bytes") {
  Trace t;
  t.buffers = {buffer("loss", {2}), buffer("a", {4}), buffer("b", {4}, DType::f64)};
  CHECK(op_error(t, op(OpKind::report_loss, {use("loss", 0, 0)})) ==
        "loss is [2] f32, expected 1 elements");
  CHECK(op_error(t, copy(1, 0, 2, 1)) == "src has 16 bytes, dst 32");
  t.buffers[2] = buffer("b", {2}, DType::f64);
  CHECK(op_error(t, copy(1, 0, 2, 1)) == "");
}

TEST_CASE("a collective has one part per rank of a group that this rank is in") {
  Collective c = collective();
  CHECK(op_error(c.t, c.gather) == "");
  CHECK(op_error(c.t, c.scatter) == "");
  c.t.buffers[1] = buffer("whole", {9});
  CHECK_THAT(op_error(c.t, c.gather), Catch::Contains("y is [9] f32, expected 2 times x"));
  CHECK_THAT(op_error(c.t, c.scatter), Catch::Contains("x is [9] f32, expected 2 times y"));
  c = collective();
  c.t.meta.rank = 2;
  CHECK(op_error(c.t, c.gather) == "rank 2 is not in the group");
  for (std::int64_t group : {-1, 1}) {
    c.gather.attributes[0].integer = group;
    CHECK(op_error(c.t, c.gather) == "attribute group is not a row of groups");
  }
}

TEST_CASE("all_to_all splits one dimension among the ranks and joins another") {
  Collective c = collective();
  c.t.buffers = {buffer("slots", {4, 3, 5}), buffer("rows", {2, 6, 5})};
  const std::vector<Attribute> attributes{number("group", 0),
                                          number("sequence", 0),
                                          {"order", 0, 0, 0, "rank"},
                                          number("split", 0),
                                          number("join", 1)};
  Op exchange = op(OpKind::all_to_all, {use("x", 0, 0), use("y", 1, -1, 1)}, attributes);
  CHECK(op_error(c.t, exchange) == "");
  exchange.attributes[3].integer = 1;
  CHECK_THAT(op_error(c.t, exchange), Catch::Contains("two of the dimensions"));
  exchange.attributes[4].integer = 0;
  CHECK_THAT(op_error(c.t, exchange),
             Catch::Contains("x is [4, 3, 5] f32, expected 2 equal parts along dimension 1"));
  exchange.attributes[3].integer = 3;
  CHECK_THAT(op_error(c.t, exchange), Catch::Contains("two of the dimensions"));
  exchange.attributes[3].integer = 0;
  exchange.attributes[4].integer = 2;
  CHECK_THAT(op_error(c.t, exchange), Catch::Contains("y is [2, 6, 5] f32"));
  c.t.buffers[0].shape = {6, 10};
  c.t.buffers[1].shape = {3, 20};
  exchange.attributes[4].integer = 1;
  CHECK(op_error(c.t, exchange) == "");
  exchange.attributes[0].integer = 1;
  CHECK(op_error(c.t, exchange) == "attribute group is not a row of groups");
}

TEST_CASE("a part inside its whole is the part of this rank") {
  Collective c = collective();
  c.t.buffers[0].storage = BufferId{1};
  c.t.buffers[0].storage_offset_bytes = 16;
  CHECK(op_error(c.t, c.gather) == "");
  CHECK(op_error(c.t, c.scatter) == "");
  c.t.buffers[0].storage_offset_bytes = 0;
  CHECK(op_error(c.t, c.gather) == "x must be part 1 of y");
  CHECK(op_error(c.t, c.scatter) == "y must be part 1 of x");
}
