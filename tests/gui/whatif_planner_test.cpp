// Answers of the what-if panel, checked against the judges of the planner and against the search.
#include "gui/whatif_planner.h"

#include <algorithm>

#include "gui/whatif_text.h"
#include "sim/allocator_replay.h"
#include "sim/check.h"
#include "sim/plan.h"
#include "sim/rank_search.h"
#include "sim/rebuild.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "tests/gui/whatif_sample.h"
#include "traces/error.h"

using namespace tidemark;
using test::planned_from;
using test::tiny_config;

namespace {

bool always(const WhatIfProgress&) {
  return true;
}

WhatIf share_of(WhatIfPlanner& planner, int percent) {
  WhatIf what_if = unchanged(planner.recorded_config());
  what_if.budget_bytes = planner.budget_range().second * percent / 100;
  return what_if;
}

}  // namespace

TEST_CASE("what-if planner: without a budget nothing changes") {
  const RunPtr base = planned_from();
  WhatIfPlanner planner(base);
  const WhatIfResultPtr result = planner.quick(unchanged(planner.recorded_config()));
  CHECK(result->fits);
  CHECK(result->planned->trace().decisions.empty());
  CHECK(result->plan().peak_bytes == base->timeline().peak.bytes);
  CHECK(result->plan().step_ns == result->recorded_step_ns);
  CHECK(result->timing == "modelled");
}

TEST_CASE("what-if planner: answers are legal plans with true figures") {
  WhatIfPlanner planner(planned_from());
  for (const int percent : {90, 70, 60}) {
    CAPTURE(percent);
    const WhatIf what_if = share_of(planner, percent);
    for (const WhatIfResultPtr& result :
         {planner.quick(what_if), planner.choose(what_if, always)}) {
      const Trace& planned = result->planned->trace();
      CHECK(check(planned).empty());
      CHECK(result->plan().peak_bytes == replay(planned).peak.bytes);
      CHECK(result->fits == (result->plan().height_bytes <= what_if.budget_bytes));
      CHECK(result->needed_bytes() >= result->bound.bound_bytes);
    }
  }
}

TEST_CASE("what-if planner: refined is never worse, and knows how far it may be from the optimum") {
  WhatIfPlanner planner(planned_from());
  const WhatIf what_if = share_of(planner, 70);
  const WhatIfResultPtr quick = planner.quick(what_if);
  const WhatIfResultPtr refined = planner.refine(what_if, always);
  REQUIRE(quick->fits);
  REQUIRE(refined->fits);
  CHECK(refined->refined);
  CHECK(refined->plan().step_ns <= quick->plan().step_ns);
  CHECK(refined->bound_step_ns > 0);
  CHECK(refined->bound_step_ns <= refined->plan().step_ns);
  CHECK(refined->reproducible);
  CHECK(planner.refine(what_if, always)->planned->trace() == refined->planned->trace());
}

TEST_CASE("what-if planner: a layer does what it is told") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = unchanged(planner.recorded_config());
  what_if.recompute = what_if.offload = Decider::chosen;
  const std::vector<LayerRow> rows = planner.quick(what_if)->layers;
  const auto row = std::ranges::find_if(rows, [](const LayerRow& r) { return r.can_recompute; });
  REQUIRE(row != rows.end());
  for (const Fate fate : {Fate::recompute, Fate::offload, Fate::keep}) {
    what_if.layers = {{row->name, fate}};
    for (const WhatIfResultPtr& result :
         {planner.quick(what_if), planner.refine(what_if, always)}) {
      const auto told = std::ranges::find(result->layers, row->name, &LayerRow::name);
      REQUIRE(told != result->layers.end());
      CHECK(told->told == fate);
      CHECK((told->recomputed_bytes > 0) == (fate == Fate::recompute));
      CHECK((told->offloaded_bytes > 0) == (fate == Fate::offload));
      CHECK(check(result->planned->trace()).empty());
    }
  }
}

TEST_CASE("what-if planner: a batch that the planner chooses fits and is the fastest of those") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = share_of(planner, 100);
  what_if.batch.by = Decider::planner;
  const WhatIfResultPtr best = planner.choose(what_if, always);
  REQUIRE(best->fits);
  for (const std::int64_t batch : {1, 2, 4, 8, 16, 32}) {
    WhatIf single = what_if;
    single.batch = {Decider::chosen, batch};
    const WhatIfResultPtr other = planner.choose(single, always);
    CAPTURE(batch);
    if (other->fits) CHECK(other->samples_per_s() <= best->samples_per_s() * 1.0001);
  }
}

TEST_CASE("what-if planner: another optimizer only when nothing fits with the recorded one") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = share_of(planner, 90);
  what_if.optimizer.by = Decider::planner;
  CHECK(planner.choose(what_if, always)->config.optimizer.kind == Optimizer::adamw);
  what_if.offload = Decider::recorded;  // state cannot leave
  what_if.budget_bytes = planner.budget_range().second * 45 / 100;
  const WhatIfResultPtr low = planner.choose(what_if, always);
  CHECK(low->config.optimizer.kind != Optimizer::adamw);
  CHECK_FALSE(low->changes.empty());
}

TEST_CASE("what-if planner: a device changes times and link, and says what is modelled") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = unchanged(planner.recorded_config());
  what_if.device = "h100-80g";
  const WhatIfResultPtr result = planner.quick(what_if);
  CHECK(result->plan().step_ns != result->recorded_step_ns);
  CHECK(result->planned->trace().meta.device == "h100-80g");
  what_if.device = "abacus";
  CHECK_THROWS_AS(planner.quick(what_if), InputError);
}

TEST_CASE("what-if planner: with an allocator the budget bounds what it reserves") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = share_of(planner, 100);
  what_if.allocator = {Decider::chosen, AllocatorKind::pytorch};
  const WhatIfResultPtr result = planner.quick(what_if);
  CHECK(result->reserved_bytes ==
        reserved_peak_bytes(result->planned->trace(), AllocatorKind::pytorch, {}));
  CHECK(result->fits == (result->reserved_bytes <= what_if.budget_bytes));
}

TEST_CASE("what-if planner: along the front less memory is never faster") {
  WhatIfPlanner planner(planned_from());
  WhatIf what_if = unchanged(planner.recorded_config());
  what_if.offload = Decider::recorded;
  const auto results = planner.front(what_if, 4, always);
  REQUIRE(results.size() >= 2);
  for (std::size_t i = 1; i < results.size(); ++i) {
    CHECK(results[i - 1]->asked.budget_bytes < results[i]->asked.budget_bytes);
    CHECK(results[i - 1]->plan().step_ns >= results[i]->plan().step_ns);
  }
}

TEST_CASE("what-if planner: stopped work ends at once and leaves no half answer") {
  WhatIfPlanner planner(planned_from());
  const auto never = [](const WhatIfProgress&) { return false; };
  CHECK(planner.choose(share_of(planner, 70), never) == nullptr);
  const WhatIfResultPtr result = planner.refine(share_of(planner, 70), never);
  CHECK(check(result->planned->trace()).empty());
  CHECK_FALSE(result->reproducible);
}

TEST_CASE("what-if planner: a plan is planned anew from its source") {
  const RunPtr base = planned_from();
  WhatIfPlanner planner(base);
  const WhatIfResultPtr planned = planner.quick(share_of(planner, 70));
  REQUIRE_FALSE(planned->planned->trace().decisions.empty());
  WhatIfPlanner again(planned->planned);
  const WhatIfResultPtr all = again.quick(unchanged(again.recorded_config()));
  CHECK(all->planned->trace().decisions.empty());
  CHECK(all->plan().peak_bytes == base->timeline().peak.bytes);
}

TEST_CASE("what-if planner: what cannot be planned is refused in words") {
  CHECK_THROWS_WITH(WhatIfPlanner(test::run_of(test::training_trace({}))),
                    Catch::Contains("level"));
  Trace program = planned_from()->trace();
  program.meta.config_json.clear();
  WhatIfPlanner fixed(std::make_shared<const Run>("x", std::move(program)));
  CHECK_FALSE(fixed.can_change());
  CHECK_NOTHROW(fixed.quick({}));
  WhatIf what_if;
  what_if.device = "h100-80g";
  CHECK_THROWS_AS(fixed.quick(what_if), InputError);
}

TEST_CASE("what-if text: says whether it fits, why not, and what it costs") {
  WhatIfPlanner planner(planned_from());
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text, part);
    CHECK(text.find(part) != std::string::npos);
  };
  const WhatIfResultPtr fits = planner.refine(share_of(planner, 80), always);
  has(card_html(*fits), "Fits: needs ");
  has(card_html(*fits), "no plan in this budget is faster");
  has(card_line(*fits), "recompute");
  WhatIf what_if = share_of(planner, 5);
  const WhatIfResultPtr low = planner.quick(what_if);
  has(card_html(*low), "Cannot fit: needs ");
  has(card_html(*low), "must be on the device");
  has(fit_html(what_if, what_if, *low), "short by");
  has(progress_text({.done = 3, .total = 9, .search = {}}), "3 of 9 tried");
}

TEST_CASE("what-if planner: a step on ranks is what the transform of the command line makes") {
  RunConfig config = tiny_config();
  config.accumulation = 2;
  const RunPtr base = planned_from(config);
  WhatIfPlanner planner(base);
  for (const ShardStage stage : {ShardStage::data, ShardStage::zero1, ShardStage::zero2,
                                 ShardStage::zero3, ShardStage::tensor}) {
    CAPTURE(to_string(stage));
    WhatIf what_if = unchanged(config);
    what_if.shard = {Decider::chosen, stage};
    const WhatIfResultPtr result = planner.quick(what_if);
    const std::vector<Trace> expected = shard_placed(program_of(base->trace()), stage, 2);
    const std::vector<Trace> ranks = planned_traces(*result);
    REQUIRE(ranks.size() == 2);
    CHECK(result->spread == Spread{stage, 2});
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
      CHECK(ranks[rank].meta.rank == static_cast<std::int32_t>(rank));
      CHECK(check(ranks[rank]).empty());
      const Space device{SpaceKind::device, ranks[rank].meta.rank};
      CHECK(replay(ranks[rank], device).peak.bytes == replay(expected[rank], device).peak.bytes);
      CHECK(ranks[rank].plan.height_bytes == result->plan().height_bytes);
    }
    CHECK(card_html(*result).find("each rank") != std::string::npos);
  }
}

TEST_CASE("what-if planner: a plan of ranks holds on each of them, and fits what one has") {
  RunConfig config = tiny_config();
  config.accumulation = 2;
  WhatIfPlanner planner(planned_from(config));
  WhatIf what_if = unchanged(config);
  what_if.shard = {Decider::chosen, ShardStage::zero1};
  const std::int64_t all_bytes = planner.quick(what_if)->plan().height_bytes;
  what_if.budget_bytes = all_bytes * 75 / 100;
  const WhatIfResultPtr result = planner.refine(what_if, always);
  REQUIRE(result->fits);
  REQUIRE_FALSE(result->planned->trace().decisions.empty());
  const std::vector<Trace> ranks = planned_traces(*result);
  REQUIRE(ranks.size() == 2);
  for (const Trace& rank : ranks) {
    CHECK(check(rank).empty());
    CHECK(rank.decisions == result->planned->trace().decisions);
    const Space device{SpaceKind::device, rank.meta.rank};
    CHECK(replay(rank, device).peak.bytes <= what_if.budget_bytes);
  }
}

TEST_CASE("what-if planner: left to itself it takes a stage that fits") {
  RunConfig config = tiny_config();
  config.accumulation = 2;
  WhatIfPlanner planner(planned_from(config));
  WhatIf what_if = unchanged(config);
  what_if.recompute = what_if.offload = Decider::recorded;
  what_if.shard.by = Decider::planner;
  what_if.budget_bytes = planner.budget_range().second;
  const WhatIfResultPtr roomy = planner.choose(what_if, always);
  REQUIRE(roomy->fits);
  what_if.shard = {Decider::chosen, ShardStage::zero3};
  what_if.budget_bytes = planner.quick(what_if)->plan().height_bytes;
  what_if.shard.by = Decider::planner;
  const WhatIfResultPtr tight = planner.choose(what_if, always);
  REQUIRE(tight->fits);
  CHECK(tight->plan().height_bytes <= what_if.budget_bytes);
  CHECK(tight->plan().step_ns >= roomy->plan().step_ns);
}
