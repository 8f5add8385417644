// The text of the dock "Run": a small HTML page about one run, its budget, and what lies over it.
#pragma once

#include <string>

#include "gui/view_state.h"

namespace tidemark {

/// Complete for any state, also when nothing is open. Names from the trace are escaped.
[[nodiscard]] std::string run_report_html(const ViewState& state);

/// One line about a range: peak, when, mean, allocations and frees.
[[nodiscard]] std::string describe(const ViewState& state, const RangeStatistics& statistics);

}  // namespace tidemark
