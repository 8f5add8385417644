// What the timeline shows, as a value, and what follows from it. No widget: the same state gives
// the same picture in the window, in a screenshot and in a test.
#pragma once

#include <optional>
#include <vector>

#include "gui/instant.h"
#include "gui/run.h"
#include "gui/stack_image.h"
#include "gui/time_map.h"

namespace tidemark {

/// A run over the first one, and how the two are aligned.
struct Overlay {
  RunPtr run;
  Alignment alignment;
};

/// An instant that somebody marked.
struct Bookmark {
  std::int64_t change = 0;  // of the whole run
  std::string name;
  bool operator==(const Bookmark&) const = default;
};

/// Only buffers of one group, named as buffer_keys() names it.
struct FilterTerm {
  StackBy by = StackBy::category;
  std::string name;
  bool operator==(const FilterTerm&) const = default;
};
using Filter = std::vector<FilterTerm>;  // in the order of asking

struct ViewState {
  RunPtr run;                   // filled; null when nothing is open; with a filter a part of it
  std::vector<Overlay> others;  // outlines over it: planned, measured; see lay_over()
  Filter filter;                // see set_filter() in gui/filter.h
  StackBy group_by = StackBy::category;
  Axis axis = Axis::time;
  bool one_step = false;    // limits are the steady step, not the whole run
  bool every_step = false;  // lines over it are all steps (gui/step_spread.h); only with one_step
  ViewRange range;
  std::int64_t budget_bytes = -1;  // -1: none
  std::optional<Instant> pinned;
  std::optional<ViewRange> selection;
  std::vector<Bookmark> bookmarks;  // by change
};

/// What is compared with the picture: -1 also while a part of the run is shown.
[[nodiscard]] std::int64_t budget_line_of(const ViewState& state);

/// Adds `other`, a whole run, over `state.run`, which must be there and stay.
void lay_over(ViewState& state, RunPtr other);
/// The same in the place of `old`, when that lies over it. Null for `other`: takes `old` away.
void replace_overlay(ViewState& state, const RunPtr& old, RunPtr other);

/// The stack of the run as it is grouped; there must be a run.
[[nodiscard]] const GroupedStack& stack_of(const ViewState& state);

/// The widest range that can be shown: of the run and of what lies over it.
[[nodiscard]] ViewRange limits_of(const ViewState& state);

/// The range on the other axis that shows the same changes.
[[nodiscard]] ViewRange range_on(const Run& run, ViewRange range, Axis from, Axis to);

/// What the axis counts from: the begin of the steady step when only that is shown.
[[nodiscard]] std::int64_t zero_of(const ViewState& state);

/// Top of the byte axis: fixed for a run, so that heights compare across zoom. A budget far above
/// everything is left out of the picture.
[[nodiscard]] std::int64_t top_bytes_of(const ViewState& state);

/// The columns of the run; empty ones after its end, when what lies over it is longer.
[[nodiscard]] std::vector<PixelColumn> columns_of(const ViewState& state, const ColumnScale& scale);

/// The steady step of `other` in the columns of `scale`, each with the same points of the program
/// as the column of the run has. It stands for each step of the run; -1 outside of them.
[[nodiscard]] OverlayColumns overlay_of(const ViewState& state, std::size_t other,
                                        const ColumnScale& scale);

/// All lines over the stack: of the other runs in their order; or, while every step is shown, the
/// most, the median and the least of the steps (one line where they are alike).
[[nodiscard]] std::vector<OverlayColumns> overlays_of(const ViewState& state,
                                                      const ColumnScale& scale);

/// Bytes of `other` at the point of the program that `instant` of `state.run` is, of its steady
/// step for every step of the run; none outside of the steps.
[[nodiscard]] std::optional<std::int64_t> bytes_at_same_point(const ViewState& state,
                                                              const Overlay& other,
                                                              const Instant& instant);

/// The change that this point is in `other`; none outside of the steps.
[[nodiscard]] std::optional<std::int64_t> change_at_same_point(const ViewState& state,
                                                               const Overlay& other,
                                                               const Instant& instant);

/// Mean bytes of each group over a range, by the units of the axis; sums to the mean of the total.
[[nodiscard]] std::vector<double> mean_by_group(const ViewState& state, ViewRange range);

/// Where the reported peak of a run (of its steady step) is on its axis.
[[nodiscard]] std::int64_t peak_position(const Run& run, Axis axis);
/// The same point of the program on the axis of `state.run`.
[[nodiscard]] std::int64_t peak_position(const ViewState& state, const Overlay& other);

/// The instant under a column: the state that is painted there.
[[nodiscard]] Instant instant_of_column(const ViewState& state, const PixelColumn& column,
                                        std::int64_t column_begin);

/// How far and how long the steady step is above the budget; zero when it fits.
struct OverBudget {
  std::int64_t bytes = 0;
  std::int64_t time_ns = 0;
  bool operator==(const OverBudget&) const = default;
};
[[nodiscard]] OverBudget over_budget(const Run& run, std::int64_t budget_bytes);

/// The range that follows after a jump to `position`: moved only when the position is not well
/// inside the view.
[[nodiscard]] ViewRange revealing(ViewRange range, std::int64_t position, ViewRange limits);

}  // namespace tidemark
