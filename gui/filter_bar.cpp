#include "gui/filter_bar.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>

#include "gui/filter.h"

namespace tidemark {

FilterBar::FilterBar(TimelineWidget& timeline, QWidget* parent)
    : QWidget(parent), timeline_(timeline) {
  setObjectName(QStringLiteral("filter_bar"));
  setAccessibleName(QStringLiteral("Filters that are on"));
  row_ = new QHBoxLayout(this);
  row_->setContentsMargins(k_left_margin_px, 4, k_right_margin_px, 0);
  row_->setSpacing(4);
  hide();
  connect(&timeline, &TimelineWidget::mode_changed, this, &FilterBar::refresh);
}

void FilterBar::refresh() {
  const Filter& filter = timeline_.state().filter;
  if (filter == shown_) return;
  const bool had_focus = isAncestorOf(focusWidget());
  shown_ = filter;
  while (QLayoutItem* item = row_->takeAt(0)) {
    if (QWidget* gone = item->widget()) {
      gone->hide();  // it may be the button whose click is being served
      gone->deleteLater();
    }
    delete item;
  }
  const auto add = [this](const QString& text, const QString& accessible_name, auto act) {
    auto* button = new QPushButton(text, this);
    button->setAccessibleName(accessible_name);
    connect(button, &QPushButton::clicked, this, act);
    row_->addWidget(button);
    return button;
  };
  row_->addWidget(new QLabel(QStringLiteral("Only"), this));
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
  })->setFixedWidth(32);
  if (filter.size() > 1) {
    add(QStringLiteral("Show all"), QStringLiteral("Take away all filters"),
        [this] { timeline_.set_filter({}); });
  }
  row_->addStretch(1);
  setVisible(!filter.empty());
  // The chip that had the focus is gone: it goes to what the chips are about.
  if (had_focus) timeline_.setFocus();
}

}  // namespace tidemark
