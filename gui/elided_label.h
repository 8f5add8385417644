// A label that does not widen its window: text without room is cut with an ellipsis.
#pragma once

#include <QLabel>

namespace tidemark {

class ElidedLabel : public QLabel {
 public:
  explicit ElidedLabel(QWidget* parent);

  [[nodiscard]] QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
};

}  // namespace tidemark
