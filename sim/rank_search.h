// One search over sharding, recomputation and offload: how to spread a step, and which plans its
// ranks carry out.
#pragma once

#include <string>
#include <vector>

#include "sim/search.h"
#include "sim/shard_layout.h"

namespace tidemark {

/// A layout with the best plan of its ranks.
struct LayoutPlan {
  RankLayout layout;
  std::string refused{};            // why the step cannot be spread so; then the rest is unset
  std::int64_t bound_step_ns = -1;  // no plan of these ranks is faster
  bool searched = false;            // false: its bound says that it cannot be the fastest
  bool feasible = false;
  std::int64_t step_ns = -1;       // of the slowest rank, with what it waits for others
  std::int64_t height_bytes = -1;  // of the rank that needs most; the least found, if too much
  std::int64_t bound_bytes = -1;   // no plan of some rank needs less
  std::int64_t decisions = 0;      // of one rank of each kind
};

struct RankSearchResult {
  std::vector<LayoutPlan> layouts;  // in the order asked for
  std::ptrdiff_t best = -1;         // the fastest that fits; -1 = none does
  bool cancelled = false;
  std::vector<Trace> planned;  // one per rank, placed; empty when none fits
};

/// A stage by itself on so many ranks.
[[nodiscard]] RankLayout layout_of(ShardStage stage, std::int32_t ranks);
[[nodiscard]] std::vector<RankLayout> layouts_of(const std::vector<ShardStage>& stages,
                                                 std::int32_t ranks);

/// Every way to spread a step over so many ranks: all products of tensor (with and without
/// sequence parallelism), pipeline, context and data sizes, each way to share states, whole and
/// hybrid, and of a model with `experts` in a block each way to spread those.
[[nodiscard]] std::vector<RankLayout> layouts_of(std::int32_t ranks, std::int64_t experts = 0);

/// The ranks of a layout without any decision, placed, with a filled plan record. `source` has a
/// duration on every op, as modelled on `device` where nothing was measured; so have collectives.
/// In a pipeline these take as long as their rank waits: so step_ns of all plan records is that of
/// the rank that ends last. Throws as shard_layout().
[[nodiscard]] std::vector<Trace> layout_placed(const Trace& source, const RankLayout& layout);

/// The same for one stage, with ShardStage::none one rank that does the work of all.
[[nodiscard]] std::vector<Trace> shard_placed(const Trace& source, ShardStage stage,
                                              std::int32_t ranks);

/// Each layout's ranks are planned for request.budget_bytes, which is that of each rank; ranks that
/// are alike carry out the same decisions. The fastest is never worse than any of the layouts
/// without decisions, with recomputation alone or with offload alone. Layouts whose bound says that
/// they cannot be faster than one that was found are passed over; the bound is the step of their
/// ranks without decisions, which only take time. A layout by which the step cannot be spread is
/// passed over, too; throws as shard_layout() when that is so for all of them, and as search().
[[nodiscard]] RankSearchResult search_layouts(const Trace& source,
                                              const std::vector<RankLayout>& layouts,
                                              const SearchRequest& request);

}  // namespace tidemark
