// Text of axes and where labels fit, without a widget.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gui/run.h"
#include "gui/stack_image.h"

namespace tidemark {

struct Tick {
  int at_px = 0;  // column, or row of the boundary
  std::string text;
  bool operator==(const Tick&) const = default;
};

/// "12.5 ms": `ns` with the unit and decimals that a distance of `step_ns` between labels needs.
[[nodiscard]] std::string format_tick_ns(std::int64_t ns, std::int64_t step_ns);

/// A time to read: microseconds are kept up to a second, "1 234.567 ms" becomes "1.234567 s".
[[nodiscard]] std::string format_time_ns(std::int64_t ns);

/// Round positions, counted from `zero`, at least `least_px` apart.
[[nodiscard]] std::vector<Tick> axis_ticks(const ColumnScale& scale, Axis axis, std::int64_t zero,
                                           int least_px);
[[nodiscard]] std::vector<Tick> byte_ticks(const ByteScale& scale, int least_px);

struct LabelSize {
  int width_px = 0;
  int height_px = 0;
};
/// Centre of a place where a label fits within a band, over the columns of a view.
struct LabelPlace {
  int x = 0;
  int y = 0;
};
/// The place with the most room above and below; none when the label fits nowhere. `lines` cross
/// the picture, one row per column each (-1: not there), and are kept clear.
[[nodiscard]] std::optional<LabelPlace> place_label(std::span<const PixelColumn> columns,
                                                    const ByteScale& scale, Band band,
                                                    LabelSize size,
                                                    std::span<const std::vector<int>> lines = {});

/// "optimizer state" for "optimizer_state".
[[nodiscard]] std::string spoken(std::string_view name);

/// Columns [begin_px, end_px) that belong to one phase of a step.
struct PhaseSpan {
  int begin_px = 0;
  int end_px = 0;
  Phase phase = Phase::other;
};
[[nodiscard]] std::vector<PhaseSpan> phase_spans(const Run& run, const ColumnScale& scale,
                                                 Axis axis);

}  // namespace tidemark
