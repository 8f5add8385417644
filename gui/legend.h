// What the lines and hatches over the stack mean, and what casts doubt on the figures: the rows
// between the whole run and the timeline. No widget.
#pragma once

#include <string>
#include <vector>

#include "gui/view_state.h"

namespace tidemark {

struct LegendEntry {
  enum class Sample : std::uint8_t { warning, part, stack, outline, saved, budget, over_budget };
  Sample sample = Sample::stack;
  std::size_t overlay = 0;  // outline, saved: which of the other runs
  std::string text;
  bool operator==(const LegendEntry&) const = default;
};

/// Warnings of all runs first. Empty when one whole run is shown without a budget.
[[nodiscard]] std::vector<LegendEntry> legend_of(const ViewState& state, const OverBudget& over);

/// How texts call a run: "planned"; the name of its file when several runs have that kind; with its
/// rank when several are of that file.
[[nodiscard]] std::string label_of(const ViewState& state, const Run& run);

/// What the filter lets through, and how much of the run that is. Empty without a filter.
[[nodiscard]] std::string part_text(const ViewState& state);

/// Sizes of one entry, and where it lies after layout_legend().
struct LegendBox {
  int x = 0;
  int y = 0;
  int width_px = 0;
  int height_px = 0;
  bool whole_row = false;
  bool wrapped = false;  // its text takes several lines
};
/// Puts the boxes into rows of `width_px`, from (0, 0) on. Returns the height of all rows.
[[nodiscard]] int layout_legend(std::vector<LegendBox>& boxes, int width_px);

}  // namespace tidemark
