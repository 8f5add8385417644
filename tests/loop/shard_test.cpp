// Steps that are spread over ranks, executed by threads: the invariants of the README for them.
#include <algorithm>
#include <map>

#include "profiler/ranks.h"
#include "sim/check.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::array k_stages{ShardStage::data, ShardStage::zero1, ShardStage::zero2,
                              ShardStage::zero3};

RunOptions options_for(const Training& training, std::int64_t device_memory_bytes) {
  RunOptions options;
  options.steps = k_steps;
  options.device_memory_bytes = device_memory_bytes;
  options.data = &training.data;
  options.poison = true;
  return options;
}

const ArenaRecord& device_arena(const Trace& trace) {
  const auto it = std::ranges::find(trace.arenas, SpaceKind::device,
                                    [](const ArenaRecord& a) { return a.space.kind; });
  REQUIRE(it != trace.arenas.end());
  return *it;
}

/// Every rank runs in exactly the height of its plan, and not in 256 bytes less.
RanksResult require_executed_as_planned(const Training& training,
                                        const std::vector<Trace>& planned) {
  const std::int64_t height = planned[0].plan.height_bytes;
  RanksResult exact = execute_ranks(planned, options_for(training, height));
  REQUIRE(exact.ended_by == -1);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    CAPTURE(rank);
    const Comparison c = compare(planned[rank], exact.ranks[rank].trace);
    CHECK(c.peak_error_bytes == 0);
    CHECK(c.reserved_error_bytes == 0);
    CHECK(device_arena(exact.ranks[rank].trace).high_water_bytes == height);
  }
  const RanksResult tight = execute_ranks(planned, options_for(training, height - k_granule_bytes));
  CHECK(tight.ended_by >= 0);
  return exact;
}

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

/// Digests of whole buffers by step and name.
std::map<std::pair<std::int32_t, std::string>, std::int64_t> wholes_of(const Trace& trace) {
  std::map<std::pair<std::int32_t, std::string>, std::int64_t> out;
  for (const Digest& d : trace.digests) {
    if (trace[d.buffer].shard.count <= 1) out[{d.step, trace[d.buffer].name}] = d.hash;
  }
  return out;
}

/// Losses are those of one rank but for rounding; what every rank has is the same on all of them.
void require_rounded_results(const Trace& recorded, const RanksResult& ranks, double tolerance) {
  const auto wholes = wholes_of(ranks.ranks[0].trace);
  CHECK_FALSE(wholes.empty());
  for (const RunResult& rank : ranks.ranks) {
    CHECK(wholes_of(rank.trace) == wholes);
    REQUIRE(rank.trace.steps.size() == recorded.steps.size());
    for (std::size_t step = 0; step < recorded.steps.size(); ++step) {
      const StepRecord& one = recorded.steps[step];
      const StepRecord& mine = rank.trace.steps[step];
      CHECK(mine.loss == Approx(one.loss).epsilon(tolerance));
      CHECK(mine.has_eval_loss == one.has_eval_loss);
      if (one.has_eval_loss) CHECK(mine.eval_loss == Approx(one.eval_loss).epsilon(tolerance));
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
