// Local search over schedules: executions are added, taken out and moved, one value and one gap at
// a time, with exact incremental figures (sim/schedule_state.h).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "sim/schedule.h"

namespace tidemark {

struct AnnealRequest {
  std::int64_t limit_bytes = 0;  // of live bytes, persistent ones included
  std::int64_t nodes = 1000000;  // moves tried at most, over all lanes
  std::int64_t seed = 1;
  double time_limit_s = 0;  // 0 = none
  bool cpu_time = false;    // the limit is on the processor time of the whole process
  Schedule start;           // empty = keep-all
  /// No schedule can be cheaper; the search ends when it gets there.
  std::int64_t bound_ns = 0;
  /// Called between rounds, from the calling thread; return false to stop.
  std::function<bool(std::int64_t nodes, std::int64_t best_cost_ns)> progress;
};

struct AnnealResult {
  bool fits = false;
  Schedule schedule;         // the cheapest that fits; else the one with the least excess
  std::int64_t cost_ns = 0;  // of it
  std::int64_t nodes = 0;
  bool cut = false;  // by the clock or by progress: the result depends on the machine
};

/// Two lanes with seeds of their own search side by side in rounds of a fixed number of moves, and
/// share the best at the end of each: the result does not depend on threads or their timing.
[[nodiscard]] AnnealResult anneal(const Dataflow& flow, const AnnealRequest& request);

}  // namespace tidemark
