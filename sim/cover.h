// Lower bounds on what recomputation costs, from one observation: what keep-all holds above the
// limit while an op runs must be absent then, and an absent value that is needed again costs one
// more execution of its producer between the two uses.
#pragma once

#include <cstdint>

#include "sim/graph.h"
#include "sim/schedule.h"

namespace tidemark {

struct RecomputeBound {
  std::int64_t cost_ns = 0;  // no schedule within the limit costs less
  bool possible = true;      // false: no schedule within the limit exists; cost_ns means nothing
};

/// One op at a time, by an exact 0/1 knapsack cover (branch and bound with a fixed number of
/// nodes; when they do not suffice, what they prove). Needs no solver.
[[nodiscard]] RecomputeBound step_cover_bound(const Dataflow& flow, std::int64_t limit_bytes);

}  // namespace tidemark
