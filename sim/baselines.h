// The methods of others, on the same dataflow and judged by the same figures as our own: each
// proposes schedules, whoever asks keeps the cheapest that fits.
//
// All of them see the body as forward ops followed by backward ops. What one of them leaves out of
// the schedule was never dropped: values that may not be made again stay.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "sim/graph.h"
#include "sim/schedule.h"

namespace tidemark {

struct BaselineRequest {
  Position backward_begin = -1;  // the first backward op; -1 = there is none, so no proposals
  std::int64_t limit_bytes = 0;  // of live bytes, persistent ones included
  std::function<bool()> stopped = [] { return false; };  // asked now and then; true = give up
};

struct Baseline {
  std::string_view name;
  std::string_view about;    // one line with its source
  std::size_t most_ops = 0;  // bodies above this are left to a caller that names the method
  std::vector<Schedule> (*propose)(const Dataflow&, const BaselineRequest&) = nullptr;
};

/// chen-sqrt, chen-greedy, revolve, rotor, min-cut, and the family of DTR.
[[nodiscard]] const std::vector<Baseline>& baselines();

/// The first op of the backward phase; -1 when there is none.
[[nodiscard]] Position backward_begin_of(const Trace& source, const Dataflow& flow);

/// The cheapest legal proposal with a peak of at most request.limit_bytes, ties to the first.
struct BaselinePlan {
  bool fits = false;
  Schedule schedule;
  ScheduleFigures figures;
};
[[nodiscard]] BaselinePlan best_of(const Baseline& baseline, const Dataflow& flow,
                                   const BaselineRequest& request);

}  // namespace tidemark
