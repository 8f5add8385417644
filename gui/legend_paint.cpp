#include "gui/legend_paint.h"

#include <QPainter>

#include "gui/timeline_paint.h"

namespace tidemark {
namespace {

using Sample = LegendEntry::Sample;

constexpr int k_sample_px = 24;
constexpr int k_gap_px = 6;       // between sample and text
constexpr int k_between_px = 22;  // entries
constexpr int k_pad_px = 3;       // above and below a text

constexpr int k_one_line = Qt::AlignLeft | Qt::AlignVCenter | Qt::TextDontClip;
constexpr int k_wrapped = Qt::AlignLeft | Qt::AlignVCenter | Qt::TextWordWrap;

QRect text_room(const LegendBox& box) {
  const int left = k_sample_px + k_gap_px;
  return {box.x + left, box.y, box.width_px - left - (box.whole_row ? k_gap_px : k_between_px),
          box.height_px};
}

void paint_outline(QPainter& painter, QRect box, std::size_t overlay, const CanvasColours& c) {
  const int y = box.center().y();
  QPen pen(to_colour(c.overlays[overlay % c.overlays.size()]), 3);
  if (overlay % c.overlays.size() == 1) pen.setDashPattern({2.5, 1.2});
  if (overlay % c.overlays.size() == 2) pen.setDashPattern({1.0, 0.7});
  pen.setCapStyle(Qt::FlatCap);
  painter.setPen(pen);
  painter.drawLine(box.left(), y, box.right(), y);
}

void paint_sample(QPainter& painter, QRect box, const LegendEntry& entry, const CanvasColours& c) {
  const QRgb band = band_colour(Band::activation);
  switch (entry.sample) {
    case Sample::warning:
      painter.setPen(Qt::NoPen);
      painter.setBrush(to_colour(c.over));
      painter.drawPolygon(QPolygon({QPoint(box.center().x(), box.top()),
                                    QPoint(box.center().x() + box.height() / 2, box.bottom()),
                                    QPoint(box.center().x() - box.height() / 2, box.bottom())}));
      painter.setBrush(Qt::NoBrush);
      return;
    case Sample::part: {  // a funnel
      const int middle = box.center().x();
      const int half = box.height() / 2;
      painter.setPen(Qt::NoPen);
      painter.setBrush(to_colour(c.text));
      painter.drawPolygon(
          QPolygon({QPoint(middle - half - 2, box.top()), QPoint(middle + half + 2, box.top()),
                    QPoint(middle + 2, box.center().y()), QPoint(middle + 2, box.bottom()),
                    QPoint(middle - 2, box.bottom()), QPoint(middle - 2, box.center().y())}));
      painter.setBrush(Qt::NoBrush);
      return;
    }
    case Sample::stack: {
      const int third = box.height() / 3;
      const QRect lowest(box.left(), box.bottom() - third + 1, box.width(), third);
      painter.fillRect(box, QColor::fromRgb(band));
      painter.fillRect(lowest.translated(0, -third),
                       QColor::fromRgb(band_colour(Band::optimizer_state)));
      painter.fillRect(lowest, QColor::fromRgb(band_colour(Band::weight)));
      return;
    }
    case Sample::outline:
      return paint_outline(painter, box, entry.overlay, c);
    case Sample::saved:
      painter.fillRect(box, QColor::fromRgb(faded(band, c.background)));
      painter.setPen(to_colour(c.faint_text));
      painter.drawRect(box.adjusted(0, 0, -1, -1));
      return;
    case Sample::over_budget:
      painter.fillRect(box, QColor::fromRgb(band));
      painter.setPen(to_colour(c.over));
      for (int y = 0; y < box.height(); ++y) {  // as in the stack
        for (int x = 0; x < box.width(); ++x) {
          if ((x + y) % 6 < 2) painter.drawPoint(box.left() + x, box.top() + y);
        }
      }
      [[fallthrough]];
    case Sample::budget: {
      const int y = entry.sample == Sample::budget ? box.center().y() : box.bottom();
      painter.setPen(QPen(to_colour(c.over), 2, Qt::DashLine));
      painter.drawLine(box.left(), y, box.right(), y);
      return;
    }
  }
}

}  // namespace

Legend lay_out(std::vector<LegendEntry> entries, const QFontMetrics& metrics, int width_px) {
  Legend legend{.entries = std::move(entries), .boxes = {}, .height_px = 0};
  for (const LegendEntry& entry : legend.entries) {
    const QString text = QString::fromStdString(entry.text);
    LegendBox box{
        .width_px = k_sample_px + k_gap_px + metrics.horizontalAdvance(text) + k_between_px,
        .height_px = metrics.height() + 2 * k_pad_px,
        .whole_row = entry.sample == Sample::warning};
    if (box.width_px > width_px) {
      box.wrapped = true;
      LegendBox probe = box;
      probe.width_px = width_px;
      const QRect room = text_room(probe);
      box.height_px =
          metrics.boundingRect(QRect(0, 0, std::max(room.width(), 1), 1000), k_wrapped, text)
              .height() +
          2 * k_pad_px;
    }
    legend.boxes.push_back(box);
  }
  legend.height_px = layout_legend(legend.boxes, width_px);
  return legend;
}

void paint_legend(QPainter& painter, const Legend& legend, QPoint corner,
                  const CanvasColours& colours) {
  painter.save();
  painter.translate(corner);
  for (std::size_t i = 0; i < legend.entries.size(); ++i) {
    const LegendEntry& entry = legend.entries[i];
    const LegendBox& box = legend.boxes[i];
    const QRect room(box.x, box.y, box.width_px, box.height_px);
    if (entry.sample == Sample::warning) {
      QColor veil = to_colour(colours.over);
      veil.setAlpha(40);
      painter.fillRect(room.adjusted(0, 0, 0, -2), veil);
      painter.fillRect(QRect(room.left(), room.top(), 3, room.height() - 2),
                       to_colour(colours.over));
    }
    const int sample_height_px = painter.fontMetrics().ascent();
    const QRect sample(box.x + (box.whole_row ? 2 : 0),
                       box.y + (box.height_px - sample_height_px) / 2, k_sample_px,
                       sample_height_px);
    paint_sample(painter, sample, entry, colours);
    painter.setPen(to_colour(colours.text));
    painter.drawText(text_room(box), box.wrapped ? k_wrapped : k_one_line,
                     QString::fromStdString(entry.text));
  }
  painter.restore();
}

}  // namespace tidemark
