#include "sim/reserved_search.h"

#include <algorithm>
#include <utility>

#include "sim/allocator_replay.h"

namespace tidemark {

ReservedResult search_reserved(const Trace& source, const SearchRequest& request,
                               AllocatorKind kind, const AllocatorConf& conf) {
  constexpr int k_rounds = 8;
  constexpr std::int64_t k_close = 64;  // a 64th of the budget is close enough
  ReservedResult best;
  SearchRequest point = request;
  std::int64_t low = 0;                          // a budget on live bytes whose plan fits, or none
  std::int64_t high = request.budget_bytes + 1;  // one whose plan reserves too much
  bool cut = false;
  for (int round = 0; round < k_rounds; ++round) {
    SearchResult found = search(source, point);
    cut = !found.reproducible;
    if (round == 0) best.search = found;  // its bounds hold for the budget that was asked for
    if (!found.feasible) {
      if (round == 0) break;
      low = point.budget_bytes;  // no plan below: the answer lies above, if anywhere
    } else {
      const std::int64_t reserved = reserved_peak_bytes(found.planned, kind, conf);
      const bool least = best.least_reserved_bytes == 0 || reserved < best.least_reserved_bytes;
      if (least) best.least_reserved_bytes = reserved;
      const bool fits = reserved <= request.budget_bytes;
      const bool faster =
          best.reserved_bytes == 0 || found.planned.plan.step_ns < best.search.planned.plan.step_ns;
      (fits ? low : high) = point.budget_bytes;
      if (fits && faster) {
        found.infeasible = best.search.infeasible;
        found.planned.plan.budget_bytes = request.budget_bytes;
        found.planned.plan.bound_step_ns = best.search.planned.plan.bound_step_ns;
        best.search = std::move(found);
        best.reserved_bytes = reserved;
      }
      if (fits && round == 0) break;
      point.budget_bytes -= reserved - request.budget_bytes;
    }
    if (cut || high - low <= request.budget_bytes / k_close) break;
    if (point.budget_bytes <= low || point.budget_bytes >= high) {
      point.budget_bytes = low + (high - low) / 2;
    }
  }
  best.search.feasible = best.reserved_bytes > 0;
  best.search.out_of_time = !best.search.feasible && cut && request.time_limit_s > 0;
  return best;
}

}  // namespace tidemark
