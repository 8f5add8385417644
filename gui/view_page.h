// The view as one page for people who have no Tidemark: picture, figures, what is alive.
#pragma once

#include <string>

#include "gui/view_state.h"

namespace tidemark {

/// A whole HTML page by itself, without script, link or anything from the network: the picture of
/// view_svg(), what the run dock says, the largest buffers at the instant (pinned, else the peak),
/// the difference to the other runs and the statistics of the range that is selected, else shown.
/// The figures are those of the window. Names from the trace are escaped.
[[nodiscard]] std::string view_page(const ViewState& state, const CanvasColours& colours,
                                    int width_px, int height_px);

}  // namespace tidemark
