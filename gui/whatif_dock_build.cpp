// How the what-if panel is put together.
#include <QAction>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
#include <QStyle>
#include <QTabWidget>
#include <QTableView>
#include <QTextBrowser>
#include <QUndoStack>
#include <QVBoxLayout>
#include <algorithm>

#include "gui/elided_label.h"
#include "gui/pareto_widget.h"
#include "gui/plan_list_model.h"
#include "gui/whatif_controls.h"
#include "gui/whatif_dock.h"
#include "gui/whatif_tables.h"

namespace tidemark {
namespace {

QTableView* make_table(QWidget* parent, const char* name, const char* accessible_name,
                       QAbstractItemModel* model, int stretched) {
  auto* table = new QTableView(parent);
  table->setObjectName(QString::fromLatin1(name));
  table->setAccessibleName(QString::fromLatin1(accessible_name));
  table->setModel(model);
  table->setSelectionBehavior(QAbstractItemView::SelectRows);
  table->setAlternatingRowColors(true);
  table->setShowGrid(false);
  table->setTabKeyNavigation(false);
  table->setTextElideMode(Qt::ElideMiddle);
  table->verticalHeader()->hide();
  table->verticalHeader()->setDefaultSectionSize(22);
  table->horizontalHeader()->setHighlightSections(false);
  table->horizontalHeader()->setMinimumSectionSize(40);
  table->horizontalHeader()->setSectionResizeMode(stretched, QHeaderView::Stretch);
  return table;
}

QPushButton* make_button(QWidget* parent, QAction* action) {
  auto* button = new QPushButton(action->text(), parent);
  button->setToolTip(action->toolTip());
  QObject::connect(button, &QPushButton::clicked, action, &QAction::trigger);
  return button;
}

}  // namespace

void WhatIfDock::build() {
  layers_ = new LayersModel(this);
  decisions_ = new DecisionsModel(this);
  plans_ = new PlanListModel(this);
  auto* scroll = new QScrollArea(this);
  scroll->setWidgetResizable(true);
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  scroll->setFocusPolicy(Qt::NoFocus);
  auto* content = new QWidget(scroll);
  auto* column = new QVBoxLayout(content);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(4);
  controls_ = new WhatIfControls(content);
  controls_->setEnabled(false);
  column->addWidget(controls_);
  connect(controls_, &WhatIfControls::changed, this,
          [this](const WhatIf& what_if, const QString& name) {
            if (!ready_) return;
            if (!controls_->is_dragging()) ++merge_group_;
            push(name, {.controls = what_if, .list = state_.list, .shown = nullptr}, merge_group_);
          });
  connect(controls_, &WhatIfControls::drag_began, this, [this] { ++merge_group_; });
  connect(controls_, &WhatIfControls::refused, this,
          [this](const QString& why) { busy_text_->setText(why); });
  build_actions();
  build_card(*column);
  build_buttons(*column);
  build_tabs(*column);
  scroll->setWidget(content);
  setWidget(scroll);
  // Nothing may be cut off at the right when the panel is too low for all of it.
  const int bar_px = style()->pixelMetric(QStyle::PM_ScrollBarExtent);
  setMinimumWidth(std::max(400, content->minimumSizeHint().width() + bar_px + 2));
}

QAction* WhatIfDock::add_action(const QString& text, const QKeySequence& keys,
                                void (WhatIfDock::*act)()) {
  auto* action = new QAction(text, this);
  action->setShortcut(keys);
  action->setToolTip(keys.isEmpty() ? text
                                    : QStringLiteral("%1 (%2)").arg(
                                          text, keys.toString(QKeySequence::NativeText)));
  connect(action, &QAction::triggered, this, act);
  actions_.push_back(action);
  return action;
}

void WhatIfDock::build_actions() {
  QAction* show = toggleViewAction();
  show->setShortcut(QKeySequence(Qt::CTRL | Qt::Key_I));
  show->setToolTip(QStringLiteral("Ask what if, and see it over the run (Ctrl+I)"));
  actions_.push_back(show);
  QAction* undo = undo_->createUndoAction(this, QStringLiteral("Undo"));
  undo->setShortcut(QKeySequence(QKeySequence::Undo));
  QAction* redo = undo_->createRedoAction(this, QStringLiteral("Redo"));
  redo->setShortcut(QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_Z));
  actions_.insert(actions_.end(), {undo, redo});
  add_action(QStringLiteral("Make it fit"), QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_F),
             &WhatIfDock::make_fit);
  add_action(QStringLiteral("Find the front"), {}, &WhatIfDock::find_front);
  add_action(QStringLiteral("Keep the plan"), {}, &WhatIfDock::keep_plan);
  add_action(QStringLiteral("Duplicate"), {}, &WhatIfDock::duplicate_plan);
  add_action(QStringLiteral("Remove"), {}, &WhatIfDock::remove_plan);
  add_action(QStringLiteral("Save as a planned trace…"), {}, &WhatIfDock::save_selected);
  add_action(QStringLiteral("Run it"), {}, &WhatIfDock::run_selected);
  add_action(QStringLiteral("Stop"), {}, &WhatIfDock::stop);
}

void WhatIfDock::build_card(QVBoxLayout& column) {
  card_ = new QTextBrowser(this);
  card_->setObjectName(QStringLiteral("what_if_card"));
  card_->setAccessibleName(QStringLiteral("Answer"));
  card_->setFrameShape(QFrame::NoFrame);
  card_->setMinimumHeight(215);
  card_->setMaximumHeight(260);
  column.addWidget(card_, 1);
}

void WhatIfDock::build_buttons(QVBoxLayout& column) {
  auto* buttons = new QHBoxLayout;
  buttons->setContentsMargins(8, 0, 8, 0);
  for (const char* name : {"Make it fit", "Find the front", "Keep the plan"}) {
    for (QAction* action : actions_) {
      if (action->text() != QString::fromLatin1(name)) continue;
      buttons->addWidget(make_button(this, action));
    }
  }
  column.addLayout(buttons);
  auto* progress = new QHBoxLayout;
  progress->setContentsMargins(8, 0, 8, 0);
  busy_text_ = new ElidedLabel(this);
  busy_text_->setObjectName(QStringLiteral("what_if_progress"));
  busy_ = new QProgressBar(this);
  busy_->setAccessibleName(QStringLiteral("Progress of the search"));
  busy_->setTextVisible(false);
  busy_->setFixedWidth(90);
  busy_->setMaximumHeight(12);
  stop_button_ = new QPushButton(QStringLiteral("Stop"), this);
  connect(stop_button_, &QPushButton::clicked, this, &WhatIfDock::stop);
  progress->addWidget(busy_text_, 1);
  progress->addWidget(busy_);
  progress->addWidget(stop_button_);
  column.addLayout(progress);
  set_busy(false);
}

void WhatIfDock::build_tabs(QVBoxLayout& column) {
  tabs_ = new QTabWidget(this);
  tabs_->setObjectName(QStringLiteral("what_if_tabs"));
  tabs_->setAccessibleName(QStringLiteral("Plot, layers, decisions and plans"));
  tabs_->setMinimumHeight(230);
  pareto_ = new ParetoWidget(timeline_, tabs_);
  connect(pareto_, &ParetoWidget::chosen, this, &WhatIfDock::load_point);
  tabs_->addTab(pareto_, QStringLiteral("Plot"));
  tabs_->addTab(build_layers(), QStringLiteral("Layers"));
  tabs_->addTab(build_decisions(), QStringLiteral("Decisions"));
  tabs_->addTab(build_plans(), QStringLiteral("Plans"));
  column.addWidget(tabs_, 2);
}

QWidget* WhatIfDock::build_layers() {
  auto* page = new QWidget(tabs_);
  layers_table_ = make_table(page, "what_if_layers", "Layers, and what becomes of each", layers_,
                             LayersModel::name);
  QHeaderView& header = *layers_table_->horizontalHeader();
  header.resizeSection(LayersModel::held, 72);
  for (int column = LayersModel::planner; column <= LayersModel::offload; ++column) {
    header.resizeSection(column, 52);
  }
  header.resizeSection(LayersModel::done, 110);
  connect(layers_, &LayersModel::told, this, &WhatIfDock::tell);
  auto* row = new QHBoxLayout;
  row->addWidget(new QLabel(QStringLiteral("Selected rows:"), page));
  for (const Fate fate : {Fate::open, Fate::keep, Fate::recompute, Fate::offload}) {
    auto* button = new QPushButton(QString::fromLatin1(to_text(fate)), page);
    button->setAccessibleName(
        QStringLiteral("Selected layers: %1").arg(QString::fromLatin1(to_text(fate))));
    connect(button, &QPushButton::clicked, this, [this, fate] { tell_selected(fate); });
    row->addWidget(button);
  }
  auto* column = new QVBoxLayout(page);
  column->setContentsMargins(0, 0, 0, 0);
  column->addWidget(layers_table_, 1);
  column->addLayout(row);
  return page;
}

QWidget* WhatIfDock::build_decisions() {
  QTableView* table = make_table(tabs_, "what_if_decisions", "Decisions and their reasons",
                                 decisions_, DecisionsModel::reason);
  table->horizontalHeader()->resizeSection(DecisionsModel::kind, 72);
  table->horizontalHeader()->resizeSection(DecisionsModel::buffer, 120);
  table->horizontalHeader()->resizeSection(DecisionsModel::bytes, 72);
  return table;
}

QWidget* WhatIfDock::build_plans() {
  auto* page = new QWidget(tabs_);
  plans_table_ = make_table(page, "what_if_plans", "Kept plans; the mark compares", plans_,
                            PlanListModel::name);
  plans_table_->setSelectionMode(QAbstractItemView::SingleSelection);
  connect(plans_, &PlanListModel::renamed, this, [this](int id, const QString& name) {
    WhatIfState after = state_;
    after.list.rename(id, name.toStdString());
    push(QStringLiteral("Rename"), std::move(after));
  });
  connect(plans_, &PlanListModel::compared, this, [this](int id, bool wanted) {
    WhatIfState after = state_;
    after.list.set_compared(id, wanted);
    push(QStringLiteral("Compare"), std::move(after));
  });
  connect(plans_table_, &QTableView::activated, this, [this](const QModelIndex& index) {
    const WhatIfResultPtr result = state_.list.plans[static_cast<std::size_t>(index.row())].result;
    push(QStringLiteral("Load a plan"),
         {.controls = result->asked, .list = state_.list, .shown = result});
  });
  comparison_ = new QTextBrowser(page);
  comparison_->setObjectName(QStringLiteral("what_if_comparison"));
  comparison_->setAccessibleName(QStringLiteral("Compared plans, side by side"));
  comparison_->setFrameShape(QFrame::NoFrame);
  comparison_->setVisible(false);
  steps_ = new QSpinBox(page);
  steps_->setRange(1, 100000);
  steps_->setAccessibleName(QStringLiteral("Steps of a run in the trainer"));
  steps_->setSuffix(QStringLiteral(" steps"));
  auto* row = new QHBoxLayout;
  for (const char* name : {"Duplicate", "Remove", "Save as a planned trace…", "Run it"}) {
    for (QAction* action : actions_) {
      if (action->text() != QString::fromUtf8(name)) continue;
      QPushButton* button = make_button(page, action);
      if (button->text().startsWith(QStringLiteral("Save")))
        button->setText(QStringLiteral("Save…"));
      row->addWidget(button);
    }
  }
  row->addWidget(steps_);
  auto* column = new QVBoxLayout(page);
  column->setContentsMargins(0, 0, 0, 0);
  column->addWidget(plans_table_, 2);
  column->addWidget(comparison_, 3);
  column->addLayout(row);
  return page;
}

}  // namespace tidemark
