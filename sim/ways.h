// The ways of searching for one budget, one after the other; the best plan of all wins.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/candidates.h"
#include "sim/search.h"

namespace tidemark {

/// What one way learned at one budget of a large body, for the next budget.
struct Lesson {
  double slack = 1;                // height of the placement per byte of the limit on live bytes
  std::vector<std::size_t> order;  // of the settings of the sweep, the most promising first
};
using Lessons = std::map<std::string, Lesson>;  // by method

/// The best plan within the budget of `candidates` by the method of the request; none when no way
/// found one. `smaller` is the result for a smaller budget, null when there is none.
[[nodiscard]] std::optional<Candidate> best_of_ways(Candidates& candidates,
                                                    const SearchRequest& request,
                                                    const SearchResult* smaller, Lessons& lessons);

}  // namespace tidemark
