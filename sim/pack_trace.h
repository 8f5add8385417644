// The buffers of a trace as a packing problem.
#pragma once

#include <vector>

#include "sim/pack.h"
#include "traces/trace.h"

namespace tidemark {

/// The buffers of a space as a packing problem, and who they are.
struct SpaceProblem {
  std::vector<BufferId> buffers;
  PackProblem blocks;
};

/// Owning buffers of `space`; time is the instructions of the program, or, in a trace without one,
/// its recorded events. Sizes are those of the peak (counted_bytes), not those that the allocator
/// of the recording set aside. A buffer that is allocated several times spans from its first
/// allocation to its last free.
[[nodiscard]] SpaceProblem pack_problem_of(const Trace& trace, Space space);

/// The same of the program alone: empty in a trace without one.
[[nodiscard]] SpaceProblem program_problem_of(const Trace& trace, Space space);

}  // namespace tidemark
