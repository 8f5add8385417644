// Published iteration times as descriptions, and the fit of the constants of sim/framework.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/step_time.h"
#include "tests/bench/bench_capacity.h"

namespace tidemark::bench {

struct TimedRow {
  std::string name{};
  Transformer model{};
  Strategy strategy{};
  std::string device = "a100-80g";
  double measured_ns = 0;
  /// Whether `calibrate` may use it: half of the rows, by a hash of all cells.
  bool is_for_calibration = false;
  std::string not_described{};  // why not, when it is not
};

/// What is fitted.
struct Setting {
  Framework framework;
  Topology topology;
};

[[nodiscard]] std::vector<TimedRow> vtrain_rows(const Folders& folders, bool many_nodes);
[[nodiscard]] std::vector<TimedRow> korthikanti_rows(const Folders& folders);
[[nodiscard]] std::vector<TimedRow> megatron_turing_rows(const Folders& folders);

[[nodiscard]] double modelled_step_ns(const TimedRow& row, const Setting& setting);

/// Error and order of the shipped constants on all of them.
[[nodiscard]] Json iteration_times(const Folders& folders);

/// Least absolute relative error over the rows for calibration, from the shipped constants; prints
/// them. Returns the exit code.
[[nodiscard]] int calibrate(const Folders& folders);

/// Share of pairs in the same order less share in the opposite one (Kendall 1938); ties count 0.
[[nodiscard]] double kendall_tau(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace tidemark::bench
