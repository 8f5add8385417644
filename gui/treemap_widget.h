// What is alive at an instant as areas: groups of the stack, in them the tensors.
#pragma once

#include <QRect>
#include <QWidget>
#include <vector>

#include "gui/timeline_widget.h"

namespace tidemark {

class TreemapWidget : public QWidget {
  Q_OBJECT

 public:
  /// Follows the pin of `timeline`; both live in the same window.
  explicit TreemapWidget(TimelineWidget& timeline, QWidget* parent = nullptr);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;

 private:
  struct Tile {
    QRect box;
    std::size_t place = 0;  // of its group in the stack
    BufferId buffer;        // not valid: all that are too small to be shown
    std::int64_t bytes = 0;
    std::size_t count = 1;
  };
  void lay_out(QSize room);
  [[nodiscard]] QString name_of(const Tile& tile) const;

  TimelineWidget& timeline_;
  std::vector<Tile> tiles_;
  std::optional<QPoint> cursor_;
};

}  // namespace tidemark
