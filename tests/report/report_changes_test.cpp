// What could be changed: every saving is that of the changed strategy, best first.
#include "sim/report_changes.h"

#include "../catch.h"
#include "report_samples.h"
#include "sim/capacity_walk.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("report changes: savings are those of the changed strategy, best first") {
  const ReportSpec spec = spec_of(small_text());
  const Transformer& model = find_transformer("llama3-8b")->model;
  Strategy s;
  s.layout = {.tensor = 2, .data = 4};
  s.recipe = find_recipe("ddp");
  s.batch = {.sequence = 2048, .micro_batch = 4, .micro_batches = 2};
  REQUIRE(problems(model, s).empty());
  const std::vector<Change> changes = changes_of(model, s, spec.devices[1].site);
  const auto find = [&changes](const std::string& what) {
    const auto at = std::find_if(changes.begin(), changes.end(),
                                 [&what](const Change& c) { return c.what == what; });
    REQUIRE(at != changes.end());
    return *at;
  };
  const double bytes = walk(model, s).memory.total();
  Strategy full = s;
  full.recompute.add(Recompute::full);
  CHECK(find("recompute full").saved_bytes == bytes - walk(model, full).memory.total());
  Strategy sharded = s;
  sharded.recipe.master.group = sharded.recipe.moments.group = ShardGroup::data;
  CHECK(find("shard the optimizer over data ranks").saved_bytes ==
        bytes - walk(model, sharded).memory.total());
  CHECK(find("sequence parallel").saved_bytes > 0);
  CHECK(find("micro-batch 2").saved_bytes > 0);
  CHECK(find("tp=4, dp=2").saved_bytes > 0);
  const auto worth = [](const Change& c) {
    if (c.slower_pct && *c.slower_pct <= 0) return 1e30 + c.saved_bytes;
    return c.slower_pct ? c.saved_bytes / *c.slower_pct : c.saved_bytes;
  };
  for (std::size_t i = 1; i < changes.size(); ++i)
    CHECK(worth(changes[i - 1]) >= worth(changes[i]));
  for (const Change& c : changes) CHECK(c.saved_bytes > 0);
}
