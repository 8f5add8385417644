// Plans against what an allocator reserves, not against what is live.
#pragma once

#include <cstdint>

#include "sim/allocator_model.h"
#include "sim/search.h"

namespace tidemark {

struct ReservedResult {
  /// As of search(), but feasible only when `reserved_bytes` fit; plan.budget_bytes is the budget
  /// that was asked for, and plan.bound_step_ns holds for it: what is live is never more than what
  /// is reserved.
  SearchResult search;
  std::int64_t reserved_bytes = 0;        // of the plan; 0 when there is none
  std::int64_t least_reserved_bytes = 0;  // of all plans that were tried; 0 = none
};

/// The fastest plan found whose program, run through this allocator, reserves at most
/// request.budget_bytes (reserved_peak_bytes() of sim/allocator_replay.h). The budget on live bytes
/// moves down by what the allocator needs on top: a few searches in all.
[[nodiscard]] ReservedResult search_reserved(const Trace& source, const SearchRequest& request,
                                             AllocatorKind kind, const AllocatorConf& conf);

}  // namespace tidemark
