// The plans that somebody kept: names, which of them are compared, what was measured. A value, so
// that undo is the value before. No widget.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gui/pareto.h"
#include "gui/whatif_planner.h"

namespace tidemark {

struct ListedPlan {
  int id = 0;  // never used again
  std::string name;
  WhatIfResultPtr result;
  std::string saved_as{};  // the planned trace; empty = not saved
  RunPtr measured{};       // null until it was run
  bool operator==(const ListedPlan&) const = default;
};

/// One line of the comparison: a figure, and its text for each compared plan.
struct ComparedFigure {
  std::string name;
  std::vector<std::string> texts;
  bool operator==(const ComparedFigure&) const = default;
};

struct PlanList {
  static constexpr std::size_t k_most_compared = 4;

  std::vector<ListedPlan> plans;
  std::vector<int> compared;  // ids, in the order of choice; at most k_most_compared
  int next_id = 1;

  bool operator==(const PlanList&) const = default;

  [[nodiscard]] const ListedPlan* find(int id) const;
  [[nodiscard]] ListedPlan* find(int id);
  /// Returns the id. An empty name becomes "Plan N".
  int add(WhatIfResultPtr result, const std::string& name = {});
  /// "NAME copy", right after the original. No effect on unknown ids.
  std::optional<int> duplicate(int id);
  void remove(int id);
  /// Names are trimmed; an empty one changes nothing.
  void rename(int id, const std::string& name);
  /// The one chosen first makes room when there are four already.
  void set_compared(int id, bool compared);
  [[nodiscard]] bool is_compared(int id) const;
};

/// Figures of the compared plans, side by side; empty when none is compared. A line that says
/// nothing for any of them is left out.
[[nodiscard]] std::vector<ComparedFigure> comparison(const PlanList& list);

/// Predicted beside measured: "peak 12.0 MiB, measured 12.0 MiB (equal); step 10 ms, measured 11 ms
/// (+10.0 %)"; empty when it was not run.
[[nodiscard]] std::string measured_text(const ListedPlan& plan);

/// The listed plans as points of the plot; row = place in the list.
[[nodiscard]] std::vector<PlanPoint> points_of(const PlanList& list);

}  // namespace tidemark
