// Links and constants that time and memory of a strategy follow.
#include "sim/site.h"

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

Site site_with(const char* device, const char* node) {
  const DeviceTable& table = shipped_devices();
  return {.device = table.device(device), .cluster = node_of(table, device, node), .framework = {}};
}

Strategy strategy_of(const char* recipe, std::int64_t ranks) {
  Strategy s;
  s.layout.data = ranks;
  s.recipe = find_recipe(recipe);
  s.batch.sequence = 1024;
  return s;
}

}  // namespace

TEST_CASE("site: the named node, else the first with the device, else none") {
  CHECK(site_with("a100-80g", "").cluster->name == "dgx-a100-80g");
  CHECK(site_with("a100-80g", "vtrain-a100-80g").cluster->name == "vtrain-a100-80g");
  CHECK_FALSE(site_with("a10-24g", "").cluster.has_value());
  CHECK_THROWS_WITH(site_with("h100-80g", "dgx-a100-80g"),
                    Catch::Contains("expected a node of h100-80g"));
  CHECK_THROWS_AS(site_with("h100-80g", "none"), InputError);
}

TEST_CASE("site: constants are those of the library that the recipe is of") {
  Site site = site_with("a100-80g", "");
  CHECK(framework_of(site, find_recipe("zero1")).name == "megatron");
  CHECK(framework_of(site, find_recipe("deepspeed-zero3")).name == "megatron-deepspeed");
  site.framework = "megatron-deepspeed";
  CHECK(framework_of(site, find_recipe("zero1")).name == "megatron-deepspeed");
  for (const auto& [recipe, margin] : {std::pair{"fsdp2-keep", "torchtitan"},
                                       {"bf16-fused-optimizer", "torchtune"},
                                       {"deepspeed-zero2", "megatron"}}) {
    CHECK(margin_of(find_recipe(recipe)).name == margin);
  }
  for (const StateRecipe& r : named_recipes()) {
    CHECK_NOTHROW(framework_of({}, r));
    CHECK_NOTHROW(margin_of(r));
  }
}

TEST_CASE("site: times of several devices need links, slower links take longer") {
  const Transformer& model = find_transformer("llama3-8b")->model;
  const Site pairs = site_with("a10-24g", "");
  CHECK(StepTimes(model, pairs).seconds(strategy_of("zero1", 1)).has_value());
  CHECK_FALSE(StepTimes(model, pairs).seconds(strategy_of("zero1", 2)).has_value());
  const Site fast = site_with("a100-80g", "");
  const Site slow = site_with("a100-80g", "vtrain-a100-80g");
  const Strategy s = strategy_of("zero1", 64);
  CHECK(*StepTimes(model, slow).seconds(s) > *StepTimes(model, fast).seconds(s));
}

TEST_CASE("site: tensors as large as `usable` fit with a probability of one half") {
  const Site site = site_with("a100-80g", "");
  for (const char* recipe : {"zero1", "fsdp2", "bf16"}) {
    const Strategy s = strategy_of(recipe, 8);
    const MemoryDemand demand = demand_of(usable_bytes(site, s), s);
    CHECK(demand.fits_probability(static_cast<double>(site.device.memory_bytes)) == Approx(0.5));
    CHECK(verdict_of(demand, site) == Verdict::may_fit);
  }
}
