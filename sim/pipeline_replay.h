// When each rank of a pipeline is done: the event lists of its schedule, replayed in time.
#pragma once

#include <vector>

#include "sim/schedule_events.h"

namespace tidemark {

/// Of one stage (chunk of a rank) and one micro-batch.
struct StageTime {
  double forward_ns = 0;
  double backward_ns = 0;  // without what is in weights_ns
  double weights_ns = 0;   // of gradients of weights; apart only in a schedule that has them apart
  bool operator==(const StageTime&) const = default;
};

struct PipelineTime {
  double end_ns = 0;                          // of the last event of all ranks
  std::vector<double> rank_end_ns;            // of the last event of each rank
  std::vector<double> busy_ns;                // of each rank
  std::vector<std::vector<double>> begin_ns;  // of each rank's events
};

/// `stages`: one for each of pipeline x virtual_stages, in model order. A forward waits for that of
/// the stage before, a backward for that of the stage behind, gradients of weights for their
/// backward; each rank runs its events in order.
/// Times of messages belong to the stages. Expects a valid strategy.
[[nodiscard]] PipelineTime replay_pipeline(const Strategy& strategy,
                                           const std::vector<StageTime>& stages);

}  // namespace tidemark
