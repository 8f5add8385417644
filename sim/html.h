// One self-contained page of a run: no network, inline SVG, the same figures as `tidemark show`.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// Stacked bytes by category over one steady step, table by category, largest holders, and the plan
/// when there is one.
[[nodiscard]] std::string html_page(const Trace& trace);

}  // namespace tidemark
