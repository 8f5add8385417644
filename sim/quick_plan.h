// A plan within one picture of a window: one walk of the eviction for a budget that somebody is
// dragging. What search() finds later is as fast or faster; this one is there at once.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/eviction.h"
#include "sim/graph.h"
#include "sim/prefetch.h"
#include "sim/timeline.h"

namespace tidemark {

struct QuickPlan {
  bool fits = false;    // the placement fits the budget
  Trace planned{};      // the fastest that fits, else the lowest; its record lacks bounds
  Timeline timeline{};  // of `planned` on the device
};

/// A program made ready once, planned many times.
class QuickPlanner {
 public:
  /// Level 2 with a duration on every op, and without decisions. A link without a rate: nothing is
  /// ever moved to the host.
  QuickPlanner(Trace source, const CopyLink& link);

  [[nodiscard]] const Trace& source() const { return source_; }
  [[nodiscard]] const Dataflow& flow() const { return flow_; }
  /// The first backward op; -1 when there is none.
  [[nodiscard]] Position backward_begin() const { return backward_begin_; }
  /// Live bytes and time of one step with everything kept.
  [[nodiscard]] std::int64_t keep_all_peak_bytes() const { return keep_all_peak_bytes_; }
  [[nodiscard]] std::int64_t keep_all_step_ns() const { return keep_all_step_ns_; }
  /// Of its placement.
  [[nodiscard]] std::int64_t keep_all_height_bytes() const { return keep_all_height_bytes_; }

  /// `settings`: what may be done and what is decided already; its limit is not used. A few walks:
  /// the limit on live bytes moves down by what the placement needs on top. Deterministic, but the
  /// result may depend on budgets that were asked for before: they say how far below the budget the
  /// limit has to lie.
  [[nodiscard]] QuickPlan plan(std::int64_t budget_bytes, const EvictionSettings& settings);

 private:
  /// `enough_bytes` as of place().
  [[nodiscard]] QuickPlan carry_out(const std::vector<Decision>& decisions,
                                    std::int64_t budget_bytes, std::int64_t enough_bytes) const;
  /// The lowest plan that walks reach, whatever the budget.
  [[nodiscard]] QuickPlan lowest(EvictionSettings settings, std::int64_t budget_bytes) const;

  Trace source_;
  CopyLink link_;
  Dataflow flow_;
  Position backward_begin_ = -1;
  std::int64_t keep_all_peak_bytes_ = 0;
  std::int64_t keep_all_height_bytes_ = 0;
  std::int64_t keep_all_step_ns_ = 0;
  double slack_ = 1.02;  // height of a placement per byte of the limit on live bytes
};

}  // namespace tidemark
