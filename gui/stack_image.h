// The stacked area as pixels, from columns. Plain arrays and no widget: the same function paints
// the window, screenshots and tests.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "gui/pyramid.h"

namespace tidemark {

/// Opaque pixels in rows from the top; the layout of QImage::Format_RGB32.
struct PixelImage {
  int width_px = 0;
  int height_px = 0;
  std::vector<Rgb> pixels;
  [[nodiscard]] Rgb at(int x, int y) const {
    return pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px) +
                  static_cast<std::size_t>(x)];
  }
  [[nodiscard]] Rgb& at(int x, int y) {
    return pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_px) +
                  static_cast<std::size_t>(x)];
  }
};

/// Another run over the stack: its outline, and the stack faded where this run needs less.
struct OverlayColumns {
  std::vector<std::int64_t> max_bytes;  // per column; -1 where the other run has nothing to show
  int dash_px = 0;                      // 0 = solid outline
  bool fade_saved = true;
};

struct StackScene {
  std::span<const PixelColumn> columns;
  ByteScale scale;
  CanvasColours colours;
  std::int64_t budget_bytes = -1;        // -1: none
  bool show_minimum = true;              // one light pixel at the lowest total of a column
  std::vector<OverlayColumns> overlays;  // overlay i has the colour colours.overlays[i]
};

/// Half way from `colour` to the background: what another run does not need.
[[nodiscard]] Rgb faded(Rgb colour, Rgb background);

/// Width: one pixel per column; height: that of the scale.
[[nodiscard]] PixelImage paint_stack(const StackScene& scene);

/// The band (place in the stack) that paint_stack() shows at row `y` of a column; none above the
/// stack.
[[nodiscard]] std::optional<Band> band_at(const PixelColumn& column, const ByteScale& scale, int y);

/// First row of each band, from the lowest band up; the last entry is the top of the stack. The
/// rows of band k are [tops[k], k == 0 ? height_px : tops[k - 1]).
[[nodiscard]] std::array<int, k_band_count> band_tops(const PixelColumn& column,
                                                      const ByteScale& scale);

}  // namespace tidemark
