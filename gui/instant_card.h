// The card beside the timeline: what one instant consists of. It is the legend as well.
#pragma once

#include <QWidget>
#include <vector>

#include "gui/timeline_widget.h"

namespace tidemark {

class InstantCard : public QWidget {
  Q_OBJECT

 public:
  /// Describes what `timeline` is focused on; both live in the same window.
  explicit InstantCard(TimelineWidget& timeline, QWidget* parent = nullptr);

  static constexpr int k_width_px = 270;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  void follow_focus();

  TimelineWidget& timeline_;
};

}  // namespace tidemark
