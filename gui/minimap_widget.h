// A strip of everything there is, with the part that the timeline shows. Drag to move it.
#pragma once

#include <QWidget>

#include "gui/timeline_widget.h"

namespace tidemark {

class MinimapWidget : public QWidget {
  Q_OBJECT

 public:
  explicit MinimapWidget(TimelineWidget& timeline, QWidget* parent = nullptr);

  static constexpr int k_height_px = 54;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  [[nodiscard]] QRect strip() const;
  [[nodiscard]] ColumnScale scale() const;
  void centre_at(int x);
  void refresh();

  /// What the strip follows from.
  struct Shown {
    RunPtr run;
    StackBy group_by = StackBy::category;
    Axis axis = Axis::time;
    ViewRange limits;
    QSize size;
    std::int64_t top_bytes = 0;
    std::int64_t budget_bytes = -1;
    const CanvasColours* colours = nullptr;
    bool operator==(const Shown&) const = default;
  };

  TimelineWidget& timeline_;
  Shown shown_;
  PixelImage pixels_;
};

}  // namespace tidemark
