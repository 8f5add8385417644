#include "sim/rank_search.h"

#include <limits>

#include "../catch.h"
#include "sim/check.h"
#include "sim/device.h"
#include "sim/placement.h"
#include "sim/timeline.h"
#include "tests/sim/shard_sources.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Trace timed_decoder() {
  RunConfig config = default_run("gpt2-tiny");
  config.model.gpt2.layers = 1;
  config.batch = config.accumulation = 2;
  config.sequence = 16;
  Trace source = build_program(config);
  fill_modelled_times(find_device("laptop-core"), source);
  return source;
}

const std::vector<ShardStage> k_all{ShardStage::data, ShardStage::zero1, ShardStage::zero2,
                                    ShardStage::zero3};

}  // namespace

TEST_CASE("ranks without decisions are placed alike and legal together") {
  const Trace source = timed_decoder();
  for (const ShardStage stage : k_all) {
    const std::vector<Trace> ranks = shard_placed(source, stage, 2);
    CHECK(check_ranks(ranks).empty());
    for (const Trace& rank : ranks) {
      const Space device{SpaceKind::device, rank.meta.rank};
      CHECK(placement_height(rank, device) == rank.plan.height_bytes);
      CHECK(rank.plan.peak_bytes == replay(rank, device).peak.bytes);
    }
  }
}

TEST_CASE("the joint plan is never worse than a single strategy in the same budget") {
  const Trace source = timed_decoder();
  SearchRequest request;
  request.link_bytes_per_s = 10e9;
  request.nodes = 10;
  request.method = "joint";
  const std::int64_t peak = shard_placed(source, ShardStage::data, 2)[0].plan.height_bytes;
  for (const int percent : {85, 70}) {
    CAPTURE(percent);
    request.budget_bytes = peak * percent / 100 / k_granule_bytes * k_granule_bytes;
    const RankSearchResult joint = search_layouts(source, layouts_of(k_all, 2), request);
    REQUIRE(joint.best >= 0);
    REQUIRE(joint.planned.size() == 2);
    CHECK(check_ranks(joint.planned).empty());
    const PlanRecord& plan = joint.planned[0].plan;
    CHECK(plan.height_bytes <= request.budget_bytes);
    for (const ShardStage stage : k_all) {  // sharding alone
      const PlanRecord alone = shard_placed(source, stage, 2)[0].plan;
      if (alone.height_bytes <= request.budget_bytes) CHECK(plan.step_ns <= alone.step_ns);
    }
    for (const bool recompute : {true, false}) {  // recomputation or offload alone
      SearchRequest single = request;
      single.allow_recompute = recompute;
      single.allow_offload = !recompute;
      const SearchResult alone = search(shard_placed(source, ShardStage::data, 2)[0], single);
      if (alone.feasible) CHECK(plan.step_ns <= alone.planned.plan.step_ns);
    }
  }
}

TEST_CASE("a stage that is not possible is passed over with its reason, unless all are") {
  const Trace source = timed_decoder();  // two micro-batches, four heads
  SearchRequest request;
  request.budget_bytes = shard_placed(source, ShardStage::tensor, 4)[0].plan.height_bytes;
  request.nodes = 5;
  request.method = "joint";
  const RankSearchResult found =
      search_layouts(source, layouts_of({ShardStage::zero1, ShardStage::tensor}, 4), request);
  CHECK(found.layouts[0].refused.find("a divisor of the 2 micro-batches") != std::string::npos);
  CHECK(found.layouts[1].refused.empty());
  CHECK(found.best == 1);
  CHECK(found.planned.size() == 4);
  CHECK_THROWS_WITH(
      search_layouts(source, layouts_of({ShardStage::zero1, ShardStage::tensor}, 3), request),
      Catch::Contains("--ranks"));
}

TEST_CASE("a budget in which no stage fits has no plan, and says what is the least of each") {
  SearchRequest request;
  request.budget_bytes = 64 << 10;
  request.nodes = 5;
  request.method = "joint";
  const RankSearchResult result =
      search_layouts(timed_decoder(), layouts_of({ShardStage::zero3}, 2), request);
  CHECK(result.best == -1);
  CHECK(result.planned.empty());
  CHECK(result.layouts.at(0).bound_bytes > request.budget_bytes);
}

TEST_CASE("the search over all layouts is never worse than any of them, and prunes soundly") {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = config.accumulation = 4;
  config.sequence = 16;
  Trace source = build_program(config);
  fill_modelled_times(find_device("laptop-core"), source);
  SearchRequest request;
  request.link_bytes_per_s = 10e9;
  request.nodes = 3;
  request.method = "joint";
  const std::vector<RankLayout> layouts = layouts_of(4);
  CHECK(layouts.size() == 50);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const RankLayout& layout : {layout_of(ShardStage::data, 4), layout_of(ShardStage::zero1, 4),
                                   layout_of(ShardStage::tensor, 4)}) {
    least = std::min(least, layout_placed(source, layout)[0].plan.height_bytes);
  }
  for (const int percent : {110, 80}) {
    CAPTURE(percent);
    request.budget_bytes = least * percent / 100 / k_granule_bytes * k_granule_bytes;
    const RankSearchResult all = search_layouts(source, layouts, request);
    REQUIRE(all.best >= 0);
    const LayoutPlan& best = all.layouts[static_cast<std::size_t>(all.best)];
    CHECK(check_ranks(all.planned).empty());
    CHECK(std::ssize(all.planned) == 4);
    for (const Trace& rank : all.planned) {
      CHECK(rank.plan.height_bytes <= request.budget_bytes);
      CHECK(placement_height(rank, {SpaceKind::device, rank.meta.rank}) <= rank.plan.height_bytes);
      CHECK(rank.plan.step_ns == best.step_ns);
    }
    for (const LayoutPlan& plan : all.layouts) {
      CAPTURE(to_text(plan.layout));
      if (!plan.refused.empty()) continue;
      if (plan.feasible) {
        CHECK(plan.step_ns >= best.step_ns);
        CHECK(plan.step_ns >= plan.bound_step_ns);
        continue;
      }
      for (const Trace& rank : layout_placed(source, plan.layout)) {  // without any decision
        if (rank.plan.height_bytes > request.budget_bytes) break;
        CHECK(rank.plan.step_ns >= best.step_ns);
      }
      if (plan.searched || plan.layout.sizes.shard > 0) continue;
      const LayoutPlan alone = search_layouts(source, {plan.layout}, request).layouts[0];
      if (alone.feasible) CHECK(alone.step_ns >= best.step_ns);
    }
  }
}

TEST_CASE("a search over layouts that is stopped gives the best so far, or nothing") {
  const Trace source = timed_decoder();
  SearchRequest request;
  request.budget_bytes = shard_placed(source, ShardStage::data, 2)[0].plan.height_bytes;
  request.progress = [](const SearchProgress&) { return false; };
  const RankSearchResult result = search_layouts(source, layouts_of(2), request);
  CHECK(result.cancelled);
  CHECK(result.best == -1);
  CHECK(result.layouts.size() == layouts_of(2).size());
}

TEST_CASE("experts are spread over data ranks in each way that divides both") {
  std::vector<std::string> texts;
  for (const RankLayout& layout : layouts_of(4, 2)) {
    if (layout.sizes.data == 4 && layout.states <= ShardStage::zero1) {
      texts.push_back(to_text(layout));
    }
  }
  CHECK(texts == std::vector<std::string>{"dp=4 data", "dp=4 zero1", "dp=4,shard=2 zero1",
                                          "dp=4,ep=2 data", "dp=4,ep=2 zero1",
                                          "dp=4,ep=2,shard=2 zero1"});
  CHECK(
      std::ranges::all_of(layouts_of(4), [](const RankLayout& l) { return l.sizes.expert == 1; }));
}
