// Paints the legend above the timeline.
#pragma once

#include <QRect>
#include <vector>

#include "gui/legend.h"

class QFontMetrics;
class QPainter;

namespace tidemark {

struct Legend {
  std::vector<LegendEntry> entries;
  std::vector<LegendBox> boxes;  // of each entry
  int height_px = 0;
};

/// `width_px`: room for its rows.
[[nodiscard]] Legend lay_out(std::vector<LegendEntry> entries, const QFontMetrics& metrics,
                             int width_px);

void paint_legend(QPainter& painter, const Legend& legend, QPoint corner,
                  const CanvasColours& colours);

}  // namespace tidemark
