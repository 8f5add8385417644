#include "gui/minimap_widget.h"

#include <QApplication>
#include <QMouseEvent>
#include <QPainter>
#include <QWheelEvent>
#include <algorithm>

namespace tidemark {

MinimapWidget::MinimapWidget(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("minimap"));
  setAccessibleName(QStringLiteral("Whole run"));
  setFixedHeight(k_height_px);
  setAttribute(Qt::WA_OpaquePaintEvent);
  connect(&timeline, &TimelineWidget::range_changed, this, qOverload<>(&QWidget::update));
}

QRect MinimapWidget::strip() const {
  return {k_left_margin_px, 8, std::max(width() - k_left_margin_px - k_right_margin_px, 1),
          k_height_px - 12};
}

ColumnScale MinimapWidget::scale() const {
  return {limits_of(timeline_.state()), strip().width()};
}

/// While only the view moves, the strip stays.
void MinimapWidget::refresh() {
  const ViewState& state = timeline_.state();
  Shown shown{.run = state.run,
              .group_by = state.group_by,
              .axis = state.axis,
              .limits = limits_of(state),
              .size = strip().size(),
              .top_bytes = top_bytes_of(state),
              .budget_bytes = budget_line_of(state),
              .colours = &timeline_.colours()};
  if (shown == shown_) return;
  shown_ = std::move(shown);
  const std::vector<PixelColumn> columns = columns_of(state, scale());
  pixels_ =
      paint_stack({.columns = columns,
                   .scale = {.top_bytes = shown_.top_bytes, .height_px = shown_.size.height()},
                   .colours = *shown_.colours,
                   .budget_bytes = shown_.budget_bytes,
                   .show_minimum = false,
                   .overlays = {}});
}

void MinimapWidget::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const ViewState& state = timeline_.state();
  const CanvasColours& colours = timeline_.colours();
  painter.fillRect(rect(), to_colour(colours.background));
  if (!state.run) return;
  refresh();
  painter.drawImage(strip().topLeft(),
                    QImage(reinterpret_cast<const uchar*>(pixels_.pixels.data()), pixels_.width_px,
                           pixels_.height_px, pixels_.width_px * static_cast<int>(sizeof(Rgb)),
                           QImage::Format_RGB32));
  const int from =
      strip().left() + std::clamp(scale().column_of(state.range.begin), 0, strip().width() - 1);
  const int to =
      strip().left() + std::clamp(scale().column_of(state.range.end), 0, strip().width());
  QColor veil = to_colour(colours.background);
  veil.setAlpha(170);
  painter.fillRect(QRect(strip().left(), strip().top(), from - strip().left(), strip().height()),
                   veil);
  painter.fillRect(QRect(to, strip().top(), strip().right() + 1 - to, strip().height()), veil);
  painter.setPen(QPen(to_colour(colours.text), 2));
  painter.drawRect(QRect(from, strip().top() - 1, std::max(to - from, 3), strip().height() + 1));
  painter.setPen(to_colour(colours.faint_text));
  painter.drawText(QRect(0, strip().top(), k_left_margin_px - 9, strip().height()),
                   Qt::AlignRight | Qt::AlignVCenter,
                   state.one_step ? QStringLiteral("one step") : QStringLiteral("whole run"));
}

void MinimapWidget::centre_at(int x) {
  if (!timeline_.state().run) return;
  const std::int64_t centre = scale().column_begin(x - strip().left());
  const std::int64_t span = timeline_.state().range.span();
  timeline_.set_range({centre - span / 2, centre - span / 2 + span});
}

void MinimapWidget::mousePressEvent(QMouseEvent* event) {
  centre_at(event->position().toPoint().x());
}

void MinimapWidget::mouseMoveEvent(QMouseEvent* event) {
  if ((event->buttons() & Qt::LeftButton) != 0) centre_at(event->position().toPoint().x());
}

void MinimapWidget::wheelEvent(QWheelEvent* event) {
  QApplication::sendEvent(&timeline_, event);  // the margins are the same, so is the cursor
}

}  // namespace tidemark
