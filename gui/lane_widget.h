// Under the timeline, on the same axis: ops by stream, memory reserved and on the host, what is on
// its way between the two, and the lives of single buffers or their addresses.
#pragma once

#include <QWidget>
#include <optional>
#include <vector>

#include "gui/lanes.h"
#include "gui/timeline_widget.h"
#include "gui/transfers.h"

class QPainter;

namespace tidemark {

class LaneWidget : public QWidget {
  Q_OBJECT

 public:
  /// `both` lanes follow the view of `timeline`; all live in the same window.
  explicit LaneWidget(TimelineWidget& timeline, QWidget* parent = nullptr);

  [[nodiscard]] QSize sizeHint() const override;

  /// What the text under the cursor says; empty when there is nothing.
  [[nodiscard]] QString text_at(QPoint position) const;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  struct Lane {
    enum class Kind { ops, level, rank } kind = Kind::ops;
    QString name;
    QString about;            // of a level: what it is of
    std::ptrdiff_t rank = 0;  // as of ranks_of()
    const StreamSpans* spans = nullptr;
    const std::vector<LevelPoint>* points = nullptr;
    std::vector<OpBox> boxes;
    std::vector<std::int64_t> levels;
    std::int64_t most_bytes = 0;
    int top_px = 0;
    int height_px = 0;
  };
  void refresh();
  void refresh_ranks();
  void add(Lane lane, int height_px);
  void paint_ops(QPainter& painter, const Lane& lane) const;
  void paint_level(QPainter& painter, const Lane& lane) const;
  [[nodiscard]] int canvas_width() const;

  TimelineWidget& timeline_;
  std::vector<StreamSpans> streams_;
  Transfers transfers_;
  std::vector<Lane> lanes_;
  std::vector<RunPtr> shown_;  // that the lanes are of
  std::optional<QPoint> cursor_;
};

/// The lives of single buffers: one row each, or each at its address.
class LifetimeWidget : public QWidget {
  Q_OBJECT

 public:
  explicit LifetimeWidget(TimelineWidget& timeline, QWidget* parent = nullptr);

  void set_order(LifeOrder order);
  void set_name_part(const QString& part);
  [[nodiscard]] const std::vector<LifeBar>& bars() const { return bars_; }

 signals:
  void buffer_clicked(BufferId buffer, std::int64_t alloc_change);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  [[nodiscard]] QRect canvas() const;
  [[nodiscard]] QRect box_of(std::size_t row) const;
  [[nodiscard]] const LifeBar* bar_at(QPoint position) const;
  void paint_bar(QPainter& painter, const LifeBar& bar, QRect box) const;

  TimelineWidget& timeline_;
  LifeQuery query_;
  std::vector<LifeBar> bars_;
  std::int64_t top_bytes_ = 1;  // of the address axis
  std::optional<QPoint> cursor_;
};

}  // namespace tidemark
