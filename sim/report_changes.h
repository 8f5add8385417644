// What a strategy could be changed by to need less memory, and what that costs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/report_spec.h"

namespace tidemark {

struct Change {
  std::string what;                  // "recompute full"
  double saved_bytes = 0;            // of the rank that needs most, by level B
  std::optional<double> slower_pct;  // of the step; none: times are not known
  MemoryDemand demand;               // of that rank with this change alone
  Verdict verdict = Verdict::too_large;
  bool operator==(const Change&) const = default;
};

/// All single changes that are valid and save memory; most bytes per percent of time first (all
/// that cost no time before all that do), without times most bytes first. Expects
/// problems(model, strategy) to be empty.
[[nodiscard]] std::vector<Change> changes_of(const Transformer& model, const Strategy& strategy,
                                             const Site& site);

}  // namespace tidemark
