// A judge of programs that shares no code with check(), replay() or the planner: it executes the
// program on symbolic values. The content of a buffer is a hash of how it was computed; memory that
// is fresh, freed or overwritten holds a value that nothing else has.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// When a copy on another stream takes effect, within what waits and records allow.
enum class CopyTime : std::uint8_t { earliest, latest };

struct BruteVerdict {
  std::vector<std::uint64_t> contents;  // of the buffers that live through the body, at its end
  std::vector<std::uint64_t> reported;  // what report_loss read, in order
  std::map<Space, std::int64_t> peak_bytes;  // of the last step
  std::vector<std::string> errors;
  /// Same results for the reader of the run.
  [[nodiscard]] bool same_results(const BruteVerdict& other) const {
    return contents == other.contents && reported == other.reported;
  }
};

/// init, two steps, final. Placed buffers are bytes in a memory: who shares bytes destroys them.
[[nodiscard]] BruteVerdict brute_force(const Trace& trace, CopyTime copy_time);

/// Both copy times without errors and with the results of `truth`.
[[nodiscard]] bool judged_equal(const Trace& trace, const BruteVerdict& truth);

}  // namespace tidemark
