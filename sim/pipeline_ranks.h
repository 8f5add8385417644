// The transform that spreads the layers of a training step over ranks: from one trace to one per
// rank of a pipeline, with its micro-batches in flight (rule 10 of the architecture).
#pragma once

#include <vector>

#include "sim/shard_source.h"
#include "sim/strategy.h"
#include "traces/trace.h"

namespace tidemark {

struct PipelineSplit {
  std::int64_t ranks = 2;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  std::int64_t virtual_stages = 1;         // per rank; above 1 for `interleaved` only
  std::vector<std::int64_t> stage_layers;  // of each stage in model order; empty = even in time
};

/// One trace per rank: its stages' weights, gradients and state, and for each of its schedule's
/// events the ops of that stage and micro-batch. A value that another rank reads is sent when it is
/// made, to be there when it is needed: an all-reduce over the two, to which the receiver brings
/// -0, so that no bit of it changes. Batches are loaded where they are read. A weight of two ranks
/// (a tied output layer) is on both, and its gradients are added up; so are norms over all
/// gradients: with either, results differ from one rank by rounding, else by no bit. `source`: as
/// for shard(), or the program of a rank of earlier transforms, and `from` rank_source_of() it;
/// rank numbers along the pipeline are `stride` apart. Throws InputError as PipelineStages does,
/// and for sizes that contradict each other.
[[nodiscard]] std::vector<Trace> shard_pipeline(const Trace& source, const ShardSource& from,
                                                const PipelineSplit& split,
                                                std::int32_t stride = 1);

}  // namespace tidemark
