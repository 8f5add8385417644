// The plot of step time against memory; plans can be chosen with mouse and keys.
#pragma once

#include <QWidget>
#include <optional>
#include <vector>

#include "gui/pareto.h"
#include "gui/timeline_widget.h"

namespace tidemark {

class ParetoWidget : public QWidget {
  Q_OBJECT

 public:
  /// Colours are those of the timeline.
  ParetoWidget(TimelineWidget& timeline, QWidget* parent);

  void show(std::vector<PlanPoint> points, std::int64_t budget_bytes);
  [[nodiscard]] const std::vector<PlanPoint>& points() const { return points_; }
  /// Where a point is painted.
  [[nodiscard]] QPoint place_of(std::size_t point) const;
  /// The point under the cursor or reached with the keys.
  [[nodiscard]] std::optional<std::size_t> marked() const { return marked_; }

 signals:
  void chosen(std::size_t point);  // clicked, or Enter

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void focusOutEvent(QFocusEvent* event) override;

 private:
  [[nodiscard]] QRect plot() const;
  [[nodiscard]] PlotScale scale() const;
  void mark(std::optional<std::size_t> point);
  void paint_axes(QPainter& painter, const PlotScale& scale) const;
  void paint_front(QPainter& painter, const PlotScale& scale) const;
  void paint_points(QPainter& painter) const;
  void paint_mark(QPainter& painter) const;

  TimelineWidget& timeline_;
  std::vector<PlanPoint> points_;
  std::int64_t budget_bytes_ = -1;
  std::optional<std::size_t> marked_;
};

}  // namespace tidemark
