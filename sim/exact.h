// The optimum, as a mixed-integer linear program of Checkmate's kind (Jain et al. 2020) that knows
// all that a Schedule may do: every op may run again before every later one, and the bytes at each
// execution are those of evaluate(), to the byte.
//
// Columns, for a stage t (all that runs up to the original of op t):
//   again(t, i)    op i runs again in it; the only ones that must be whole numbers
//   kept(t, v)     value v is there when the stage begins
//   needed(t, v, r) v is needed in the stage by its reader r, a later reader, or a later stage
// A reader runs only when what it reads is kept or made in the stage. While op k runs in stage t,
// values whose producer comes after k count when kept, those before k when needed. A stage in
// which k does not run asks the same of k, and loses nothing: what is live there is also live at
// the next execution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "sim/graph.h"
#include "sim/schedule.h"
#include "sim/timer.h"

namespace tidemark {

struct ExactRequest {
  std::int64_t limit_bytes = 0;  // of live bytes, persistent ones included
  /// Cost of a schedule that fits: only cheaper ones are of interest.
  std::int64_t upper_ns = std::numeric_limits<std::int64_t>::max();
  const Timer* timer = nullptr;     // ends the solver; null = no limit
  std::int64_t nodes = 0;           // of the solver's tree; 0 = no limit
  std::size_t most_columns = 8000;  // refused above
};

struct ExactResult {
  std::string refused;    // one line why it was not tried; empty = it was
  bool finished = false;  // bound_ns is the optimum, or nothing within the limit is below upper_ns
  bool found = false;     // a schedule below upper_ns
  Schedule schedule;      // when found; it fits
  std::int64_t cost_ns = 0;
  std::int64_t bound_ns = 0;  // no schedule within the limit costs less, or less than upper_ns
};

[[nodiscard]] ExactResult solve_exactly(const Dataflow& flow, const ExactRequest& request);

}  // namespace tidemark
