// Run against run, recorded against planned, planned against measured: the same figures for all.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

/// The figures of one trace that are compared.
struct RunFigures {
  std::int64_t peak_bytes = 0;  // live, of one steady step
  bool has_peak = false;        // something was allocated; else peak_bytes says nothing
  bool is_final = false;        // nothing was lost and nothing cut the run short before a step was
                                // done: the peak is that of the whole run
  std::int64_t run_peak_bytes = 0;
  std::int64_t eval_peak_bytes = 0;  // of an evaluation; 0 = there was none
  std::int64_t reserved_bytes = 0;   // placement height or arena high water; 0 = unknown
  std::int64_t host_peak_bytes = 0;
  std::int64_t step_ns = 0;     // median of the steady steps when measured, else replayed
  std::int64_t compute_ns = 0;  // median CPU time of the compute thread when measured, else the
                                // sum of its ops: what waiting and other load cannot disturb
  std::int64_t recomputed_ops = 0;
  std::int64_t copied_bytes = 0;              // between device and host, per step
  CategoryBytes by_category{};                // at the peak
  bool is_timed = false;                      // step_ns is a wall time of steps, not replayed
  TimeSource step_source = TimeSource::none;  // of step_ns; measured when one op of it is
  bool has_loss = false;
  double first_loss = 0;
  double last_loss = 0;
  std::int64_t steps = 0;
  bool operator==(const RunFigures&) const = default;
};

[[nodiscard]] RunFigures figures_of(const Trace& trace);

/// Where step_ns comes from: "measured", "replayed from measured times of ops", "modelled".
[[nodiscard]] std::string step_origin(const RunFigures& figures);

/// One sentence when the wall time of a step is far above its CPU time (1.5 times): the times of
/// the ops then hold time of something else. Else empty.
[[nodiscard]] std::string load_warning(const RunFigures& figures);

/// Median of one time of the steps, without the first when there are several; 0 without steps.
[[nodiscard]] std::int64_t median_step_ns(const Trace& trace,
                                          std::int64_t StepRecord::*time = &StepRecord::wall_ns);

struct LayerDifference {
  std::string layer;
  std::int64_t a_bytes = 0;
  std::int64_t b_bytes = 0;
  bool operator==(const LayerDifference&) const = default;
};

struct Comparison {
  RunFigures a;
  RunFigures b;
  std::int64_t peak_error_bytes = 0;      // b - a
  std::int64_t reserved_error_bytes = 0;  // b - a, when both are known
  double step_time_error_pct = 0;         // (b - a) / a of step_ns
  double compute_time_error_pct = 0;      // (b - a) / a of compute_ns
  std::vector<LayerDifference>
      layers;  // at the peaks, largest difference first, equal ones left out
  /// Losses and digests of weights and optimizer state equal for all steps that both have;
  /// absent when one side has none.
  std::optional<bool> bitwise_equal;
  std::int64_t compared_steps = 0;
  std::int64_t compared_digests = 0;
  std::string first_difference;  // "step 2: block0.qkv.w", empty when equal
  double loss_difference = 0;    // largest |b - a| / |a| of the losses compared
};

[[nodiscard]] Comparison compare(const Trace& a, const Trace& b);

}  // namespace tidemark
