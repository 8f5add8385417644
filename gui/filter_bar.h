// The filters that are on, each with a button that takes it away. Hidden while there is none.
#pragma once

#include <QWidget>

#include "gui/timeline_widget.h"

class QHBoxLayout;

namespace tidemark {

class FilterBar : public QWidget {
  Q_OBJECT

 public:
  explicit FilterBar(TimelineWidget& timeline, QWidget* parent = nullptr);

 signals:
  void more_asked();

 private:
  void refresh();

  TimelineWidget& timeline_;
  QHBoxLayout* row_ = nullptr;
  Filter shown_;
};

}  // namespace tidemark
