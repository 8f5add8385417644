// Meshes of ranks, executed by threads: the invariants of the README for every product of axes.
#include <algorithm>
#include <map>
#include <random>

#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

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

/// Every rank takes what its plan says, and the one that needs most cannot do with 256 bytes less.
RanksResult require_executed_as_planned(const Training& training,
                                        const std::vector<Trace>& planned) {
  RanksResult done = execute(training, planned, most_height(planned));
  REQUIRE(done.ended_by == -1);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    CAPTURE(rank);
    const Comparison c = compare(planned[rank], done.ranks[rank].trace);
    CHECK(c.peak_error_bytes == 0);
    CHECK(c.reserved_error_bytes == 0);
  }
  const RanksResult tight = execute(training, planned, most_height(planned) - k_granule_bytes);
  CHECK(tight.ended_by >= 0);
  return done;
}

using Hashes = std::map<std::pair<std::int32_t, std::string>, std::int64_t>;

/// Digests of what a rank has whole, by step and name.
Hashes wholes_of(const Trace& trace) {
  Hashes out;
  for (const Digest& d : trace.digests) {
    if (trace[d.buffer].shard.count <= 1) out[{d.step, trace[d.buffer].name}] = d.hash;
  }
  return out;
}

/// Losses of all ranks are those of one rank but for rounding, and what several ranks have whole is
/// the same on all of them.
void require_rounded(const Trace& recorded, const RanksResult& ranks, double tolerance) {
  Hashes all;
  for (const RunResult& rank : ranks.ranks) {
    for (const auto& [key, hash] : wholes_of(rank.trace)) {
      CAPTURE(key.second);
      CHECK(all.emplace(key, hash).first->second == hash);
    }
    REQUIRE(rank.trace.steps.size() == recorded.steps.size());
    for (std::size_t i = 0; i < recorded.steps.size(); ++i) {
      CHECK(rank.trace.steps[i].loss == Approx(recorded.steps[i].loss).epsilon(tolerance));
    }
  }
}

Layout sizes(std::int64_t tensor, std::int64_t pipeline, std::int64_t data,
             std::int64_t shard = 0) {
  return {.tensor = tensor, .pipeline = pipeline, .data = data, .shard = shard};
}

}  // namespace

TEST_CASE("invariants 3, 4: pipelines of data ranks give the bits of one rank") {
  RunConfig config = default_run("llama-tiny");
  config.batch = 4;
  config.accumulation = 4;
  config.dropout = 0.1;
  config.eval_every = 2;
  const Training training(config);
  const Hashes expected =
      wholes_of(training.run(shard_placed(training.recorded, ShardStage::none, 2)[0], 0).trace);
  for (const ShardStage states :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    for (const PipelineSchedule schedule :
         {PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble}) {
      const RankLayout layout{.sizes = sizes(1, 2, 2), .states = states, .schedule = schedule};
      CAPTURE(to_text(layout));
      const RanksResult done =
          require_executed_as_planned(training, layout_placed(training.recorded, layout));
      require_rounded(training.recorded, done, 1e-6);
      std::size_t compared = 0;
      for (const RunResult& rank : done.ranks) {
        for (const auto& [key, hash] : wholes_of(rank.trace)) {
          const auto same = expected.find(key);
          REQUIRE(same != expected.end());
          CAPTURE(key.second);
          CHECK(hash == same->second);
          ++compared;
        }
      }
      CHECK((compared > 0) == (states != ShardStage::zero3));
    }
  }
}

TEST_CASE("invariant 3: meshes with tensor ranks take their memory and lose nothing but rounding") {
  for (const char* model : {"gpt2-tiny", "llama-tiny"}) {
    RunConfig config = default_run(model);
    config.batch = 4;
    config.accumulation = 4;
    config.eval_every = 2;
    config.optimizer.clip_norm = 0.5;
    config.dtype = DType::f64;  // so that rounding cannot hide a mistake
    const Training training(config);
    for (const RankLayout& layout :
         {RankLayout{.sizes = sizes(2, 1, 2), .states = ShardStage::zero1},
          RankLayout{.sizes = sizes(2, 2, 1)},
          RankLayout{.sizes = sizes(2, 2, 2), .states = ShardStage::data},
          RankLayout{.sizes = sizes(2, 2, 2),
          .states = ShardStage::zero2,
          .schedule = PipelineSchedule::zero_bubble},
          RankLayout{.sizes = sizes(2, 2, 2), .states = ShardStage::zero3}}) {
      CAPTURE(model, to_text(layout));
      const RanksResult done =
          require_executed_as_planned(training, layout_placed(training.recorded, layout));
      require_rounded(training.recorded, done, 1e-12);
    }
  }
}

TEST_CASE("invariant 3: hybrid sharding sums over sets, too") {
  RunConfig config = odd_mlp(4);
  config.dtype = DType::f64;
  const Training training(config);
  for (const ShardStage states : {ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    const RankLayout layout{.sizes = sizes(1, 1, 4, 2), .states = states};
    CAPTURE(to_text(layout));
    const RanksResult done =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded(training.recorded, done, 1e-12);
  }
}

TEST_CASE("property: random layouts of random small models agree with one rank") {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<std::int64_t> from) {
    return *(from.begin() + static_cast<std::ptrdiff_t>(random() % from.size()));
  };
  for (int round = 0; round < 12; ++round) {
    const char* const model = pick({0, 1}) == 0 ? "gpt2-tiny" : "llama-tiny";
    RunConfig config = pick({0, 1, 2}) == 0 ? odd_mlp(4) : default_run(model);
    config.batch = config.accumulation = pick({4, 8});
    config.dtype = DType::f64;
    config.optimizer.kind = pick({0, 1}) == 0 ? Optimizer::adamw : Optimizer::momentum;
    config.optimizer.clip_norm = pick({0, 1}) == 0 ? 0.5 : 0;
    const bool decoder = config.model.family != ModelFamily::mlp;
    RankLayout layout;
    layout.sizes.tensor = decoder ? pick({1, 2}) : 1;
    layout.sizes.pipeline = pick({1, 2});
    layout.sizes.data = pick({1, 2, 4});
    layout.states = static_cast<ShardStage>(
        pick({static_cast<int>(ShardStage::data), static_cast<int>(ShardStage::zero1),
              static_cast<int>(ShardStage::zero2), static_cast<int>(ShardStage::zero3)}));
    layout.schedule = static_cast<PipelineSchedule>(pick(
        {static_cast<int>(PipelineSchedule::gpipe), static_cast<int>(PipelineSchedule::one_f_one_b),
         static_cast<int>(PipelineSchedule::zero_bubble)}));
    if (layout.sizes.data == 4 && layout.states != ShardStage::data) {
      layout.sizes.shard = pick({0, 2});
    }
    CAPTURE(round, config.model.name, to_text(layout), config.accumulation);
    const Training training(config);
    const RanksResult done =
        require_executed_as_planned(training, layout_placed(training.recorded, layout));
    require_rounded(training.recorded, done, 1e-11);
  }
}
