// Executed plans beside what was planned: the rows of bench_strategies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiler/dataset.h"
#include "profiler/executor.h"
#include "sim/config.h"
#include "traces/trace.h"

namespace tidemark::bench {

/// A model with its data and its recorded run.
struct Source {
  RunConfig config;
  Dataset data;
  Trace recorded;
  Trace kept;  // the plan that keeps all, executed: what the time of every other is compared with
  std::int64_t steps = 0;

  [[nodiscard]] RunOptions options() const;
};

/// Recorded on one core.
[[nodiscard]] Source record(const RunConfig& config, std::int64_t steps);

struct Row {
  std::string name;
  std::int32_t ranks = 1;
  std::int64_t peak_bytes = 0;        // planned; the largest of the ranks
  std::int64_t peak_error_bytes = 0;  // the largest of the ranks
  bool bitwise_equal = false;
  double loss_error = 0;      // relative, the largest of all steps and ranks
  double loss_tolerance = 0;  // above 0: sums have another order, losses are equal but for rounding
  bool by_wall_time = false;
  double predicted_ns = 0;
  double measured_ns = 0;  // the mean over the ranks; the least of all rounds

  [[nodiscard]] double error_pct() const { return 100 * (measured_ns / predicted_ns - 1); }
  [[nodiscard]] bool is_equal() const {
    return loss_tolerance > 0 ? loss_error <= loss_tolerance : bitwise_equal;
  }
};

/// Executions of each plan, in turns with the kept one. The speed of the machine moves by several
/// percent within seconds, and what others do on it only adds time: of both the fastest counts.
inline constexpr int k_rounds = 4;

/// Executes the plan of one rank.
[[nodiscard]] Row measure_one(const Source& source, const std::string& name, const Trace& planned);

/// Executes the plans of all ranks. `alone`: the measured run of one rank that all of them must
/// equal.
[[nodiscard]] Row measure_ranks(const Source& source, const std::string& name,
                                const std::vector<Trace>& planned, const Trace& alone);

}  // namespace tidemark::bench
