#include "gui/filter_bar.h"

#include <QLabel>
#include <QPushButton>
#include <algorithm>

#include "gui/filter.h"
#include "gui/legend.h"

namespace tidemark {

FilterBar::FilterBar(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("filter_bar"));
  setAccessibleName(QStringLiteral("Filters that are on"));
  hide();
  connect(&timeline, &TimelineWidget::mode_changed, this, &FilterBar::refresh);
}

void FilterBar::refresh() {
  const Filter& filter = timeline_.state().filter;
  if (filter == shown_) return;
  const bool had_focus = isAncestorOf(focusWidget());
  shown_ = filter;
  for (QWidget* gone : parts_) {
    gone->hide();  // it may be the button whose click is being served
    gone->deleteLater();
  }
  parts_.clear();
  const auto add = [this](const QString& text, const QString& accessible_name, auto act) {
    auto* button = new QPushButton(text, this);
    button->setAccessibleName(accessible_name);
    connect(button, &QPushButton::clicked, this, act);
    parts_.push_back(button);
    return button;
  };
  parts_.push_back(new QLabel(QStringLiteral("Only"), this));
  for (const FilterTerm& term : filter) {
    const QString name = QString::fromStdString(to_text(term));
    QPushButton* chip =
        add(fontMetrics().elidedText(name, Qt::ElideMiddle, 260) + QStringLiteral("  ✕"),
            QStringLiteral("Take away the filter: %1").arg(name),
            [this, term] { timeline_.set_filter(toggled(timeline_.state().filter, term)); });
    chip->setObjectName(QStringLiteral("chip"));
    chip->setToolTip(name);
  }
  add(QStringLiteral("+"), QStringLiteral("Add a filter"), [this] {
    emit more_asked();
  })->setMaximumWidth(32);
  if (filter.size() > 1) {
    add(QStringLiteral("Show all"), QStringLiteral("Take away all filters"),
        [this] { timeline_.set_filter({}); });
  }
  for (QWidget* part : parts_) part->show();
  arrange();
  setVisible(!filter.empty());
  // The chip that had the focus is gone: it goes to what the chips are about.
  if (had_focus) timeline_.setFocus();
}

void FilterBar::resizeEvent(QResizeEvent*) {
  arrange();
}

void FilterBar::arrange() {
  constexpr int k_gap_px = 4;
  std::vector<LegendBox> boxes;
  int height_px = 0;
  for (const QWidget* part : parts_) height_px = std::max(height_px, part->sizeHint().height());
  for (const QWidget* part : parts_) {
    const int width_px = std::min(part->sizeHint().width(), part->maximumWidth());
    boxes.push_back({.width_px = width_px + k_gap_px, .height_px = height_px + k_gap_px});
  }
  const int room_px = std::max(width() - k_left_margin_px - k_right_margin_px, 1);
  setFixedHeight(layout_legend(boxes, room_px) + k_gap_px);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    parts_[i]->setGeometry(k_left_margin_px + boxes[i].x, k_gap_px + boxes[i].y,
                           boxes[i].width_px - k_gap_px, boxes[i].height_px - k_gap_px);
  }
}

}  // namespace tidemark
