#include "sim/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sim/bound.h"
#include "sim/candidates.h"
#include "sim/methods.h"
#include "sim/milp.h"
#include "sim/ways.h"
#include "traces/error.h"

namespace tidemark {
namespace {

void require_solver(const SearchRequest& request) {
  if (request.method != "exact" || milp_available()) return;
  throw InputError(InputError::Parts{.file = {},
                                     .place = "--method exact",
                                     .expected = "a build with CBC (coinor-libcbc-dev)",
                                     .found = "a build without a solver"});
}

void require_plannable(const Trace& source, const SearchRequest& request) {
  if (source.meta.level < 2 || source.program.body.empty()) {
    throw InputError(InputError::Parts{.file = {},
                                       .place = "plan",
                                       .expected = "an executable trace (level 2)",
                                       .found = fmt::format("level {}", source.meta.level)});
  }
  std::string names;
  for (const SearchMethod& method : search_methods()) {
    if (method.name == request.method) return require_solver(request);
    names += (names.empty() ? "" : ", ") + std::string(method.name);
  }
  throw InputError(InputError::Parts{.file = {},
                                     .place = "--method",
                                     .expected = "one of " + names,
                                     .found = "'" + request.method + "'"});
}

SearchResult search_budget(Candidates& candidates, const Infeasible& bound,
                           const SearchRequest& request, const SearchResult* smaller,
                           Lessons& lessons) {
  const std::int64_t budget_bytes = request.budget_bytes;
  const std::int64_t bound_step_ns = step_bound_ns(candidates.source(), candidates.flow(), request);
  candidates.set_budget(budget_bytes, bound_step_ns);
  const std::int64_t tried_before = candidates.tried();
  const WaysResult ways = best_of_ways(candidates, request, smaller, lessons);
  const std::optional<Candidate>& best = ways.best;
  SearchResult result;
  result.budget_bytes = budget_bytes;
  result.method = best ? best->method : request.method;
  result.feasible = best.has_value();
  result.infeasible = bound;
  result.proven_infeasible = budget_bytes < bound.bound_bytes;
  if (!best) candidates.be_exact();
  result.infeasible.smallest_found_bytes = candidates.lowest().height_bytes;
  result.reproducible = candidates.reproducible();
  result.tried = candidates.tried() - tried_before;
  result.out_of_time = !best && !result.proven_infeasible && candidates.out_of_time();
  if (!best) return result;
  result.planned = candidates.planned(*best);
  result.planned.plan.bound_step_ns = bound_step_ns;
  if (candidates.keep_all().step_ns == candidates.flow().compute_ns()) {
    result.planned.plan.bound_step_ns = std::max(bound_step_ns, ways.proven_cost_ns);
  }
  result.planned.plan.bound_budget_bytes = bound.bound_bytes;
  return result;
}

}  // namespace

SearchResult search(const Trace& source, const SearchRequest& request) {
  require_plannable(source, request);
  Candidates candidates(source, request);
  Lessons lessons;
  return search_budget(candidates, budget_bound(source, candidates.flow(), request), request,
                       nullptr, lessons);
}

std::vector<SearchResult> sweep(const Trace& source, const SearchRequest& request,
                                std::int64_t from_bytes, std::int64_t to_bytes, int count) {
  require_plannable(source, request);
  Candidates candidates(source, request);
  const Infeasible bound = budget_bound(source, candidates.flow(), request);
  std::vector<SearchResult> results;
  Lessons lessons;
  for (int i = 0; i < count; ++i) {
    SearchRequest point = request;
    point.budget_bytes =
        count == 1 ? to_bytes : from_bytes + (to_bytes - from_bytes) * i / (count - 1);
    const SearchResult* smaller = results.empty() ? nullptr : &results.back();
    // On a large body most budgets are left to the way of searching that was the best one nearby.
    constexpr int k_all_methods_each = 10;
    if (candidates.large() && request.method == "auto" && i % k_all_methods_each != 0 &&
        lessons.contains(smaller->method)) {
      point.method = smaller->method;
    }
    results.push_back(search_budget(candidates, bound, point, smaller, lessons));
  }
  return results;
}

}  // namespace tidemark
