// Our engine for recomputation. What comes back always says how far from the optimum it may be.
//
//   1. A bound by one cut (sim/windows.h).
//   2. Local search until the bound is met or the limits are used up: simulated annealing with a
//      price on bytes above the limit (sim/anneal.h), and after each cooling the best set of many
//      moves at once (sim/combine.h), which does what annealing cannot: pack.
//   3. A better bound by more cuts, now that a schedule is known that has to be beaten.
//   4. When `exact` is asked for and the gap is still open: the full program (sim/exact.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sim/graph.h"
#include "sim/schedule.h"

namespace tidemark {

struct EngineProgress {
  std::int64_t nodes = 0;
  std::int64_t best_cost_ns = -1;  // -1 = nothing fits yet
  std::int64_t bound_cost_ns = 0;
};

struct EngineRequest {
  std::int64_t limit_bytes = 0;  // of live bytes, persistent ones included
  std::int64_t nodes = 2000000;  // moves; without a time limit the result is a function of it
  std::int64_t seed = 1;
  double time_limit_s = 0;          // 0 = none
  bool cpu_time = false;            // the limit is on the processor time of the whole process
  std::int64_t bound_cost_ns = -1;  // known already; -1 = computed first, improved at the end
  bool exact = false;               // try to prove the optimum by the full program
  Schedule start;                   // where to begin; empty = keep-all
  std::function<bool(const EngineProgress&)> progress;  // between rounds; false = stop
};

struct EngineResult {
  bool fits = false;
  bool proven_infeasible = false;  // no schedule fits
  bool cut = false;                // ended by the clock or by progress
  Schedule schedule;               // that fits, when `fits`
  std::int64_t cost_ns = 0;
  std::int64_t bound_cost_ns = 0;  // no schedule within the limit costs less
  std::int64_t nodes = 0;
  std::string refused{};  // why the full program was asked for and not tried; one line
  [[nodiscard]] bool proven_optimal() const { return fits && cost_ns <= bound_cost_ns; }
};

[[nodiscard]] EngineResult run_engine(const Dataflow& flow, const EngineRequest& request);

/// No schedule of recomputations has a lower peak: the most bytes, over all ops, of the op's own
/// operands and of all that cannot be made again for a later op. Names the op.
struct LeastPeak {
  std::int64_t bytes = 0;
  Position op = -1;
};
[[nodiscard]] LeastPeak least_peak(const Dataflow& flow);

}  // namespace tidemark
