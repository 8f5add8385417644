// Lower bounds on what recomputation costs, from a small 0/1 program.
//
// The body is cut at a few ops into windows. The program says which values are kept while each cut
// runs, and which ops run again in each window. A value that an execution of a window reads is made
// in it, or kept at the cut before it; what is kept at a cut fits beside the op that runs there.
// Between the cuts the program looks at one more thing: what keep-all holds above the limit while
// an op runs is absent, and runs again between that op and its next use. Every schedule within the
// limit is a solution, hence the least cost of the program is a bound.
//
// It is the formulation of Checkmate (Jain et al. 2020) with its stages joined to windows. One cut,
// at the highest op, gives a knapsack with precedence; that is often as much as all stages say, for
// a few hundred columns in place of a hundred thousand. With each op a cut it is Checkmate's, apart
// from the bytes inside a stage.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "sim/cover.h"
#include "sim/graph.h"
#include "sim/timer.h"

namespace tidemark {

struct WindowLimits {
  std::size_t cuts = 1;          // >= 1
  const Timer* timer = nullptr;  // ends the solver; null = no limit, the answer is reproducible
  std::int64_t nodes = 100;      // of the solver's tree
  /// Cost of a schedule that fits: only cheaper ones are of interest.
  std::int64_t upper_ns = std::numeric_limits<std::int64_t>::max();
};

/// Not below step_cover_bound(), and the same without a solver. At most limits.upper_ns.
[[nodiscard]] RecomputeBound window_bound(const Dataflow& flow, std::int64_t limit_bytes,
                                          const WindowLimits& limits);

}  // namespace tidemark
