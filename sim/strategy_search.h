// The fastest strategy that fits, out of all of a space, by level A of memory and time.
#pragma once

#include <optional>

#include "sim/screening.h"
#include "sim/step_time.h"

namespace tidemark {

struct SearchGoal {
  double memory_bytes = 0;  // of one rank, for tensors
  bool tries_host = false;  // also with what layers keep on the host
  bool skips = true;        // false: memory and time of every point are computed
  std::int64_t threads = 1;
};

struct FastestStrategy {
  std::optional<Strategy> strategy;  // the first of equals in the order of the space; none fits
  double step_ns = 0;
  double peak_bytes = 0;
  std::int64_t points = 0;    // all of the space
  std::int64_t too_slow = 0;  // not faster than one that fits, whatever they need
};

/// The result depends neither on `skips` nor on `threads`. Throws as for_each_strategy.
[[nodiscard]] FastestStrategy find_fastest(const TimeModel& time, const SearchSpace& space,
                                           const SearchGoal& goal);

}  // namespace tidemark
