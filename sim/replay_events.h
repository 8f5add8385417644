// What a program would have recorded.
#pragma once

#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// The events of replay(trace, space, steps) in all spaces together, in the order of time and, at
/// one time, of issue: allocations with their place (-1 when they have none), frees, ops, steps.
/// The same contract as replay(); defined beside it.
[[nodiscard]] std::vector<Event> replay_events(const Trace& trace, int steps = 1);

}  // namespace tidemark
