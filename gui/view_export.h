// The view as a file for others: columns and tables as CSV or JSON, the picture as SVG. From the
// columns, not from the events: the size follows from the width, not from the length of the run.
#pragma once

#include <string>

#include "gui/view_state.h"

namespace tidemark {

/// "#0072b2".
[[nodiscard]] std::string css_colour(Rgb colour);

/// One row per column of the view: begin of the column on the axis, highest and lowest total, and
/// the bytes of each group at the highest.
[[nodiscard]] std::string columns_csv(const ViewState& state, int width_px);

/// The view as one JSON object: file, axis, range, grouping, budget, peaks of the view, columns,
/// and what is alive at the pinned instant (else at the peak), largest first.
[[nodiscard]] std::string view_json(const ViewState& state, int width_px);

/// The stacked area with axes, budget, outlines and the peak, by itself: no script, no link. Empty
/// pictures (no run) are valid too.
[[nodiscard]] std::string view_svg(const ViewState& state, const CanvasColours& colours,
                                   int width_px, int height_px);

/// Writes the kind that the end of `path` names: .csv, .json, .svg, .html (gui/view_page.h). Throws
/// InputError for another end, or when the file cannot be written.
void export_view(const ViewState& state, const CanvasColours& colours, const std::string& path);

}  // namespace tidemark
