// Level C of capacity planning: one step of a pipeline rank as a trace of memory events, tensor by
// tensor, for an allocator to be replayed on, and for all that shows traces.
#pragma once

#include <vector>

#include "sim/pipeline_replay.h"
#include "sim/strategy.h"
#include "sim/transformer.h"
#include "traces/trace.h"

namespace tidemark {

/// When the events of a step happen.
struct StepPace {
  std::vector<StageTime> stages;  // of each stage and micro-batch
  double step_ns = 0;             // all of the step; what follows the pipeline is the optimizer's
};

/// A dry trace of level 0 with an op for each layer and pass: states, then one steady step of the
/// rank's events. Its peak is that of level B (sim/capacity_walk.h) but for rounding: a byte and
/// the granule of each live buffer. Expects problems(model, strategy) to be empty, and a pace for
/// every stage. Throws InputError when the step has more than 4 million tensors.
[[nodiscard]] Trace strategy_trace(const Transformer& model, const Strategy& strategy,
                                   std::int64_t rank, const StepPace& pace);

}  // namespace tidemark
