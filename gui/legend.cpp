#include "gui/legend.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "gui/filter.h"
#include "sim/run_state.h"
#include "sim/units.h"

namespace tidemark {
namespace {

using Sample = LegendEntry::Sample;

std::string budget_text(const ViewState& state, const OverBudget& over) {
  std::string text = fmt::format("budget {}", format_bytes(state.budget_bytes));
  if (over.bytes > 0) {
    const bool steps = !state.run->timeline().step_begin_ns.empty();
    text += fmt::format(", over by {} for {} {}", format_bytes(over.bytes), format_ns(over.time_ns),
                        steps ? "of each step" : "of the run");
  } else {
    text += ", fits";
  }
  if (state.budget_bytes > top_bytes_of(state)) text += " (far above the picture)";
  return text;
}

/// A stretched time is no measured one.
std::string fit_text(const Alignment& alignment, Axis axis) {
  if (!alignment.is_fitted(axis)) return {};
  return fmt::format(", {} fitted {}", axis == Axis::time ? "time" : "events",
                     alignment.fit == EventFit::ops ? "op by op" : "to the step");
}

/// In the order of overlays_of().
void add_steps(const ViewState& state, std::vector<LegendEntry>& legend) {
  const StepSpread& spread = state.run->spread();
  legend.push_back({.sample = Sample::stack,
                    .text = spread.step_count < 2 ? "there are no other steps to lay over it"
                                                  : "the last step"});
  if (spread.step_count < 2) return;
  const std::size_t first_line = legend.size();
  const auto add = [&](const std::string& name, const std::vector<std::int64_t>& bytes) {
    legend.push_back(
        {.sample = Sample::outline,
         .overlay = legend.size() - first_line,
         .text = fmt::format("{}, up to {}", name, format_bytes(std::ranges::max(bytes)))});
  };
  if (spread.is_alike())
    return add(fmt::format("all {} steps, alike", spread.step_count), spread.most);
  add(fmt::format("most of {} steps", spread.step_count), spread.most);
  add("median", spread.median);
  add("least", spread.least);
}

void add_warning(const ViewState& state, const Run& run, std::vector<LegendEntry>& legend) {
  const std::string warning = warning_line(run.trace());
  if (warning.empty()) return;
  const std::string whose = state.others.empty() ? "" : label_of(state, run) + ": ";
  legend.push_back({.sample = Sample::warning, .text = whose + warning});
}

}  // namespace

std::string label_of(const ViewState& state, const Run& run) {
  const auto is_same = [&run](const Run& other) {
    return other.trace().meta.kind == run.trace().meta.kind;
  };
  const auto is_same_file = [&run](const Run& other) { return other.file() == run.file(); };
  const auto count = [&state](const auto& is_like) {
    return std::ranges::count_if(state.others, is_like,
                                 [](const Overlay& o) -> const Run& { return *o.run; }) +
           (is_like(*state.run) ? 1 : 0);
  };
  if (count(is_same) == 1) return std::string(to_string(run.trace().meta.kind));
  const std::string name = std::filesystem::path(run.file()).filename().string();
  return count(is_same_file) == 1 ? name : fmt::format("{} rank {}", name, run.trace().meta.rank);
}

std::string part_text(const ViewState& state) {
  if (state.filter.empty()) return {};
  std::string names;
  for (const FilterTerm& term : state.filter) {
    names += (names.empty() ? "" : ", ") + to_text(term);
  }
  const std::int64_t part_bytes = state.run->timeline().peak.bytes;
  const std::int64_t whole_bytes = whole_of(state.run)->timeline().peak.bytes;
  return fmt::format("a part of the run: only {}; at most {}, all of it {}", names,
                     format_bytes(part_bytes), format_bytes(whole_bytes));
}

std::vector<LegendEntry> legend_of(const ViewState& state, const OverBudget& over) {
  std::vector<LegendEntry> legend;
  if (!state.run) return legend;
  add_warning(state, *state.run, legend);
  for (const Overlay& other : state.others) add_warning(state, *other.run, legend);
  if (!state.filter.empty()) {
    legend.push_back({.sample = Sample::part, .text = part_text(state)});
  }
  const std::int64_t peak_bytes = state.run->timeline().peak.bytes;
  if (state.every_step) {
    add_steps(state, legend);
  } else if (!state.others.empty()) {
    legend.push_back(
        {.sample = Sample::stack,
         .text = fmt::format("{} {}", label_of(state, *state.run), format_bytes(peak_bytes))});
  }
  for (std::size_t i = 0; i < state.others.size() && !state.every_step; ++i) {
    const Run& other = *state.others[i].run;
    const std::int64_t bytes = other.timeline().peak.bytes;
    legend.push_back(
        {.sample = Sample::outline,
         .overlay = i,
         .text =
             fmt::format("{} {} ({}){}", label_of(state, other), format_bytes(bytes),
                         format_change(static_cast<double>(bytes), static_cast<double>(peak_bytes)),
                         fit_text(state.others[i].alignment, state.axis))});
  }
  if (!state.others.empty() && !state.every_step) {
    legend.push_back(
        {.sample = Sample::saved,
         .text = fmt::format("not needed by {}", label_of(state, *state.others.front().run))});
  }
  if (budget_line_of(state) >= 0) {
    legend.push_back({.sample = over.bytes > 0 ? Sample::over_budget : Sample::budget,
                      .text = budget_text(state, over)});
  }
  return legend;
}

int layout_legend(std::vector<LegendBox>& boxes, int width_px) {
  int x = 0;
  int y = 0;
  int row_height_px = 0;
  const auto next_row = [&] {
    y += row_height_px;
    x = 0;
    row_height_px = 0;
  };
  for (LegendBox& box : boxes) {
    box.width_px = box.whole_row ? width_px : std::min(box.width_px, width_px);
    if (x > 0 && x + box.width_px > width_px) next_row();
    box.x = x;
    box.y = y;
    x += box.width_px;
    row_height_px = std::max(row_height_px, box.height_px);
  }
  next_row();
  return y;
}

}  // namespace tidemark
