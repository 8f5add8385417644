// One search over sharding, recomputation and offload: which stage, and which plan of its ranks.
#pragma once

#include <string>
#include <vector>

#include "sim/search.h"
#include "sim/shard.h"

namespace tidemark {

/// A stage of sharding with the best plan of its ranks.
struct StagePlan {
  ShardStage stage = ShardStage::data;
  SearchResult search;    // of rank 0, whose rows are those of all ranks
  std::string refused{};  // why the step cannot be spread so; then nothing was searched
};

struct RankSearchResult {
  std::vector<StagePlan> stages;  // in the order asked for
  std::ptrdiff_t best = -1;       // the fastest that fits; -1 = none does
  std::vector<Trace> planned;     // one per rank, placed; empty when none fits
};

/// The ranks of one stage without any decision, placed, with a filled plan record. `source` has a
/// duration on every op, as modelled on `device` where nothing was measured; so have collectives.
/// Throws as shard().
[[nodiscard]] std::vector<Trace> shard_placed(const Trace& source, ShardStage stage,
                                              std::int32_t ranks);

/// Each stage is sharded and its ranks are planned for request.budget_bytes, which is that of each
/// rank; all ranks carry out the same decisions. Never worse than the best of: each stage without
/// decisions, recomputation alone and offload alone on whole weights and states. Of equal steps the
/// earlier stage is taken. A stage by which the step cannot be spread is passed over; throws as
/// shard() when that is so for all of them, and as search().
[[nodiscard]] RankSearchResult search_ranks(const Trace& source,
                                            const std::vector<ShardStage>& stages,
                                            std::int32_t ranks, const SearchRequest& request);

}  // namespace tidemark
