// Pipelines, executed by threads: the invariants of the README for them.
#include "sim/pipeline_ranks.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("invariants 3, 4: pipelines of a decoder need what they say and give its bits") {
  RunConfig config = default_run("llama-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.dropout = 0.1;
  config.eval_every = 2;
  const Training training(config);
  const Hashes expected = wholes_of(training.recorded);
  for (const PipelineSplit& split :
       {PipelineSplit{.ranks = 2}, PipelineSplit{.ranks = 4, .schedule = PipelineSchedule::gpipe},
        PipelineSplit{.ranks = 3, .schedule = PipelineSchedule::zero_bubble},
        PipelineSplit{
            .ranks = 2, .schedule = PipelineSchedule::interleaved, .virtual_stages = 2}}) {
    CAPTURE(split.ranks, to_string(split.schedule));
    const std::vector<Trace> planned = layout_placed(training.recorded, layout_of(split));
    const RanksResult done = require_executed_as_planned(training, planned);
    Hashes found;
    for (const RunResult& rank : done.ranks) {
      for (const auto& [key, hash] : wholes_of(rank.trace)) found[key] = hash;
    }
    CHECK(found == expected);
    const Trace& last = done.ranks[split.virtual_stages > 1 ? 1 : planned.size() - 1].trace;
    REQUIRE(last.steps.size() == training.recorded.steps.size());
    for (std::size_t i = 0; i < last.steps.size(); ++i) {
      CHECK(last.steps[i].loss == training.recorded.steps[i].loss);
      CHECK(last.steps[i].eval_loss == training.recorded.steps[i].eval_loss);
    }
  }
}

TEST_CASE("a pipeline with tied weights and clipping differs from one rank by rounding only") {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.optimizer.clip_norm = 0.5;
  const Training training(config);
  const std::vector<Trace> planned = layout_placed(training.recorded, layout_of({.ranks = 4}));
  const RanksResult done = execute_ranks(planned, options_for(training, most_height(planned)));
  REQUIRE(done.ended_by == -1);
  const Trace& last = done.ranks.back().trace;
  REQUIRE(last.steps.size() == training.recorded.steps.size());
  for (std::size_t i = 0; i < last.steps.size(); ++i) {
    CHECK(last.steps[i].loss == Approx(training.recorded.steps[i].loss).epsilon(1e-5));
  }
  // Both copies of the tied weight stay equal.
  const Hashes first_rank = wholes_of(done.ranks.front().trace);
  int shared = 0;
  for (const auto& [key, hash] : wholes_of(last)) {
    if (!first_rank.contains(key)) continue;
    ++shared;
    CHECK(first_rank.at(key) == hash);
  }
  CHECK(shared > 0);
}
