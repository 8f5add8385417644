#include "gui/address_strip.h"

#include <fmt/format.h>

#include <QPainter>
#include <algorithm>

#include "gui/timeline_paint.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr int k_strip_px = 14;
constexpr int k_pad_px = 3;

}  // namespace

Fragmentation fragmentation_of(std::span<const AddressPart> parts) {
  Fragmentation sum;
  for (const AddressPart& part : parts) {
    const std::int64_t bytes = part.end_bytes - part.begin_bytes;
    if (part.buffer.valid()) {
      sum.used_bytes += bytes;
      continue;
    }
    sum.free_bytes += bytes;
    sum.largest_gap_bytes = std::max(sum.largest_gap_bytes, bytes);
    ++sum.gap_count;
  }
  return sum;
}

std::string fragmentation_line(const Fragmentation& fragmentation) {
  const std::string used = format_bytes(fragmentation.used_bytes) + " used";
  if (fragmentation.gap_count == 0) return used + ", no gap below the highest address";
  return fmt::format("{}, {} free in {} gap{}, the largest {}", used,
                     format_bytes(fragmentation.free_bytes), fragmentation.gap_count,
                     fragmentation.gap_count == 1 ? "" : "s",
                     format_bytes(fragmentation.largest_gap_bytes));
}

int address_strip_height_px(const QPainter& painter) {
  return painter.fontMetrics().height() + k_strip_px + 3 * k_pad_px;
}

void paint_address_strip(QPainter& painter, QRect box, std::span<const AddressPart> parts,
                         const ViewState& state, const CanvasColours& colours) {
  if (parts.empty()) return;
  const int text_px = painter.fontMetrics().height();
  const QString text =
      QStringLiteral("Addresses: %1")
          .arg(QString::fromStdString(fragmentation_line(fragmentation_of(parts))));
  painter.setPen(to_colour(colours.text));
  painter.drawText(QRect(box.left() + 4, box.top() + k_pad_px, box.width() - 8, text_px),
                   Qt::AlignLeft | Qt::AlignVCenter,
                   painter.fontMetrics().elidedText(text, Qt::ElideRight, box.width() - 8));
  const QRect strip(box.left(), box.top() + text_px + 2 * k_pad_px, box.width(), k_strip_px);
  painter.fillRect(strip, to_colour(colours.card));
  const ColumnScale scale{{0, std::max<std::int64_t>(parts.back().end_bytes, 1)}, strip.width()};
  for (const AddressPart& part : parts) {
    if (!part.buffer.valid()) continue;
    const auto band = static_cast<Band>(stack_of(state).grouping.of_buffer[part.buffer.index()]);
    const int from = scale.column_of(part.begin_bytes);
    const int width_px = std::max(scale.column_of(part.end_bytes) - from, 1);
    const QRect room(strip.left() + from, strip.top(), width_px, strip.height());
    painter.fillRect(room, to_colour(band_colour(band)));
    if (width_px > 3)
      painter.fillRect(room.left(), room.top(), 1, room.height(), to_colour(edge_colour(band)));
  }
  painter.setPen(to_colour(colours.faint_text));
  painter.drawRect(strip.adjusted(0, 0, -1, -1));
}

}  // namespace tidemark
