// What activation checkpointing would do to a run that was recorded elsewhere. Such a trace has
// allocations and no dataflow, so there is no program to plan; what there is: which module made
// each activation, and when backward gave it back.
//
// A call of a checkpointed module keeps its last activation, which stands for its output, and gives
// up the others until backward comes to it: when what was made behind it has been given back. Then
// all of them are there again, and for a moment what the call had in use beside them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

/// One module as the only one that is checkpointed, in the window of Timeline::peak: one steady
/// step, or the whole recording when it has no steps.
struct ModuleAdvice {
  LayerId module;
  std::int64_t calls = 0;
  std::int64_t held_bytes = 0;  // of its activations, at the peak
  std::int64_t peak_bytes = 0;  // of the window, with it
  /// What making them again would take, modelled: for each call the time from its first allocation
  /// to what follows its last one, the median of all calls. Allocations run ahead of a device, so
  /// it is no measurement.
  std::int64_t again_ns = 0;
  bool operator==(const ModuleAdvice&) const = default;
};

/// The modules to checkpoint together.
struct CheckpointPlan {
  std::vector<LayerId> modules;  // none inside of another, in the order of the layers
  std::int64_t peak_bytes = 0;
  std::int64_t again_ns = 0;
  bool fits = false;
  bool operator==(const CheckpointPlan&) const = default;
};

/// Of `trace`, whose recording `timeline` is.
class CheckpointAdvice {
 public:
  CheckpointAdvice(const Trace& trace, Timeline timeline);

  /// Modules whose checkpointing lowers the peak, the lowest peak first, of equal ones the earlier
  /// layer. Those that hold less than 1 % of it are passed over, and of a module and the only one
  /// inside of it with the same activations the outer.
  [[nodiscard]] const std::vector<ModuleAdvice>& modules() const { return advice_; }

  /// A choice of modules() whose peak is at most `budget_bytes`, or the lowest peak that was found:
  /// one module after the other, always the one that lowers the peak most for its time, in place of
  /// those inside of it; then without those that turned out not to be needed.
  [[nodiscard]] CheckpointPlan choose(std::int64_t budget_bytes) const;

 private:
  /// The bytes from change `change` on; `spike_bytes` for this instant more.
  struct Delta {
    std::int64_t change = 0;
    std::int64_t bytes = 0;
    std::int64_t spike_bytes = 0;
  };
  struct Candidate {
    LayerId module;
    std::vector<Delta> deltas;
    std::int64_t again_ns = 0;
  };
  struct Call;

  void find_buffers(const Trace& trace);
  void find_candidates(const Trace& trace);
  void add_candidate(const Trace& trace, LayerId module, const std::vector<std::size_t>& rows);
  /// Returns the time between its allocations; -1 when the call would give nothing up.
  std::int64_t add_call(const Call& call, std::vector<Delta>& deltas) const;
  [[nodiscard]] std::int64_t peak_with(const std::vector<const Candidate*>& chosen) const;
  [[nodiscard]] bool is_inside(LayerId inner, LayerId outer) const;

  /// An activation by its instants, as rows of the timeline's changes.
  struct Activation {
    BufferId buffer;
    std::int64_t made = 0, freed = 0;
    std::int64_t bytes = 0;
  };

  Timeline timeline_;
  std::vector<LayerId> parents_;           // by layer
  std::vector<Activation> activations_;    // in the order in which they were made
  std::vector<std::int64_t> live_bytes_;   // behind each change
  std::vector<std::int64_t> other_frees_;  // changes that give an activation back, ascending
  std::int64_t first_ = 0, last_ = -1;     // changes of the window
  std::vector<ModuleAdvice> advice_;
  std::vector<Candidate> candidates_;  // row by row those of advice_
};

}  // namespace tidemark
