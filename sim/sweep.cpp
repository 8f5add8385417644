// Plans for a range of budgets.
#include "sim/bound.h"
#include "sim/search.h"

namespace tidemark {
namespace {

/// A plan of a smaller budget, as the answer for the budget of `request`.
void adopt(const SearchResult& smaller, const Trace& source, const SearchRequest& request,
           SearchResult& result) {
  result.feasible = true;
  result.proven_infeasible = false;
  result.reproducible = result.reproducible && smaller.reproducible;
  result.planned = smaller.planned;
  result.planned.plan.budget_bytes = request.budget_bytes;
  result.planned.plan.bound_step_ns = step_bound_ns(source, request);
}

bool faster(const SearchResult& a, const SearchResult& b) {
  return a.feasible && (!b.feasible || a.planned.plan.step_ns < b.planned.plan.step_ns);
}

}  // namespace

std::vector<SearchResult> sweep(const Trace& source, const SearchRequest& request,
                                std::int64_t from_bytes, std::int64_t to_bytes, int count) {
  std::vector<SearchResult> results;
  for (int i = 0; i < count; ++i) {
    SearchRequest point = request;
    point.budget_bytes =
        count == 1 ? to_bytes : from_bytes + (to_bytes - from_bytes) * i / (count - 1);
    SearchResult result = search(source, point);
    if (!results.empty() && faster(results.back(), result)) {
      adopt(results.back(), source, point, result);
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace tidemark
