// A judge of schedules that shares no code with the planner: it walks the executions one by one and
// finds what is live at each by looking ahead, from the rules in the instances' README alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/schedule.h"

namespace tidemark {

struct Judgement {
  std::vector<std::string> errors;  // empty = the schedule may be executed
  std::int64_t cost = 0;
  std::int64_t peak = 0;
};

/// Quadratic in the number of executions. `again` is Schedule::again.
[[nodiscard]] Judgement judge(const PlainGraph& graph,
                              const std::vector<std::vector<Position>>& again);

}  // namespace tidemark
