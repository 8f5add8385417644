#include "gui/pareto_widget.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <algorithm>
#include <numeric>

#include "sim/units.h"

namespace tidemark {
namespace {

constexpr int k_left_px = 64;
constexpr int k_bottom_px = 38;
constexpr int k_top_px = 10;
constexpr int k_right_px = 14;
constexpr int k_reach_px = 10;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

QString describe(const PlanPoint& point) {
  return QStringLiteral("%1: %2, step %3")
      .arg(text_of(point.name), text_of(format_bytes(point.bytes)),
           text_of(format_ns(point.step_ns)));
}

/// Kinds differ in shape, not only in colour.
void paint_point(QPainter& painter, QPoint at, PlanPoint::Kind kind, const CanvasColours& colours) {
  const QColor text = to_colour(colours.text);
  const QColor faint = to_colour(colours.faint_text);
  painter.setPen(QPen(text, 1.4));
  switch (kind) {
    case PlanPoint::Kind::evaluated:
      painter.setPen(QPen(faint, 1));
      painter.setBrush(Qt::NoBrush);
      painter.drawEllipse(at, 3, 3);
      break;
    case PlanPoint::Kind::front:
      painter.setBrush(to_colour(band_colour(Band::weight)));
      painter.drawEllipse(at, 4, 4);
      break;
    case PlanPoint::Kind::listed:
      painter.setBrush(to_colour(band_colour(Band::activation)));
      painter.drawRect(at.x() - 4, at.y() - 4, 8, 8);
      break;
    case PlanPoint::Kind::recorded:
      painter.setBrush(text);
      painter.drawPolygon(QPolygon({at + QPoint(0, -6), at + QPoint(6, 5), at + QPoint(-6, 5)}));
      break;
    case PlanPoint::Kind::current:
      painter.setBrush(Qt::NoBrush);
      painter.setPen(QPen(text, 2));
      painter.drawEllipse(at, 7, 7);
      painter.drawLine(at + QPoint(-10, 0), at + QPoint(10, 0));
      painter.drawLine(at + QPoint(0, -10), at + QPoint(0, 10));
      break;
  }
}

}  // namespace

ParetoWidget::ParetoWidget(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("pareto"));
  setAccessibleName(QStringLiteral("Step time against memory of all plans"));
  setFocusPolicy(Qt::StrongFocus);
  setMouseTracking(true);
  setMinimumSize(220, 150);
}

void ParetoWidget::show(std::vector<PlanPoint> points, std::int64_t budget_bytes) {
  points_ = std::move(points);
  budget_bytes_ = budget_bytes;
  if (marked_ && *marked_ >= points_.size()) marked_.reset();
  setAccessibleDescription(
      QStringLiteral("%1 plans; arrow keys go from one to the next, Enter loads it")
          .arg(points_.size()));
  update();
}

QRect ParetoWidget::plot() const {
  return rect().adjusted(k_left_px, k_top_px, -k_right_px, -k_bottom_px);
}

PlotScale ParetoWidget::scale() const {
  return {points_, budget_bytes_, plot().width(), plot().height()};
}

QPoint ParetoWidget::place_of(std::size_t point) const {
  const PlotScale s = scale();
  return plot().topLeft() + QPoint(s.x_of(points_[point].bytes), s.y_of(points_[point].step_ns));
}

void ParetoWidget::mark(std::optional<std::size_t> point) {
  if (marked_ == point) return;
  marked_ = point;
  const QString text = point ? describe(points_[*point]) : QString();
  setToolTip(text);
  setStatusTip(text);
  update();
}

void ParetoWidget::mouseMoveEvent(QMouseEvent* event) {
  const QPoint at = event->position().toPoint() - plot().topLeft();
  mark(point_at(points_, scale(), at.x(), at.y(), k_reach_px));
}

void ParetoWidget::mousePressEvent(QMouseEvent* event) {
  if (event->button() != Qt::LeftButton) return;
  mouseMoveEvent(event);
  if (marked_) emit chosen(*marked_);
}

void ParetoWidget::leaveEvent(QEvent*) {
  if (!hasFocus()) mark(std::nullopt);
}

void ParetoWidget::focusOutEvent(QFocusEvent* event) {
  mark(std::nullopt);
  QWidget::focusOutEvent(event);
}

void ParetoWidget::keyPressEvent(QKeyEvent* event) {
  const bool forward = event->key() == Qt::Key_Right || event->key() == Qt::Key_Down;
  const bool back = event->key() == Qt::Key_Left || event->key() == Qt::Key_Up;
  const bool enter = event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter;
  if (enter && marked_) return emit chosen(*marked_);
  if (points_.empty() || !(forward || back)) return QWidget::keyPressEvent(event);
  // From the lowest to the highest plan.
  std::vector<std::size_t> order(points_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [this](std::size_t i) { return points_[i].bytes; });
  const std::size_t last = order.size() - 1;
  if (!marked_) return mark(order[forward ? 0 : last]);
  const auto here = static_cast<std::size_t>(std::ranges::find(order, *marked_) - order.begin());
  mark(order[forward ? std::min(here + 1, last) : here - std::min<std::size_t>(here, 1)]);
}

void ParetoWidget::paint_axes(QPainter& painter, const PlotScale& s) const {
  const CanvasColours& colours = timeline_.colours();
  const QRect area = plot();
  for (const Tick& tick : s.byte_ticks(84)) {
    const int x = area.left() + tick.at_px;
    painter.setPen(to_colour(colours.grid));
    painter.drawLine(x, area.top(), x, area.bottom());
    painter.setPen(to_colour(colours.faint_text));
    painter.drawText(QRect(x - 50, area.bottom() + 3, 100, 16), Qt::AlignCenter,
                     text_of(tick.text));
  }
  for (const Tick& tick : s.time_ticks(34)) {
    const int y = area.top() + tick.at_px;
    painter.setPen(to_colour(colours.grid));
    painter.drawLine(area.left(), y, area.right(), y);
    painter.setPen(to_colour(colours.faint_text));
    painter.drawText(QRect(0, y - 8, k_left_px - 6, 16), Qt::AlignRight | Qt::AlignVCenter,
                     text_of(tick.text));
  }
  painter.drawText(QRect(area.left(), area.bottom() + 19, area.width(), 17), Qt::AlignCenter,
                   QStringLiteral("memory needed   (step time upward)"));
  if (budget_bytes_ < 0) return;
  const int x = s.x_of(budget_bytes_);
  if (x < 0 || x > area.width()) return;
  painter.setPen(QPen(to_colour(colours.over), 2, Qt::DashLine));
  painter.drawLine(area.left() + x, area.top(), area.left() + x, area.bottom());
  const bool at_left = x > area.width() / 2;
  painter.drawText(QRect(area.left() + (at_left ? x - 66 : x + 6), area.top(), 60, 16),
                   static_cast<int>((at_left ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter),
                   QStringLiteral("budget"));
}

void ParetoWidget::paint_front(QPainter& painter, const PlotScale& s) const {
  const std::vector<bool> best = undominated(points_);
  std::vector<PlanPoint> front;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (best[i]) front.push_back(points_[i]);
  }
  std::ranges::sort(front, {}, &PlanPoint::bytes);
  painter.setPen(QPen(to_colour(timeline_.colours().faint_text), 1));
  for (std::size_t i = 1; i < front.size(); ++i) {  // a step: between them nothing is known
    const QPoint from(s.x_of(front[i - 1].bytes), s.y_of(front[i - 1].step_ns));
    const QPoint to(s.x_of(front[i].bytes), s.y_of(front[i].step_ns));
    const QPoint origin = plot().topLeft();
    painter.drawLine(origin + from, origin + QPoint(to.x(), from.y()));
    painter.drawLine(origin + QPoint(to.x(), from.y()), origin + to);
  }
}

void ParetoWidget::paint_points(QPainter& painter) const {
  painter.setRenderHint(QPainter::Antialiasing);
  for (std::size_t i = 0; i < points_.size(); ++i) {
    paint_point(painter, place_of(i), points_[i].kind, timeline_.colours());
  }
}

void ParetoWidget::paint_mark(QPainter& painter) const {
  if (!marked_) return;
  const CanvasColours& colours = timeline_.colours();
  const QPoint at = place_of(*marked_);
  painter.setPen(QPen(palette().color(QPalette::Highlight), 2));
  painter.setBrush(Qt::NoBrush);
  painter.drawEllipse(at, 11, 11);
  const QString text = describe(points_[*marked_]);
  const int width_px = std::min(painter.fontMetrics().horizontalAdvance(text) + 12, width() - 8);
  const int x = std::clamp(at.x() - width_px / 2, 4, width() - width_px - 4);
  const int y = at.y() > height() / 2 ? at.y() - 36 : at.y() + 16;
  const QRect box(x, y, width_px, 20);
  painter.fillRect(box, to_colour(colours.card));
  painter.setPen(to_colour(colours.text));
  painter.drawRect(box);
  painter.drawText(box, Qt::AlignCenter,
                   painter.fontMetrics().elidedText(text, Qt::ElideMiddle, width_px - 8));
}

void ParetoWidget::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const CanvasColours& colours = timeline_.colours();
  painter.fillRect(rect(), to_colour(colours.background));
  painter.setPen(hasFocus() ? palette().color(QPalette::Highlight) : to_colour(colours.grid));
  painter.drawRect(plot());
  if (points_.empty()) {
    painter.setPen(to_colour(colours.faint_text));
    painter.drawText(rect(), Qt::AlignCenter, QStringLiteral("No plan has been evaluated"));
    return;
  }
  const PlotScale s = scale();
  paint_axes(painter, s);
  paint_front(painter, s);
  paint_points(painter);
  paint_mark(painter);
}

}  // namespace tidemark
