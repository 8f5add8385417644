#include "gui/treemap_widget.h"

#include <QMouseEvent>
#include <QPainter>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "gui/address_strip.h"
#include "gui/labels.h"
#include "gui/treemap.h"
#include "sim/units.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_tiles = 400;  // of one group

QRect box_of(const Area& area) {
  const int left = static_cast<int>(std::lround(area.left));
  const int top = static_cast<int>(std::lround(area.top));
  return {left, top, static_cast<int>(std::lround(area.left + area.width)) - left,
          static_cast<int>(std::lround(area.top + area.height)) - top};
}

}  // namespace

TreemapWidget::TreemapWidget(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("treemap"));
  setAccessibleName(QStringLiteral("What is alive, as areas"));
  setMouseTracking(true);
  connect(&timeline, &TimelineWidget::pin_changed, this, qOverload<>(&QWidget::update));
  connect(&timeline, &TimelineWidget::mode_changed, this, qOverload<>(&QWidget::update));
}

void TreemapWidget::lay_out(QSize size) {
  tiles_.clear();
  const ViewState& state = timeline_.state();
  if (!state.run || !timeline_.instant()) return;
  const Run& run = *state.run;
  const Grouping& grouping = stack_of(state).grouping;
  std::array<std::vector<Tile>, k_band_count> groups;
  std::array<std::int64_t, k_band_count> group_bytes{};
  for (const std::size_t row : run.alive().alive_after(timeline_.instant()->change)) {
    const Lifetime life = run.alive().lifetime(row);
    const std::size_t place = grouping.of_buffer[life.buffer.index()];
    group_bytes[place] += life.bytes;
    std::vector<Tile>& tiles = groups[place];
    if (tiles.size() < k_most_tiles) {
      tiles.push_back({{}, place, life.buffer, life.bytes, 1});
    } else if (tiles.back().buffer.valid()) {
      tiles.push_back({{}, place, BufferId{}, life.bytes, 1});
    } else {
      tiles.back().bytes += life.bytes;
      ++tiles.back().count;
    }
  }
  std::array<std::size_t, k_band_count> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return group_bytes[a] > group_bytes[b]; });
  std::vector<std::int64_t> sizes;
  for (const std::size_t place : order) sizes.push_back(group_bytes[place]);
  const Area room{0, 0, static_cast<double>(size.width()), static_cast<double>(size.height())};
  const std::vector<Area> areas = squarify(sizes, room);
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::vector<Tile>& tiles = groups[order[i]];
    std::stable_sort(tiles.begin(), tiles.end(),
                     [](const Tile& a, const Tile& b) { return a.bytes > b.bytes; });
    sizes.clear();
    for (const Tile& tile : tiles) sizes.push_back(tile.bytes);
    const std::vector<Area> inner = squarify(sizes, areas[i]);
    for (std::size_t j = 0; j < tiles.size(); ++j) {
      tiles[j].box = box_of(inner[j]);
      tiles_.push_back(tiles[j]);
    }
  }
}

QString TreemapWidget::name_of(const Tile& tile) const {
  if (!tile.buffer.valid()) return QStringLiteral("%1 small tensors").arg(tile.count);
  return QString::fromStdString(timeline_.state().run->trace()[tile.buffer].name);
}

void TreemapWidget::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const CanvasColours& colours = timeline_.colours();
  painter.fillRect(rect(), to_colour(colours.background));
  const ViewState& state = timeline_.state();
  const std::vector<AddressPart> parts =
      state.run ? address_parts(*state.run, timeline_.instant()->change)
                : std::vector<AddressPart>{};
  const int strip_px = parts.empty() ? 0 : address_strip_height_px(painter);
  lay_out(size() - QSize(0, strip_px));
  paint_address_strip(painter, {0, height() - strip_px, width(), strip_px}, parts, state, colours);
  const Tile* under = nullptr;
  const QFontMetrics metrics = painter.fontMetrics();
  for (const Tile& tile : tiles_) {
    const Band band = static_cast<Band>(tile.place);
    const QColor fill = to_colour(band_colour(band));
    painter.fillRect(tile.box, fill);
    if (tile.box.width() > 3 && tile.box.height() > 3) {
      painter.setPen(to_colour(edge_colour(band)));
      painter.drawRect(tile.box.adjusted(0, 0, -1, -1));
    }
    if (tile.box.width() > 48 && tile.box.height() > metrics.height() + 2) {
      painter.setPen(qGray(fill.rgb()) > 105 ? Qt::black : Qt::white);
      const QRect room = tile.box.adjusted(4, 1, -4, -1);
      const auto line = [&](const QString& text, int top) {
        painter.drawText(room.adjusted(0, top, 0, 0), Qt::AlignLeft | Qt::AlignTop,
                         metrics.elidedText(text, Qt::ElideMiddle, room.width()));
      };
      line(name_of(tile), 0);
      if (room.height() >= 2 * metrics.height()) {
        line(QString::fromStdString(format_bytes(tile.bytes)), metrics.height());
      }
    }
    if (cursor_ && tile.box.contains(*cursor_)) under = &tile;
  }
  if (under == nullptr) return;
  painter.setPen(QPen(to_colour(colours.text), 2));
  painter.drawRect(under->box.adjusted(1, 1, -1, -1));
  const std::string group = spoken(stack_of(timeline_.state()).grouping.names[under->place]);
  const QString text = QStringLiteral("%1  %2  (%3)")
                           .arg(name_of(*under), QString::fromStdString(format_bytes(under->bytes)),
                                QString::fromStdString(group));
  const QRect card(
      std::clamp(cursor_->x() + 12, 0, std::max(width() - metrics.horizontalAdvance(text) - 14, 0)),
      cursor_->y() > height() / 2 ? 2 : height() - metrics.height() - 8,
      metrics.horizontalAdvance(text) + 12, metrics.height() + 6);
  painter.fillRect(card, to_colour(colours.card));
  painter.setPen(QPen(to_colour(colours.text), 1));
  painter.drawRect(card);
  painter.drawText(card, Qt::AlignCenter, text);
}

void TreemapWidget::mouseMoveEvent(QMouseEvent* event) {
  cursor_ = event->position().toPoint();
  update();
}

void TreemapWidget::leaveEvent(QEvent*) {
  cursor_.reset();
  update();
}

}  // namespace tidemark
