#include "sim/pipeline_replay.h"

#include <algorithm>
#include <cassert>

namespace tidemark {
namespace {

constexpr double k_open = -1;  // not done yet

class Replay {
 public:
  Replay(const Strategy& s, const std::vector<StageTime>& stages)
      : stages_(stages),
        ranks_(s.layout.pipeline),
        apart_(s.schedule == PipelineSchedule::zero_bubble),
        micro_batches_(s.batch.micro_batches),
        forward_end_(stages.size() * static_cast<std::size_t>(micro_batches_), k_open),
        backward_end_(forward_end_.size(), k_open) {
    for (std::int64_t rank = 0; rank < ranks_; ++rank) {
      events_.push_back(schedule_events(s, rank));
    }
    next_.assign(events_.size(), 0);
    time_.begin_ns.resize(events_.size());
    time_.rank_end_ns.assign(events_.size(), 0);
    time_.busy_ns.assign(events_.size(), 0);
  }

  PipelineTime run() {
    // Every rank goes as far as it can; each round completes at least one event of a valid
    // schedule.
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t rank = 0; rank < events_.size(); ++rank) moved |= advance(rank);
      for (std::size_t rank = events_.size(); rank-- > 0;) moved |= advance(rank);
    }
    for (std::size_t rank = 0; rank < events_.size(); ++rank) {
      assert(next_[rank] == events_[rank].size());
      time_.end_ns = std::max(time_.end_ns, time_.rank_end_ns[rank]);
    }
    return std::move(time_);
  }

 private:
  [[nodiscard]] std::size_t at(std::int64_t stage, std::int64_t micro_batch) const {
    return static_cast<std::size_t>(stage * micro_batches_ + micro_batch);
  }

  /// When what the event waits for is there; k_open when that is not known yet.
  [[nodiscard]] double ready(const PipelineEvent& event, std::int64_t stage) const {
    if (event.pass == PipelinePass::weights) return backward_end_[at(stage, event.micro_batch)];
    if (event.pass == PipelinePass::forward) {
      return stage == 0 ? 0 : forward_end_[at(stage - 1, event.micro_batch)];
    }
    const bool is_last = stage + 1 == static_cast<std::int64_t>(stages_.size());
    return is_last ? forward_end_[at(stage, event.micro_batch)]
                   : backward_end_[at(stage + 1, event.micro_batch)];
  }

  bool advance(std::size_t rank) {
    const std::size_t before = next_[rank];
    for (; next_[rank] < events_[rank].size(); ++next_[rank]) {
      const PipelineEvent& event = events_[rank][next_[rank]];
      const std::int64_t stage = event.chunk * ranks_ + static_cast<std::int64_t>(rank);
      const double begin = ready(event, stage);
      if (begin == k_open) break;
      const StageTime& times = stages_[static_cast<std::size_t>(stage)];
      const double ns = event.pass == PipelinePass::forward   ? times.forward_ns
                        : event.pass == PipelinePass::weights ? times.weights_ns
                        : apart_                              ? times.backward_ns
                                 : times.backward_ns + times.weights_ns;
      const double start = std::max(begin, time_.rank_end_ns[rank]);
      const double end = start + ns;
      if (event.pass != PipelinePass::weights) {
        const bool forward = event.pass == PipelinePass::forward;
        (forward ? forward_end_ : backward_end_)[at(stage, event.micro_batch)] = end;
      }
      time_.begin_ns[rank].push_back(start);
      time_.rank_end_ns[rank] = end;
      time_.busy_ns[rank] += ns;
    }
    return next_[rank] != before;
  }

  const std::vector<StageTime>& stages_;
  std::int64_t ranks_;
  bool apart_;  // gradients of weights
  std::int64_t micro_batches_;
  std::vector<std::vector<PipelineEvent>> events_;
  std::vector<std::size_t> next_;
  std::vector<double> forward_end_;  // by stage and micro-batch
  std::vector<double> backward_end_;
  PipelineTime time_;
};

}  // namespace

PipelineTime replay_pipeline(const Strategy& strategy, const std::vector<StageTime>& stages) {
  return Replay(strategy, stages).run();
}

}  // namespace tidemark
