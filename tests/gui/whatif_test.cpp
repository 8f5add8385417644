// The controls of the what-if panel as a value: which runs they allow, what layers are told.
#include "gui/whatif.h"

#include <algorithm>

#include "gui/whatif_worker.h"
#include "sim/baselines.h"
#include "sim/graph.h"
#include "sim/plan.h"
#include "tests/catch.h"
#include "tests/gui/whatif_sample.h"
#include "traces/error.h"

using namespace tidemark;
using test::tiny_config;

TEST_CASE("what-if: as recorded there is one variant, the recorded one") {
  const RunConfig recorded = tiny_config();
  const std::vector<Variant> variants = variants_of(unchanged(recorded), recorded);
  REQUIRE(variants.size() == 1);
  CHECK(variants[0].config == recorded);
}

TEST_CASE("what-if: a chosen value is the only one") {
  const RunConfig recorded = tiny_config();
  WhatIf what_if = unchanged(recorded);
  what_if.batch = {Decider::chosen, 16};
  what_if.optimizer = {Decider::chosen, Optimizer::sgd};
  const std::vector<Variant> variants = variants_of(what_if, recorded);
  REQUIRE(variants.size() == 1);
  CHECK(variants[0].config.batch == 16);
  CHECK(variants[0].config.optimizer.kind == Optimizer::sgd);
  CHECK(variants[0].learns_otherwise == 1);
  CHECK(changes_of(recorded, variants[0]) ==
        std::vector<std::string>{"batch 16 instead of 4", "optimizer sgd instead of adamw"});
}

TEST_CASE("what-if: what the planner may choose begins with what was recorded, and all are valid") {
  const RunConfig recorded = tiny_config();
  WhatIf what_if = unchanged(recorded);
  what_if.batch.by = what_if.micro_batches.by = what_if.precision.by = what_if.optimizer.by =
      Decider::planner;
  const std::vector<Variant> variants = variants_of(what_if, recorded);
  CHECK(variants.front().config == recorded);
  for (std::size_t i = 0; i < variants.size(); ++i) {
    CHECK_NOTHROW(validate(variants[i].config));
    if (i > 0) CHECK(variants[i - 1].learns_otherwise <= variants[i].learns_otherwise);
    for (std::size_t k = 0; k < i; ++k) CHECK(variants[k].config != variants[i].config);
  }
  // 2 precisions x 4 optimizers x the divisors of the batches 1 to 32 among 1, 2, 4 ... 32
  CHECK(variants.size() == 2 * 4 * (1 + 2 + 3 + 4 + 5 + 6));
}

TEST_CASE("what-if: controls that allow nothing valid are refused with the reason") {
  const RunConfig recorded = tiny_config();
  WhatIf what_if = unchanged(recorded);
  what_if.micro_batches = {Decider::chosen, 3};
  CHECK_THROWS_AS(variants_of(what_if, recorded), InputError);
}

TEST_CASE("what-if: layers that are told what is nowhere allowed stay open") {
  const RunPtr run = test::planned_from();
  const Trace& trace = run->trace();
  WhatIf what_if = unchanged(tiny_config());
  CHECK(fates_of(what_if, trace).empty());
  const LayerId layer = trace.buffers.back().layer;
  what_if.layers[trace[layer].name] = Fate::recompute;
  what_if.recompute = Decider::recorded;
  CHECK(fates_of(what_if, trace).empty());
  what_if.recompute = Decider::chosen;
  const std::vector<Fate> fates = fates_of(what_if, trace);
  REQUIRE(fates.size() == trace.buffers.size());
  for (std::size_t row = 0; row < fates.size(); ++row) {
    const bool in_layer = trace.buffers[row].layer == layer;
    CHECK(fates[row] == (in_layer ? Fate::recompute : Fate::open));
  }
  CHECK_FALSE(settings_of(what_if, trace).allow_recompute);  // elsewhere
  CHECK(settings_of(what_if, trace).allow_offload);
}

TEST_CASE("what-if: the matrix holds every byte that the step keeps for backward") {
  const RunPtr run = test::planned_from();
  const Trace& trace = run->trace();
  const Dataflow flow = dataflow_of(trace);
  const Position backward = backward_begin_of(trace, flow);
  std::int64_t held = 0;
  for (const Value& value : flow.values) {
    const bool crosses = value.movable && value.producer >= 0 && value.producer < backward &&
                         !value.uses.empty() && value.uses.back() >= backward;
    if (crosses) held += value.bytes;
  }
  std::int64_t sum = 0;
  for (const LayerRow& row : layer_rows(trace, flow, trace, {})) sum += row.held_bytes;
  CHECK(held > 0);
  CHECK(sum == held);
}

TEST_CASE("what-if: making it fit frees one control after the other, once each") {
  const RunConfig recorded = tiny_config();
  WhatIf what_if = unchanged(recorded);
  what_if.recompute = Decider::recorded;
  const WhatIfFacts facts{.recorded = recorded, .can_change = true};
  const std::vector<WhatIf> steps = freed(what_if, facts);
  REQUIRE(steps.size() == 5);
  CHECK(steps[0] == what_if);
  CHECK(steps[1].recompute == Decider::planner);
  CHECK(steps[1].optimizer.by == Decider::recorded);
  CHECK(steps[4].optimizer.by == Decider::planner);
  CHECK(freed(what_if, {.recorded = recorded, .can_change = false}).size() == 2);
}

TEST_CASE("what-if: ranks share micro-batches, which the planner may choose") {
  const RunConfig recorded = tiny_config();
  WhatIf what_if = unchanged(recorded);
  what_if.shard = {Decider::chosen, ShardStage::zero2};
  what_if.ranks = 2;
  CHECK_THROWS_WITH(variants_of(what_if, recorded),
                    Catch::Contains("expected a multiple of 2, found 1"));
  what_if.micro_batches.by = Decider::planner;
  const std::vector<Variant> variants = variants_of(what_if, recorded);
  REQUIRE(variants.size() == 2);  // 2 and 4 of the batch of 4
  for (const Variant& variant : variants) {
    CHECK(variant.spread == Spread{ShardStage::zero2, 2});
    CHECK(variant.config.accumulation % 2 == 0);
  }
  CHECK(changes_of(recorded, variants[0]) ==
        std::vector<std::string>{"micro-batches 2 instead of 1", "zero2 over 2 ranks"});
  what_if.shard.by = Decider::planner;
  CHECK(variants_of(what_if, recorded).size() == 4 * 2);
  what_if.ranks = 3;
  CHECK_THROWS_AS(variants_of(what_if, recorded), InputError);  // of a batch of 4
  what_if.batch = {Decider::chosen, 12};
  for (const Variant& variant : variants_of(what_if, recorded)) {
    CHECK(variant.config.accumulation % 3 == 0);
  }
  what_if.batch.by = Decider::recorded;
  what_if.ranks = 2;
  what_if.shard = {Decider::chosen, ShardStage::tensor};
  what_if.micro_batches.by = Decider::recorded;
  CHECK(variants_of(what_if, recorded).size() == 1);  // spreads something else
}
