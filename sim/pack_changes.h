// The begins and ends of the blocks of a packing problem, in the order of time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/pack.h"

namespace tidemark {

struct PackChange {
  std::int64_t time = 0;
  bool begins = false;
  std::size_t block = 0;  // row of the problem
};

/// Of all blocks that have bytes and live at all. At one time ends come first, as lives are
/// half-open, and the larger of two blocks comes before the smaller.
[[nodiscard]] std::vector<PackChange> pack_changes(const PackProblem& problem);

}  // namespace tidemark
