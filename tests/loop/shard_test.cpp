// Steps that are spread over ranks, executed by threads: the invariants of the README for them.
#include <algorithm>
#include <map>

#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::array k_stages{ShardStage::data, ShardStage::zero1, ShardStage::zero2,
                              ShardStage::zero3};

/// Losses and whole weights of each rank are those of the run on one rank.
void require_same_results(const Trace& alone, const RanksResult& ranks) {
  for (const RunResult& rank : ranks.ranks) {
    const Comparison c = compare(alone, rank.trace);
    CHECK(c.first_difference.empty());
    CHECK(c.compared_steps == k_steps);
  }
}

/// Digests of parts by step, name and part, from all ranks.
std::map<std::tuple<std::int32_t, std::string, std::int32_t>, std::int64_t> parts_of(
    const RanksResult& ranks) {
  std::map<std::tuple<std::int32_t, std::string, std::int32_t>, std::int64_t> out;
  for (const RunResult& rank : ranks.ranks) {
    for (const Digest& d : rank.trace.digests) {
      const Buffer& b = rank.trace[d.buffer];
      if (b.shard.count > 1) out[{d.step, b.name, b.shard.index}] = d.hash;
    }
  }
  return out;
}

void require_all_stages(const RunConfig& config, std::int32_t ranks) {
  const Training training(config);
  const Trace alone =
      training.run(shard_placed(training.recorded, ShardStage::none, ranks)[0], 0).trace;
  std::map<ShardStage, RanksResult> results;
  for (const ShardStage stage : k_stages) {
    CAPTURE(config.model.name, ranks, to_string(stage));
    results[stage] =
        require_executed_as_planned(training, shard_placed(training.recorded, stage, ranks));
    require_same_results(alone, results[stage]);
    const bool whole = stage != ShardStage::zero3;  // else no rank has all of a weight
    CHECK((compare(alone, results[stage].ranks[0].trace).compared_digests > 0) == whole);
  }
  // The parts of weights and states lead from stage to stage.
  const auto first = parts_of(results[ShardStage::zero1]);
  CHECK_FALSE(first.empty());
  CHECK(parts_of(results[ShardStage::zero2]) == first);
  CHECK(parts_of(results[ShardStage::zero3]) == first);
}

}  // namespace

TEST_CASE("invariants 3, 4: every stage of sharding of an MLP on 2, 3 and 4 ranks") {
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::momentum, Optimizer::adamw}) {
    require_all_stages(odd_mlp(2, optimizer), 2);
  }
  require_all_stages(odd_mlp(3), 3);
  require_all_stages(odd_mlp(8), 4);
}

TEST_CASE("invariants 3, 4: every stage of sharding of a decoder with dropout and clipping") {
  RunConfig config = default_run("gpt2-tiny");
  config.accumulation = 4;
  config.dropout = 0.1;
  config.attention = AttentionLowering::flash;
  config.optimizer.clip_norm = 0.5;
  config.eval_every = 2;
  require_all_stages(config, 2);
  config.dtype = DType::f64;
  require_all_stages(config, 4);
}

TEST_CASE("invariants 3, 4: every stage of sharding of a decoder with experts") {
  RunConfig config = default_run("moe-tiny");
  config.accumulation = 4;
  config.optimizer.clip_norm = 0.5;
  require_all_stages(config, 2);
  require_all_stages(config, 4);
}

TEST_CASE("a step in shares differs from the accumulated step in the last bits only") {
  RunConfig config = default_run("gpt2-tiny");
  config.accumulation = 2;
  const Training training(config);
  const RanksResult ranks = execute_ranks(shard_placed(training.recorded, ShardStage::zero1, 2),
                                          options_for(training, 0));
  for (std::size_t step = 0; step < training.recorded.steps.size(); ++step) {
    CHECK(ranks.ranks[0].trace.steps[step].loss ==
          Approx(training.recorded.steps[step].loss).epsilon(1e-6));
  }
}

TEST_CASE("invariants 3, 4: a joint plan of sharding, recomputation and offload") {
  RunConfig config = default_run("gpt2-tiny");
  config.accumulation = 4;
  const Training training(config);
  for (const std::int32_t ranks : {2, 4}) {
    const Trace alone =
        training.run(shard_placed(training.recorded, ShardStage::none, ranks)[0], 0).trace;
    SearchRequest request;
    request.link_bytes_per_s = 10e9;
    request.link_latency_ns = 5000;
    request.nodes = 20;
    request.method = "joint";
    const std::int64_t whole =
        shard_placed(training.recorded, ShardStage::data, ranks)[0].plan.height_bytes;
    for (const int percent : {60}) {
      CAPTURE(ranks, percent);
      request.budget_bytes = whole * percent / 100 / k_granule_bytes * k_granule_bytes;
      const RankSearchResult joint = search_layouts(
          training.recorded, layouts_of({ShardStage::zero1, ShardStage::zero2}, ranks), request);
      REQUIRE(joint.best >= 0);
      require_same_results(alone, require_executed_as_planned(training, joint.planned));
    }
  }
}

TEST_CASE("invariant 3: tensor parallel decoders take their memory and lose nothing but rounding") {
  for (const char* model : {"gpt2-tiny", "llama-tiny", "moe-tiny"}) {
    RunConfig config = default_run(model);
    config.model.llama.kv_heads = 4;
    config.eval_every = 2;
    for (const auto& [ranks, dtype] :
         {std::pair{2, DType::f32}, {4, DType::f32}, {2, DType::f64}}) {
      CAPTURE(model, ranks, to_string(dtype));
      config.dtype = dtype;
      const Training training(config);
      const RanksResult result = require_executed_as_planned(
          training, shard_placed(training.recorded, ShardStage::tensor, ranks));
      const double tolerance = dtype == DType::f64 ? 1e-13 : 1e-6;
      require_rounded_results(training.recorded, result, tolerance);
      config.accumulation = 2;
      config.attention = AttentionLowering::flash;
      config.optimizer.clip_norm = 0.5;
      config.dropout = 0.1;
    }
  }
}

TEST_CASE("invariant 3: tensor parallel with recomputation and offload changes no bit of it") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    CAPTURE(model);
    const Training training(default_run(model));
    const std::vector<Trace> plain = shard_placed(training.recorded, ShardStage::tensor, 2);
    const RanksResult alone = execute_ranks(plain, options_for(training, 0));
    SearchRequest request;
    request.link_bytes_per_s = 10e9;
    request.link_latency_ns = 5000;
    request.nodes = 20;
    request.method = "joint";
    request.budget_bytes = plain[0].plan.height_bytes * 7 / 10 / k_granule_bytes * k_granule_bytes;
    const RankSearchResult joint =
        search_layouts(training.recorded, layouts_of({ShardStage::tensor}, 2), request);
    REQUIRE(joint.best == 0);
    const RanksResult result = require_executed_as_planned(training, joint.planned);
    for (std::size_t rank = 0; rank < 2; ++rank) {
      const Comparison c = compare(alone.ranks[rank].trace, result.ranks[rank].trace);
      CHECK(c.first_difference.empty());
      CHECK(c.bitwise_equal == std::optional(true));
    }
  }
}

TEST_CASE("one wrong order of ranks loses bitwise equality") {
  RunConfig config = default_run("gpt2-tiny");
  config.accumulation = 4;
  const Training training(config);
  const Trace alone =
      training.run(shard_placed(training.recorded, ShardStage::none, 4)[0], 0).trace;
  std::vector<Trace> planned = shard_placed(training.recorded, ShardStage::zero1, 4);
  for (Trace& rank : planned) {  // ranks 1 and 2 take each other's micro-batches
    for (Op& op : rank.ops) {
      if (op.kind != OpKind::load_batch) continue;
      Attribute& cursor = op.attributes[0];
      if (rank.meta.rank == 1) cursor.integer += 2;
      if (rank.meta.rank == 2) cursor.integer -= 2;
    }
  }
  const RanksResult wrong = execute_ranks(planned, options_for(training, 0));
  CHECK(compare(alone, wrong.ranks[0].trace).bitwise_equal == std::optional(false));
}
