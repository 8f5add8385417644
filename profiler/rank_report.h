// What a run of several ranks prints: for people, and as JSON for scripts.
#pragma once

#include <string>

#include "profiler/ranks.h"

namespace tidemark {

/// A row per rank: peak, what the plan said, the error; arena, times. Then the loss of the run.
[[nodiscard]] std::string ranks_text(const RanksResult& result, const std::string& output);
[[nodiscard]] std::string ranks_json(const RanksResult& result, const std::string& output);

/// "rank 1 ended the run: out of memory ..."; what the others were doing. `result` has a rank that
/// ended it.
[[nodiscard]] std::string ranks_ending_text(const RanksResult& result, const std::string& output);

}  // namespace tidemark
