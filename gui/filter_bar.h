// The filters that are on, each with a button that takes it away. Hidden while there is none.
#pragma once

#include <QWidget>
#include <vector>

#include "gui/timeline_widget.h"

namespace tidemark {

class FilterBar : public QWidget {
  Q_OBJECT

 public:
  explicit FilterBar(TimelineWidget& timeline, QWidget* parent = nullptr);

 signals:
  void more_asked();

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  void refresh();
  /// Rows of chips, as many as it takes.
  void arrange();

  TimelineWidget& timeline_;
  std::vector<QWidget*> parts_;  // from the left
  Filter shown_;
};

}  // namespace tidemark
