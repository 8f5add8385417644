// Steps whose tokens are spread over ranks, executed by threads.
#include "sim/check.h"
#include "sim/shard_context.h"
#include "sim/shard_source.h"
#include "sim/shard_tensor.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// Of sums in another order, after k_steps steps.
double tolerance_of(DType dtype) {
  return dtype == DType::f64 ? 1e-13 : 1e-6;
}

std::vector<Trace> sequence_parallel(const Trace& source, std::int32_t ranks) {
  const ShardSource from = shard_source_of(source);
  std::vector<Trace> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    out.push_back(shard_tensor(source, from, rank, ranks, true));
  }
  const std::vector<Finding> findings = check_ranks(out);
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
  return placed_alike(std::move(out));
}

}  // namespace

TEST_CASE("invariant 3: sequence parallel decoders lose nothing but rounding, dropout included") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    RunConfig config = default_run(model);
    config.model.llama.kv_heads = 4;
    config.eval_every = 2;
    for (const auto& [ranks, dtype] :
         {std::pair{2, DType::f32}, {4, DType::f32}, {4, DType::f64}}) {
      CAPTURE(model, ranks, to_string(dtype));
      config.dtype = dtype;
      const Training training(config);
      const RanksResult result =
          require_executed_as_planned(training, sequence_parallel(training.recorded, ranks));
      require_rounded_results(training.recorded, result, tolerance_of(dtype));
      config.accumulation = 2;
      config.attention = AttentionLowering::flash;
      config.optimizer.clip_norm = 0.5;
      config.dropout = 0.1;
    }
  }
}

TEST_CASE("invariant 3: a rank of sequence parallelism may have a part of one sequence") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    CAPTURE(model);
    RunConfig config = default_run(model);
    config.batch = 1;
    config.dropout = 0.1;
    config.dtype = DType::f64;
    const Training training(config);
    const RanksResult result =
        require_executed_as_planned(training, sequence_parallel(training.recorded, 2));
    require_rounded_results(training.recorded, result, tolerance_of(config.dtype));
  }
}

namespace {

std::vector<Trace> context_parallel(const Trace& source, std::int32_t ranks) {
  const ShardSource from = shard_source_of(source);
  std::vector<Trace> out;
  for (std::int32_t rank = 0; rank < ranks; ++rank) {
    out.push_back(
        shard_context(source, from, {.name = "context_parallel", .index = rank, .count = ranks}));
  }
  const std::vector<Finding> findings = check_ranks(out);
  if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
  return placed_alike(std::move(out));
}

}  // namespace

TEST_CASE("context parallel ranks have the loss of one rank, with every dropout") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    RunConfig config = default_run(model);
    for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
      CAPTURE(model, to_string(lowering));
      config.attention = lowering;
      config.dropout = 0.1;
      config.attention_dropout = 0.1;
      config.dtype = DType::f64;
      const Training training(config);
      const RanksResult result =
          require_executed_as_planned(training, context_parallel(training.recorded, 2));
      CHECK(result.ranks[1].trace.steps[0].loss ==
            Approx(training.recorded.steps[0].loss).epsilon(1e-14));
    }
  }
}
