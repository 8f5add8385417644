// The ways of searching for one budget, one after the other; the best plan of all wins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/candidates.h"
#include "sim/search.h"

namespace tidemark {

/// What one way learned at one budget of a large body, for the next budget.
struct Lesson {
  double slack = 1.002;            // height of the placement per byte of the limit on live bytes
  std::vector<std::size_t> order;  // of the settings of the sweep, the most promising first
};
using Lessons = std::map<std::string, Lesson>;  // by method

struct WaysResult {
  std::optional<Candidate> best;    // within the budget of the candidates; none when none was found
  std::int64_t proven_cost_ns = 0;  // of the ops of the body, back to back: no plan takes less;
                                    // 0 = nothing beyond step_bound_ns() was proven
};

/// By the method of the request. `smaller` is the result for a smaller budget, null when there is
/// none.
[[nodiscard]] WaysResult best_of_ways(Candidates& candidates, const SearchRequest& request,
                                      const SearchResult* smaller, Lessons& lessons);

}  // namespace tidemark
