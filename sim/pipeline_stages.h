// Which stage of a pipeline an op of a training step belongs to, and in which of its passes.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sim/schedule_events.h"
#include "sim/shard_source.h"
#include "traces/trace.h"

namespace tidemark {

/// The ops of one stage and one micro-batch, in the order of the source.
struct StagePasses {
  std::vector<OpId> forward;
  std::vector<OpId> backward;
  std::vector<OpId> weights;  // gradients of weights that may wait, when the schedule lets them
  bool operator==(const StagePasses&) const = default;
};

class PipelineStages {
 public:
  /// Of `source` in as many stages as `strategy` has (pipeline x virtual_stages): contiguous runs
  /// of its layers, as strategy.stage_layers says, else so that the slowest stage takes the least
  /// time by the durations of the ops. Layers are what has layers inside (blocks); without two of
  /// these, all at the top that have weights. What comes before the first goes to the first stage,
  /// what comes behind the last to the last. Throws InputError when there are fewer layers than
  /// stages, when stage_layers do not fit, or when micro-batches share values.
  PipelineStages(const Trace& source, const ShardSource& parts, const Strategy& strategy);

  [[nodiscard]] std::int64_t count() const { return count_; }
  [[nodiscard]] std::int64_t stage_of(OpId op) const { return stage_[op.index()]; }
  /// Of the body.
  [[nodiscard]] const StagePasses& passes(std::int64_t stage, std::int64_t micro_batch) const {
    return passes_[static_cast<std::size_t>(stage * micro_batches_ + micro_batch)];
  }
  /// Layers of each stage.
  [[nodiscard]] const std::vector<std::int64_t>& layers() const { return layers_; }

 private:
  void find_units(const ShardSource& parts);
  void partition(const Strategy& strategy, const ShardSource& parts);
  void assign(const ShardSource& parts, bool apart);
  [[nodiscard]] LayerId top_of(LayerId layer) const;
  [[nodiscard]] bool may_wait(OpId op, const ShardSource& parts) const;

  const Trace& source_;
  std::int64_t count_ = 1;
  std::int64_t micro_batches_ = 1;
  std::vector<LayerId> units_;                          // at the top, in the order of forward
  std::vector<char> is_layer_;                          // by unit: counts in stage_layers
  std::map<std::int32_t, std::int64_t> stage_of_unit_;  // by row of layers
  std::vector<std::int64_t> layers_;
  std::vector<std::int32_t> last_write_;  // by buffer: version
  std::vector<std::int64_t> stage_;       // by op; -1 = of none: the optimizer and init
  std::vector<StagePasses> passes_;
};

}  // namespace tidemark
