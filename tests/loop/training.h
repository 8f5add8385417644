// What the loop tests share: a recorded keep-all run of a model, planned and executed again.
#pragma once

#include <string>

#include "profiler/dataset.h"
#include "profiler/executor.h"
#include "sim/search.h"
#include "traces/trace.h"

namespace tidemark::test {

inline constexpr std::int64_t k_steps = 5;

/// A model with its data and its keep-all run of k_steps steps on the CPU.
struct Training {
  explicit Training(const std::string& model);
  explicit Training(const RunConfig& run_config);

  /// Runs `program` on the CPU with a device of this size (0 = no limit), poisoned.
  [[nodiscard]] RunResult run(const Trace& program, std::int64_t device_memory_bytes) const;

  /// The plan for `percent` of the recorded peak.
  [[nodiscard]] SearchResult plan(int percent) const;

  RunConfig config;
  Dataset data;
  Trace recorded;
};

}  // namespace tidemark::test
