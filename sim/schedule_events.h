// Pipeline schedules as lists of events, so that a new schedule needs no new formula.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/strategy.h"

namespace tidemark {

struct PipelineEvent {
  bool is_forward = true;
  std::int64_t chunk = 0;  // of the rank's virtual stages
  std::int64_t micro_batch = 0;
  bool operator==(const PipelineEvent&) const = default;
};

/// What pipeline rank `rank` runs in one step, in order. GPipe: Huang et al. 2019; 1F1B:
/// PipeDream-Flush, Narayanan et al. 2021, section 2.2.1; interleaved: section 2.2.2 there.
[[nodiscard]] std::vector<PipelineEvent> schedule_events(const Strategy& strategy,
                                                         std::int64_t rank);

}  // namespace tidemark
