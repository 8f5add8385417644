// A training step as ranks of a pipeline: each op once, on the rank of its layer, with as many
// micro-batches in flight as the closed form says, and in the time of the closed form.
#include "sim/pipeline_ranks.h"

#include <map>
#include <set>

#include "../catch.h"
#include "shard_sources.h"
#include "sim/check.h"
#include "sim/device.h"
#include "sim/pipeline_replay.h"
#include "sim/pipeline_stages.h"
#include "sim/rank_search.h"
#include "sim/timeline.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// Four equal blocks.
Trace decoder(std::int64_t micro_batches, const char* model = "llama-tiny") {
  RunConfig config = default_run(model);
  config.batch = micro_batches;
  config.accumulation = micro_batches;
  Trace trace = build_program(config);
  fill_modelled_times(find_device("laptop-core"), trace);
  return trace;
}

Strategy strategy_of(const PipelineSplit& split, std::int64_t micro_batches) {
  Strategy s;
  s.layout = {.pipeline = split.ranks, .virtual_stages = split.virtual_stages};
  s.schedule = split.schedule;
  s.stage_layers = split.stage_layers;
  s.batch.micro_batches = micro_batches;
  return s;
}

const std::vector<PipelineSplit> k_splits{
    {.ranks = 2},
    {.ranks = 4},
    {.ranks = 4, .schedule = PipelineSchedule::gpipe},
    {.ranks = 4, .schedule = PipelineSchedule::zero_bubble},
    {.ranks = 2, .schedule = PipelineSchedule::interleaved, .virtual_stages = 2},
    {.ranks = 3, .schedule = PipelineSchedule::zero_bubble, .stage_layers = {2, 1, 1}}};

/// Ops of the body that the source has, in order.
std::vector<OpId> own_ops(const Trace& rank) {
  std::vector<OpId> out;
  for (const Instruction& line : rank.program.body) {
    if (line.kind == InstructionKind::run && rank[line.op()].origin.valid()) {
      out.push_back(line.op());
    }
  }
  return out;
}

/// Most micro-batches of which `keeps` has begun an op and `ends` has not ended all.
std::int64_t most_in_flight(const Trace& rank) {
  std::map<std::int32_t, std::int64_t> left;  // backward ops by micro-batch
  for (const OpId id : own_ops(rank))
    left[rank[id].micro_batch] += rank[id].phase == Phase::backward;
  std::set<std::int32_t> open;
  std::int64_t most = 0;
  for (const OpId id : own_ops(rank)) {
    const Op& op = rank[id];
    if (op.phase == Phase::forward) open.insert(op.micro_batch);
    most = std::max(most, std::ssize(open));
    if (op.phase == Phase::backward && --left[op.micro_batch] == 0) open.erase(op.micro_batch);
  }
  return most;
}

}  // namespace

TEST_CASE("pipeline ranks: legal together, and each op of the step is on one of them") {
  for (const char* model : {"llama-tiny", "gpt2-tiny"}) {
    const Trace source = decoder(4, model);
    for (const PipelineSplit& split : k_splits) {
      CAPTURE(model, split.ranks, to_string(split.schedule));
      const std::vector<Trace> ranks = layout_placed(source, layout_of(split));
      const std::vector<Finding> findings = check_ranks(ranks);
      for (const Finding& f : findings) FAIL_CHECK(f.place << ": " << f.message);
      std::map<std::int32_t, int> times;
      for (const Trace& rank : ranks) {
        for (const OpId id : own_ops(rank)) ++times[rank[id].origin.value];
      }
      for (const Instruction& line : source.program.body) {
        if (line.kind != InstructionKind::run) continue;
        const Op& op = source[line.op()];
        CAPTURE(op.name);
        const bool tied = op.name.starts_with("embedding.wte");
        const bool load = op.kind == OpKind::load_batch;  // tokens and targets
        CHECK(times[line.index] == (load || tied ? 2 : 1));
      }
    }
  }
}

TEST_CASE("pipeline ranks: as many micro-batches in flight as the events of the schedule leave") {
  for (const std::int64_t micro_batches : {2, 4, 8}) {
    const Trace source = decoder(micro_batches);
    for (const PipelineSchedule schedule :
         {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble}) {
      const PipelineSplit split{.ranks = 4, .schedule = schedule};
      const Strategy s = strategy_of(split, micro_batches);
      const std::vector<Trace> ranks = shard_pipeline(source, shard_source_of(source), split);
      for (std::int64_t rank = 0; rank < split.ranks; ++rank) {
        CAPTURE(micro_batches, to_string(schedule), rank);
        const std::int64_t ahead =
            std::min(micro_batches, forwards_ahead(s, rank) + weights_behind(s, rank));
        CHECK(most_in_flight(ranks[static_cast<std::size_t>(rank)]) == ahead);
      }
    }
  }
}

TEST_CASE("pipeline ranks: 1F1B keeps activations of fewer micro-batches than GPipe") {
  const Trace source = decoder(8);
  const auto activations = [&source](PipelineSchedule schedule, std::size_t rank) {
    const std::vector<Trace> ranks =
        layout_placed(source, layout_of({.ranks = 4, .schedule = schedule}));
    const Timeline t = replay(ranks[rank], {SpaceKind::device, static_cast<std::int32_t>(rank)});
    return static_cast<double>(t.peak.by_category[static_cast<std::size_t>(Category::activation)]);
  };
  for (const std::size_t rank : {0U, 1U, 2U}) {  // the last one has the loss, too
    CAPTURE(rank);
    const double each = activations(PipelineSchedule::gpipe, rank) / 8;
    const double plain = activations(PipelineSchedule::one_f_one_b, rank);
    CHECK(plain / each == Approx(4.0 - static_cast<double>(rank)).epsilon(0.06));
    const double apart = activations(PipelineSchedule::zero_bubble, rank);
    CHECK(apart <= 4.1 * each);
    CHECK(apart >= plain);
  }
}

TEST_CASE("pipeline ranks: the step takes what the closed form of the schedule says") {
  const Trace source = decoder(8);
  const ShardSource parts = shard_source_of(source);
  for (const PipelineSplit& split : k_splits) {
    CAPTURE(split.ranks, to_string(split.schedule));
    const Strategy s = strategy_of(split, 8);
    const PipelineStages stages(source, parts, s);
    std::vector<StageTime> times;
    const auto sum = [&source](const std::vector<OpId>& ops) {
      double ns = 0;
      for (const OpId id : ops) ns += static_cast<double>(source[id].duration_ns);
      return ns;
    };
    for (std::int64_t stage = 0; stage < stages.count(); ++stage) {
      const StagePasses& p = stages.passes(stage, 3);
      times.push_back({sum(p.forward), sum(p.backward), sum(p.weights)});
    }
    const double pipeline_ns = replay_pipeline(s, times).end_ns;
    double optimizer_ns = 0;  // of the rank with most of it
    double messages_ns = 0;
    for (const Trace& rank : layout_placed(source, layout_of(split))) {
      double own_ns = 0;
      for (const Instruction& line : rank.program.body) {
        if (line.kind != InstructionKind::run) continue;
        const Op& op = rank[line.op()];
        if (op.phase == Phase::optimizer) own_ns += static_cast<double>(op.duration_ns);
      }
      optimizer_ns = std::max(optimizer_ns, own_ns);
      messages_ns = static_cast<double>(rank.plan.step_ns);
    }
    // Messages are small here, but both ends stop for them.
    CHECK(messages_ns >= pipeline_ns);
    CHECK(messages_ns <= 1.25 * (pipeline_ns + optimizer_ns));
  }
}

TEST_CASE("pipeline stages: layers are blocks, spread evenly in time or as asked") {
  const Trace source = decoder(2);
  const ShardSource parts = shard_source_of(source);
  const auto layers = [&](const PipelineSplit& split) {
    return PipelineStages(source, parts, strategy_of(split, 2)).layers();
  };
  CHECK(layers({.ranks = 4}) == std::vector<std::int64_t>{1, 1, 1, 1});
  CHECK(layers({.ranks = 2, .stage_layers = {3, 1}}) == std::vector<std::int64_t>{3, 1});
  CHECK_THROWS_WITH(layers({.ranks = 5}), Catch::Contains("--ranks: expected at most 4 stages"));
  CHECK_THROWS_WITH(layers({.ranks = 2, .stage_layers = {2, 3}}),
                    Catch::Contains("--stage-layers: expected 2 numbers from 1 whose sum is 4"));
}

TEST_CASE("pipeline ranks: what cannot be is said") {
  const Trace source = decoder(3);
  CHECK_THROWS_WITH(shard_pipeline(source, shard_source_of(source), {.ranks = 1}),
                    Catch::Contains("--ranks"));
  CHECK_THROWS_WITH(
      shard_pipeline(source, shard_source_of(source),
                     {.ranks = 2, .schedule = PipelineSchedule::interleaved, .virtual_stages = 2}),
      Catch::Contains("a divisor of the 3 micro-batches"));
  CHECK_THROWS_WITH(
      shard_pipeline(source, shard_source_of(source), {.ranks = 2, .virtual_stages = 2}),
      Catch::Contains("--chunks"));
  const Trace normed = build_program(default_run("resnet20"));
  CHECK_THROWS_WITH(shard_pipeline(normed, shard_source_of(normed), {.ranks = 2}),
                    Catch::Contains("without running statistics (batch norm)"));
  Trace inference = source;
  inference.program.body.clear();
  CHECK_THROWS_AS(shard_pipeline(inference, shard_source_of(inference), {.ranks = 2}), InputError);
}
