#include "sim/shard_context.h"

#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RunConfig small(const char* model, AttentionLowering lowering = AttentionLowering::composite) {
  RunConfig config = default_run(model);
  config.model.llama.layers = config.model.gpt2.layers = 2;
  config.batch = 2;
  config.sequence = 16;
  config.attention = lowering;
  config.optimizer.clip_norm = 1;
  return config;
}

std::vector<Trace> context_parallel(const RunConfig& config, std::int32_t ranks) {
  const Trace source = build_program(config);
  const ShardSource from = shard_source_of(source);
  std::vector<Trace> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    out.push_back(shard_context(
        source, from, {.name = "context_parallel", .index = rank, .count = ranks, .stride = 1}));
  }
  return out;
}

const Buffer& named(const Trace& trace, const std::string& name) {
  const auto found = std::ranges::find(trace.buffers, name, &Buffer::name);
  REQUIRE(found != trace.buffers.end());
  return *found;
}

const Op& op_named(const Trace& trace, const std::string& name) {
  const auto found = std::ranges::find(trace.ops, name, &Op::name);
  REQUIRE(found != trace.ops.end());
  return *found;
}

std::ptrdiff_t count_of(const Trace& trace, OpKind kind) {
  return std::ranges::count_if(trace.program.body, [&](const Instruction& line) {
    return line.kind == InstructionKind::run && trace[line.op()].kind == kind;
  });
}

using Shape = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("context parallel decoders are legal on each rank and for all together") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
      for (const Precision precision : {Precision::full, Precision::bf16}) {
        RunConfig config = small(model, lowering);
        config.precision = precision;
        config.accumulation = 2;
        config.eval_every = 1;
        config.dropout = config.attention_dropout = 0.1;
        for (const std::int32_t ranks : {1, 2, 4}) {
          CAPTURE(model, to_string(lowering), to_string(precision), ranks);
          const std::vector<Finding> findings = check_ranks(context_parallel(config, ranks));
          if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
        }
      }
    }
  }
}

TEST_CASE("context parallel: a rank has its tokens of everything, and all weights") {
  const Trace rank = context_parallel(small("gpt2-tiny"), 4)[3];
  CHECK(named(rank, "block0.qkv.w").shape == Shape{192, 64});
  CHECK(named(rank, "block0.qkv.y").shape == Shape{2, 4, 192});
  CHECK(named(rank, "block0.norm1.mean").shape == Shape{8});
  CHECK(named(rank, "block0.attention.probabilities").shape == Shape{2, 4, 4, 16});
  CHECK(named(rank, "block0.attention.workspace").shape == Shape{4, 16});
  CHECK(named(rank, "block0.qkv.y.kv").shape == Shape{2, 4, 128});
  CHECK(named(rank, "block0.qkv.y.kv.gathered").shape == Shape{4, 2, 4, 128});
  const Op& load = op_named(rank, "input.load");
  CHECK(integer_at(load, "width", 0) == 16);
  CHECK(integer_at(load, "position", 0) == 12);
  CHECK(integer_at(op_named(rank, "embedding.forward"), "position", 0) == 12);
  CHECK(integer_at(op_named(rank, "block0.attention.backward"), "position", 0) == 12);
  const Trace llama = context_parallel(small("llama-tiny", AttentionLowering::flash), 2)[1];
  CHECK(integer_at(op_named(llama, "block1.rotary.backward"), "position", 0) == 8);
  CHECK(named(llama, "block0.attention.log_sum_exp").shape == Shape{2, 4, 8});
  CHECK(rank.groups.at(0).name == "context_parallel");
}

TEST_CASE("context parallel: keys and values alone are gathered, and their gradients scattered") {
  const Trace rank = context_parallel(small("gpt2-tiny"), 2)[0];
  CHECK(count_of(rank, OpKind::all_gather) == 2 * 2);  // of each block, forward and backward
  CHECK(count_of(rank, OpKind::reduce_scatter) == 2);
  CHECK(count_of(rank, OpKind::all_reduce) == 1);  // the loss; gradients are for who comes next
}

TEST_CASE("context parallel: what cannot be shared is refused with the reason") {
  const auto refused = [](const RunConfig& config, std::int32_t ranks, const std::string& part) {
    CHECK_THROWS_WITH(context_parallel(config, ranks), Catch::Contains(part));
  };
  refused(small("gpt2-tiny"), 3, "a divisor of the 16 tokens");
  refused(small("moe-tiny"), 2, "route_forward");
  refused(default_run("mlp-tiny"), 2, "the same number of tokens");
}
