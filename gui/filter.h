// A part of a run that is looked at as if it were all: buffers of some categories, layers, phases.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gui/view_state.h"

namespace tidemark {

/// "category optimizer state"
[[nodiscard]] std::string to_text(const FilterTerm& term);
/// All terms that some buffer of the run fulfils: categories, layers, modules, phases, types; in
/// the order in which a stack has them.
[[nodiscard]] std::vector<FilterTerm> terms_of(const Run& run);

/// Of these the one that is written so, also with underscores; nothing when there is none.
[[nodiscard]] std::optional<FilterTerm> term_of(const Run& run, const std::string& text);

/// Without `term` where it is there, else with it.
[[nodiscard]] Filter toggled(Filter filter, const FilterTerm& term);

/// By row of the buffers of `run`: of the terms of each kind that is there one holds.
[[nodiscard]] std::vector<bool> passing(const Run& run, const Filter& filter);

/// The changes of the buffers that pass: with peaks, steps and times of their own, and the ops, the
/// reserved and the host memory of all. `whole` itself without a term.
[[nodiscard]] RunPtr part_of(const RunPtr& whole, const Filter& filter);
/// The run that `run` is a part of, or `run`.
[[nodiscard]] RunPtr whole_of(const RunPtr& run);

/// Shows these parts of all runs. Range, pin and selection stay where they are in time.
void set_filter(ViewState& state, Filter filter);

}  // namespace tidemark
