// All steps of a run over its steady one: how much each point of a step needs at least, usually and
// at most.
#pragma once

#include <cstdint>
#include <vector>

#include "gui/pyramid.h"
#include "gui/view_range.h"

namespace tidemark {

class Run;

/// Bytes of all steps at the points of the steady one: [0] is the state with which a step begins,
/// [i] that after its i-th change. A step with another number of changes is laid over it in
/// proportion; of several of its changes at one point the highest total counts (in `least`: the
/// lowest). Of an even number of steps the lower median.
struct StepSpread {
  std::int64_t step_count = 0;
  std::vector<std::int64_t> least;
  std::vector<std::int64_t> median;
  std::vector<std::int64_t> most;
  [[nodiscard]] bool is_alike() const { return least == most; }
};

/// Takes time in proportion to the changes of the run. Empty when there are no steps.
[[nodiscard]] StepSpread spread_of(const Run& run);

/// What a picture of the steady step shows per pixel column; -1 outside of the step.
struct SpreadColumns {
  std::vector<std::int64_t> least;
  std::vector<std::int64_t> median;
  std::vector<std::int64_t> most;
};
[[nodiscard]] SpreadColumns spread_columns(const Run& run, const ColumnScale& scale, Axis axis);

}  // namespace tidemark
