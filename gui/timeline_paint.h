// Paints the timeline with QPainter around the pixels of the stack. Everything it needs comes in
// one struct; it keeps nothing.
#pragma once

#include <QColor>
#include <QImage>
#include <QRect>
#include <optional>
#include <vector>

#include "gui/view_state.h"

class QPainter;

namespace tidemark {

/// Pixels around the canvas.
inline constexpr int k_left_margin_px = 78;
inline constexpr int k_right_margin_px = 12;
inline constexpr int k_top_margin_px = 22;
inline constexpr int k_phase_lane_px = 17;
inline constexpr int k_bottom_margin_px = k_phase_lane_px + 26;

[[nodiscard]] inline QColor to_colour(Rgb rgb) {
  return QColor::fromRgb(rgb);
}

struct TimelinePicture {
  const ViewState& state;
  const CanvasColours& colours;
  QRect canvas;  // in the coordinates of the painter
  const std::vector<PixelColumn>& columns;
  const QImage& stack;  // of the size of the canvas
  ByteScale bytes;
  const std::vector<std::vector<int>>& lines;  // rows of budget and outlines, per column
  std::optional<QPoint> cursor;
  QColor frame;  // tells whether keys go here

  [[nodiscard]] ColumnScale scale() const { return {state.range, canvas.width()}; }
};

void paint_timeline(QPainter& painter, const TimelinePicture& picture);

}  // namespace tidemark
