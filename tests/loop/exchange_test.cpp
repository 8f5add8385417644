// Ranks that exchange weights and gradients in buckets and beside the computation, executed by
// threads: the invariants of the README, and the bits of ranks that do one thing after the other.
#include <bit>
#include <map>
#include <tuple>

#include "sim/rank_search.h"
#include "tests/catch.h"
#include "tests/loop/executed_ranks.h"
#include "tests/loop/training.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Hashes = std::map<std::tuple<std::int32_t, std::string, std::int32_t>, std::int64_t>;

/// Of weights, their parts and states, by step, name and place in the group; and losses.
Hashes hashes_of(const RanksResult& ranks) {
  Hashes out;
  for (const RunResult& rank : ranks.ranks) {
    for (const Digest& d : rank.trace.digests) {
      const Buffer& b = rank.trace[d.buffer];
      out[{d.step, b.name, b.shard.index}] = d.hash;
    }
    for (const StepRecord& s : rank.trace.steps) {
      out[{s.step, "loss", 0}] = std::bit_cast<std::int64_t>(s.loss);
      out[{s.step, "eval loss", 0}] = std::bit_cast<std::int64_t>(s.eval_loss);
    }
  }
  return out;
}

std::vector<StateExchange> exchanges() {
  const Buckets blocks{.by_block = true};
  const Buckets small{.bytes = 3000};
  const Buckets kept{.by_block = true, .reshard_after_forward = false};
  return {{.buckets = blocks},
          {.buckets = small},
          {.buckets = kept},
          {.buckets = {.reshard_after_forward = false}},
          {.prefetch = 0},
          {.prefetch = 2},
          {.buckets = blocks, .prefetch = 1},
          {.buckets = kept, .prefetch = 1},
          {.buckets = small, .prefetch = 3}};
}

void require_same_bits(const RunConfig& config, const Layout& sizes, ShardStage states) {
  const Training training(config);
  RankLayout layout{.sizes = sizes, .states = states};
  const Hashes plain =
      hashes_of(require_executed_as_planned(training, layout_placed(training.recorded, layout)));
  int row = 0;
  for (const StateExchange& exchange : exchanges()) {
    CAPTURE(to_text(layout), row++);
    layout.exchange = exchange;
    const std::vector<Trace> planned = layout_placed(training.recorded, layout);
    const bool same = hashes_of(require_executed_as_planned(training, planned)) == plain;
    CHECK(same);
  }
}

}  // namespace

TEST_CASE("invariants 3, 4: an MLP whose ranks exchange in buckets and beside the computation") {
  for (const ShardStage states :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    require_same_bits(odd_mlp(2), {.data = 2}, states);
    require_same_bits(odd_mlp(3), {.data = 3}, states);
  }
}

TEST_CASE("invariants 3, 4: the same of a decoder with dropout, clipping and evaluation") {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = config.accumulation = 4;
  config.sequence = 16;
  config.dropout = 0.1;
  config.optimizer.clip_norm = 0.5;
  config.eval_every = 2;
  for (const ShardStage states :
       {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    require_same_bits(config, {.data = 2}, states);
  }
  require_same_bits(config, {.data = 4}, ShardStage::zero3);
}

TEST_CASE("invariants 3, 4: the same of sets of ranks that share states") {
  for (const ShardStage states : {ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    require_same_bits(odd_mlp(4), {.data = 4, .shard = 2}, states);
  }
}

TEST_CASE("invariants 3, 4: the same beside tensor ranks and pipelines") {
  RunConfig config = default_run("llama-tiny");
  config.batch = config.accumulation = 4;
  require_same_bits(config, {.tensor = 2, .data = 2}, ShardStage::zero3);
}
