#include "sim/shard_tensor.h"

#include <algorithm>

#include "../catch.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "sim/shard.h"
#include "sim/shard_source.h"
#include "tests/sim/shard_sources.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RunConfig small_llama(AttentionLowering lowering = AttentionLowering::composite) {
  RunConfig config = default_run("llama-tiny");
  config.model.llama.layers = 2;
  config.batch = 2;
  config.sequence = 16;
  config.attention = lowering;
  config.optimizer.clip_norm = 1;
  return config;
}

RunConfig small_gpt2(AttentionLowering lowering = AttentionLowering::composite) {
  RunConfig config = small_llama(lowering);
  config.model = default_run("gpt2-tiny").model;
  config.model.gpt2.layers = 2;
  return config;
}

std::ptrdiff_t count_of(const Trace& trace, OpKind kind) {
  return std::ranges::count_if(trace.program.body, [&](const Instruction& line) {
    return line.kind == InstructionKind::run && trace[line.op()].kind == kind;
  });
}

const Buffer& named(const Trace& trace, const std::string& name) {
  const auto found = std::ranges::find(trace.buffers, name, &Buffer::name);
  REQUIRE(found != trace.buffers.end());
  return *found;
}

std::vector<Trace> sequence_parallel(const RunConfig& config, std::int32_t ranks) {
  const Trace source = build_program(config);
  const ShardSource from = shard_source_of(source);
  std::vector<Trace> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    out.push_back(shard_tensor(source, from, rank, ranks, true));
  }
  return out;
}

}  // namespace

TEST_CASE("a decoder on several ranks is legal on each and for all together") {
  for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
    for (RunConfig config : {small_llama(lowering), small_gpt2(lowering)}) {
      for (const Precision precision : {Precision::full, Precision::bf16}) {
        config.precision = precision;
        config.accumulation = 2;
        config.eval_every = 1;
        const Trace source = build_program(config);
        for (const std::int32_t ranks : {1, 2}) {
          CAPTURE(config.model.name, to_string(lowering), to_string(precision), ranks);
          const std::vector<Finding> findings =
              check_ranks(shard(source, ShardStage::tensor, ranks));
          if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
        }
      }
    }
  }
}

TEST_CASE("the linear layers of a block are split by outputs, then by inputs, the rest is whole") {
  const Trace source = build_program(small_llama());
  const Trace rank = shard(source, ShardStage::tensor, 2)[1];
  // 64 channels, 4 heads of 16, 2 of keys and values, 176 hidden.
  CHECK(named(rank, "block0.qkv.w").shape == std::vector<std::int64_t>{64, 64});
  CHECK(named(rank, "block0.projection.w").shape == std::vector<std::int64_t>{64, 32});
  CHECK(named(rank, "block1.gate_up.w").shape == std::vector<std::int64_t>{176, 64});
  CHECK(named(rank, "block1.down.w").shape == std::vector<std::int64_t>{64, 88});
  CHECK(named(rank, "head.w").shape == named(source, "head.w").shape);
  CHECK(named(rank, "block0.attention.probabilities").shape ==
        std::vector<std::int64_t>{2, 2, 16, 16});
  CHECK(named(rank, "block0.down.w.m").shape == std::vector<std::int64_t>{64, 88});
  CHECK(named(rank, "block0.down.w").shard.dimension == 1);
}

TEST_CASE("of every expert the hidden units are split, and routers are whole") {
  RunConfig config = small_llama();
  config.model.llama.experts = 4;
  const Trace source = build_program(config);
  const std::vector<Trace> ranks = shard(source, ShardStage::tensor, 2);
  CHECK(check_ranks(ranks).empty());
  CHECK(named(ranks[1], "block0.gate_up.w").shape == std::vector<std::int64_t>{4, 176, 64});
  CHECK(named(ranks[1], "block0.down.w").shape == std::vector<std::int64_t>{4, 64, 88});
  CHECK(named(ranks[1], "block0.router.w").shape == std::vector<std::int64_t>{4, 64});
  CHECK(named(ranks[1], "block0.dispatch.y").shape == named(source, "block0.dispatch.y").shape);
}

TEST_CASE("two sums per block in forward and two in backward") {
  const Trace rank = shard(build_program(small_llama()), ShardStage::tensor, 2)[0];
  CHECK(count_of(rank, OpKind::all_reduce) == 2 * 4 + 1);  // and one of the norms of parts
  CHECK(count_of(rank, OpKind::add_bias) == 0);
  CHECK(rank.groups.at(0).name == "tensor_parallel");
}

TEST_CASE("a bias goes with the outputs, or is added once to what the ranks summed") {
  const Trace rank = shard(build_program(small_gpt2()), ShardStage::tensor, 2)[1];
  CHECK(named(rank, "block0.qkv.b").shape == std::vector<std::int64_t>{96});
  CHECK(named(rank, "block0.expand.b.v").shape == std::vector<std::int64_t>{128});
  CHECK(named(rank, "block0.projection.b").shape == std::vector<std::int64_t>{64});
  CHECK(count_of(rank, OpKind::all_reduce) == 2 * 4 + 1);
  CHECK(count_of(rank, OpKind::add_bias) == 2 * 2);
  for (const Op& op : rank.ops) {
    const bool behind =
        op.kind == OpKind::linear_forward && (op.name.find("projection") != std::string::npos ||
                                              op.name.find("contract") != std::string::npos);
    if (behind) CHECK(find_operand(op, "b") == nullptr);
  }
}

TEST_CASE("what cannot be split is refused with the reason") {
  const auto refused = [](const RunConfig& config, std::int32_t ranks, const std::string& part) {
    CHECK_THROWS_WITH(shard(build_program(config), ShardStage::tensor, ranks),
                      Catch::Contains(part));
  };
  refused(small_llama(), 4, "a divisor of the 2 heads");
  refused(default_run("mlp-tiny"), 2, "a program without attention");
  refused(default_run("gpt2-tiny"), 3, "a divisor of the 4 heads");
  RunConfig drops = small_llama();
  drops.attention_dropout = 0.1;
  refused(drops, 2, "no dropout of attention");
}

TEST_CASE("sequence parallel decoders are legal in every precision and lowering") {
  for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
    for (RunConfig config : {small_llama(lowering), small_gpt2(lowering)}) {
      for (const Precision precision : {Precision::full, Precision::bf16}) {
        CAPTURE(config.model.name, to_string(lowering), to_string(precision));
        config.precision = precision;
        config.accumulation = 2;
        config.eval_every = 1;
        config.dropout = 0.1;
        const std::vector<Finding> findings = check_ranks(sequence_parallel(config, 2));
        if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
      }
    }
  }
}

TEST_CASE("sequence parallel: between what is split there is a share of the tokens") {
  const RunConfig config = small_llama();
  const Trace whole = shard(build_program(config), ShardStage::tensor, 2)[1];
  const Trace rank = sequence_parallel(config, 2)[1];
  // 2 sequences of 16 tokens: the second one.
  for (const char* name : {"embedding.y", "block0.norm1.y", "block0.projection.y", "head.y"}) {
    CAPTURE(name);
    const std::vector<std::int64_t>& shape = named(whole, name).shape;
    CHECK(named(rank, name).shape == std::vector<std::int64_t>{1, shape[1], shape[2]});
  }
  CHECK(named(rank, "block0.qkv.y").shape == named(whole, "block0.qkv.y").shape);
  CHECK(named(rank, "block0.norm1.y.gathered").category == Category::communication);
  CHECK(rank.meta.title.find("tensor and sequence parallel on 2 ranks") != std::string::npos);
}

TEST_CASE("sequence parallel: sums are scattered, inputs gathered, in backward again") {
  const Trace rank = sequence_parallel(small_llama(), 2)[0];
  // Of each of the two blocks: before and behind attention and the hidden units, and in backward.
  CHECK(count_of(rank, OpKind::reduce_scatter) == 2 * (2 + 2));
  CHECK(count_of(rank, OpKind::all_gather) == 2 * (2 + 2 + 2));
  // The loss, the norm of parts, and gradients of five norms, the embedding and the head.
  CHECK(count_of(rank, OpKind::all_reduce) == 1 + 1 + 5 + 2);
  // A bias behind a split layer sees all tokens when dy is gathered: no sum of its own.
  const Trace biased = sequence_parallel(small_gpt2(), 2)[0];
  CHECK(count_of(biased, OpKind::all_reduce) == 1 + 1 + 2 * 5 + 2);
}

TEST_CASE("what cannot be shared by tokens is refused with the reason") {
  RunConfig config = small_llama();
  config.model.llama.experts = 4;
  CHECK_THROWS_WITH(sequence_parallel(config, 2), Catch::Contains("route_forward"));
  config = small_llama();
  config.batch = 3;
  CHECK_THROWS_WITH(sequence_parallel(config, 2), Catch::Contains("whole sequences"));
}
