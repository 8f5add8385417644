// Pipelines, executed by threads: the invariants of the README for them.
#include <map>

#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/pipeline_ranks.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Hashes = std::map<std::pair<std::int32_t, std::string>, std::int64_t>;

/// Digests of weights and states by step and name.
void add_hashes(const Trace& trace, Hashes& out) {
  for (const Digest& d : trace.digests) out[{d.step, trace[d.buffer].name}] = d.hash;
}

RanksResult execute(const Training& training, const std::vector<Trace>& ranks,
                    std::int64_t device_memory_bytes) {
  RunOptions options;
  options.steps = k_steps;
  options.device_memory_bytes = device_memory_bytes;
  options.data = &training.data;
  options.poison = true;
  return execute_ranks(ranks, options);
}

std::int64_t most_height(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.height_bytes);
  return most;
}

}  // namespace

TEST_CASE("invariants 3, 4: pipelines of a decoder need what they say and give its bits") {
  RunConfig config = default_run("llama-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.dropout = 0.1;
  config.eval_every = 2;
  const Training training(config);
  Hashes expected;
  add_hashes(training.recorded, expected);
  for (const PipelineSplit& split :
       {PipelineSplit{.ranks = 2}, PipelineSplit{.ranks = 4, .schedule = PipelineSchedule::gpipe},
        PipelineSplit{.ranks = 3, .schedule = PipelineSchedule::zero_bubble},
        PipelineSplit{
            .ranks = 2, .schedule = PipelineSchedule::interleaved, .virtual_stages = 2}}) {
    CAPTURE(split.ranks, to_string(split.schedule));
    const std::vector<Trace> planned = layout_placed(training.recorded, layout_of(split));
    const RanksResult done = execute(training, planned, most_height(planned));
    REQUIRE(done.ended_by == -1);
    Hashes found;
    for (std::size_t rank = 0; rank < planned.size(); ++rank) {
      CAPTURE(rank);
      const Trace& trace = done.ranks[rank].trace;
      const Comparison c = compare(planned[rank], trace);
      CHECK(c.peak_error_bytes == 0);
      CHECK(c.reserved_error_bytes == 0);
      add_hashes(trace, found);
    }
    CHECK(found == expected);
    const Trace& last = done.ranks[split.virtual_stages > 1 ? 1 : planned.size() - 1].trace;
    REQUIRE(last.steps.size() == training.recorded.steps.size());
    for (std::size_t i = 0; i < last.steps.size(); ++i) {
      CHECK(last.steps[i].loss == training.recorded.steps[i].loss);
      CHECK(last.steps[i].eval_loss == training.recorded.steps[i].eval_loss);
    }
    const RanksResult tight = execute(training, planned, most_height(planned) - k_granule_bytes);
    CHECK(tight.ended_by >= 0);
  }
}

TEST_CASE("a pipeline with tied weights and clipping differs from one rank by rounding only") {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.optimizer.clip_norm = 0.5;
  const Training training(config);
  const std::vector<Trace> planned = layout_placed(training.recorded, layout_of({.ranks = 4}));
  const RanksResult done = execute(training, planned, most_height(planned));
  REQUIRE(done.ended_by == -1);
  const Trace& last = done.ranks.back().trace;
  REQUIRE(last.steps.size() == training.recorded.steps.size());
  for (std::size_t i = 0; i < last.steps.size(); ++i) {
    CHECK(last.steps[i].loss == Approx(training.recorded.steps[i].loss).epsilon(1e-5));
  }
  // Both copies of the tied weight stay equal.
  Hashes first_rank;
  Hashes last_rank;
  add_hashes(done.ranks.front().trace, first_rank);
  add_hashes(last, last_rank);
  int shared = 0;
  for (const auto& [key, hash] : last_rank) {
    if (!first_rank.contains(key)) continue;
    ++shared;
    CHECK(first_rank[key] == hash);
  }
  CHECK(shared > 0);
}
