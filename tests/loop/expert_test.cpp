// Experts on several ranks, executed by threads.
#include <algorithm>
#include <map>

#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/training.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RanksResult run_all(const Training& training, const std::vector<Trace>& planned,
                    std::int64_t device_memory_bytes) {
  RunOptions options;
  options.steps = k_steps;
  options.device_memory_bytes = device_memory_bytes;
  options.data = &training.data;
  options.poison = true;
  return execute_ranks(planned, options);
}

/// In the memory of the rank that needs most, and not in 256 bytes less; every peak to the byte.
RanksResult require_executed_as_planned(const Training& training,
                                        const std::vector<Trace>& planned) {
  std::int64_t height = 0;
  for (const Trace& rank : planned) height = std::max(height, rank.plan.height_bytes);
  RanksResult exact = run_all(training, planned, height);
  REQUIRE(exact.ended_by == -1);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    CAPTURE(rank);
    const Comparison c = compare(planned[rank], exact.ranks[rank].trace);
    CHECK(c.peak_error_bytes == 0);
    CHECK(c.reserved_error_bytes == 0);
  }
  CHECK(run_all(training, planned, height - k_granule_bytes).ended_by >= 0);
  return exact;
}

/// Digests after the last step of what is whole on a rank, by name.
std::map<std::string, std::int64_t> last_wholes(const Trace& trace) {
  std::map<std::string, std::int64_t> out;
  for (const Digest& d : trace.digests) {
    const bool last = d.step + 1 == static_cast<std::int32_t>(k_steps);
    if (last && trace[d.buffer].shard.count <= 1) out[trace[d.buffer].name] = d.hash;
  }
  return out;
}

/// Of the step on one rank but for rounding; what all ranks have is the same on them.
void require_rounded_results(const Training& training, const RanksResult& ranks, double tolerance) {
  const auto wholes = last_wholes(ranks.ranks[0].trace);
  for (const RunResult& rank : ranks.ranks) {
    REQUIRE(rank.trace.steps.size() == training.recorded.steps.size());
    for (std::size_t step = 0; step < rank.trace.steps.size(); ++step) {
      const StepRecord& one = training.recorded.steps[step];
      CHECK(rank.trace.steps[step].loss == Approx(one.loss).epsilon(tolerance));
      if (one.has_eval_loss) {
        CHECK(rank.trace.steps[step].eval_loss == Approx(one.eval_loss).epsilon(tolerance));
      }
    }
    for (const auto& [name, hash] : last_wholes(rank.trace)) {
      CAPTURE(name);
      if (wholes.contains(name)) CHECK(wholes.at(name) == hash);
    }
  }
}

/// A heavy load-balancing loss, large steps and clipping: what differs a little shows after 5
/// steps.
RunConfig moe(DType dtype) {
  RunConfig config = default_run("moe-tiny");
  config.model.llama.kv_heads = 4;
  config.model.llama.balance_loss = 0.5;
  config.batch = 8;
  config.accumulation = 4;
  config.sequence = 32;
  config.dtype = dtype;
  config.optimizer.learning_rate = 0.01;
  config.optimizer.clip_norm = 0.5;
  return config;
}

double tolerance_of(DType dtype) {
  return dtype == DType::f64 ? 1e-11 : 1e-4;
}

}  // namespace

TEST_CASE("invariant 3: experts on 2 and 4 ranks take their memory and lose nothing but rounding") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    RunConfig config = moe(dtype);
    config.eval_every = 2;
    const Training training(config);
    for (const Layout& sizes : {Layout{.data = 2, .expert = 2}, Layout{.data = 4, .expert = 2},
                                Layout{.data = 4, .expert = 4}}) {
      for (const ShardStage states :
           {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
        const RankLayout layout{.sizes = sizes, .states = states};
        CAPTURE(to_text(layout), to_string(dtype));
        const RanksResult result =
            require_executed_as_planned(training, layout_placed(training.recorded, layout));
        require_rounded_results(training, result, tolerance_of(dtype));
      }
    }
  }
}

TEST_CASE("invariant 3: experts on ranks beside tensor, pipeline and hybrid sharding") {
  const Training training(moe(DType::f64));
  for (const RankLayout& layout :
       {RankLayout{.sizes = {.tensor = 2, .data = 2, .expert = 2}},
        RankLayout{.sizes = {.tensor = 2, .data = 2, .expert = 2}, .states = ShardStage::zero2},
        RankLayout{.sizes = {.pipeline = 2, .data = 2, .expert = 2}},
        RankLayout{.sizes = {.data = 4, .expert = 2, .shard = 2}, .states = ShardStage::zero1},
        RankLayout{.sizes = {.tensor = 2, .pipeline = 2, .data = 2, .expert = 2},
        .states = ShardStage::zero1}}) {
    CAPTURE(to_text(layout));
    const RanksResult result =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded_results(training, result, tolerance_of(DType::f64));
  }
}

TEST_CASE("ranks that take each other's experts have other results") {
  const Training training(moe(DType::f64));
  std::vector<Trace> planned =
      layout_placed(training.recorded, {.sizes = {.data = 2, .expert = 2}});
  int swapped = 0;
  for (Trace& rank : planned) {
    for (Buffer& buffer : rank.buffers) {
      if (!buffer.name.ends_with(".of_all.mine")) continue;
      buffer.storage_offset_bytes = buffer.size_bytes - buffer.storage_offset_bytes;
      ++swapped;
    }
  }
  REQUIRE(swapped > 0);
  const RanksResult wrong = run_all(training, planned, 0);
  CHECK(wrong.ranks[0].trace.steps.back().loss !=
        Approx(training.recorded.steps.back().loss).epsilon(1e-6));
}
