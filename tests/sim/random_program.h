// Random programs, and what they allocate by brute force.
#pragma once

#include <cstdint>

#include "sim/timeline.h"
#include "traces/trace.h"

namespace tidemark::test {

/// A legal program of random elementwise ops on random buffers, made with lifetimes.h.
Trace random_program(std::uint64_t seed);

/// The same with an evaluation after every so many steps.
Trace random_program_with_eval(std::uint64_t seed);

/// Bytes live after each instruction of init, `steps` bodies with the evaluations that are due (one
/// at least) and final, by summing over the set of live buffers anew every time; and the largest of
/// them within the last body and within evaluations.
struct BruteForce {
  std::vector<CategoryBytes> after;  // by instruction that changes memory
  std::int64_t run_peak_bytes = 0;
  std::int64_t step_peak_bytes = 0;
  std::int64_t eval_peak_bytes = 0;  // 0 = there was none
};
BruteForce brute_force(const Trace& trace, Space space, int steps);

}  // namespace tidemark::test
