// What the what-if panel says about an answer, as text. No widget.
#pragma once

#include <string>

#include "gui/whatif_planner.h"

namespace tidemark {

/// The card: does it fit, peak before and after, step time with its bound, host memory, link
/// traffic, what was changed, and which figures are modelled. HTML; names are escaped.
[[nodiscard]] std::string card_html(const WhatIfResult& result);

/// The same in one line, for the status bar and for a screen reader.
[[nodiscard]] std::string card_line(const WhatIfResult& result);

/// Samples per second, four digits or all before the point.
[[nodiscard]] std::string rate_text(const WhatIfResult& result);

/// "12 tried, best 10.1 ms, bound 9.8 ms, gap +3.1 %".
[[nodiscard]] std::string progress_text(const WhatIfProgress& progress);

/// What "make it fit" did, action by action, each with what it frees and costs.
[[nodiscard]] std::string fit_html(const WhatIf& before, const WhatIf& after,
                                   const WhatIfResult& result);

}  // namespace tidemark
