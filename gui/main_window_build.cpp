// How the window is put together: one small function per part.
#include <QAction>
#include <QComboBox>
#include <QDockWidget>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMenuBar>
#include <QSplitter>
#include <QStatusBar>
#include <QTableView>
#include <QTextBrowser>
#include <QToolBar>
#include <algorithm>

#include "gui/elided_label.h"
#include "gui/filter_bar.h"
#include "gui/instant_card.h"
#include "gui/instant_tabs.h"
#include "gui/lane_widget.h"
#include "gui/main_window.h"
#include "gui/minimap_widget.h"
#include "gui/options.h"
#include "gui/welcome_page.h"
#include "gui/whatif_dock.h"

namespace tidemark {

MainWindow::MainWindow(Theme theme) : theme_(theme) {
  setObjectName(QStringLiteral("main_window"));
  resize(1600, 900);
  build_centre();
  build_alive_dock();
  build_run_dock();
  auto* toolbar = addToolBar(QStringLiteral("Main"));
  toolbar->setObjectName(QStringLiteral("toolbar"));
  toolbar->setMovable(false);
  build_file_menu(*toolbar);
  build_budget_field(*toolbar);
  build_toolbar_view(*toolbar);
  build_view_menu();
  build_what_if(*toolbar);
  status_ = new ElidedLabel(this);
  status_->setObjectName(QStringLiteral("status"));
  statusBar()->addWidget(status_, 1);
  setMinimumSize(k_least_width_px, k_least_height_px);
  build_files();
  connect_timeline();
  set_theme(theme);
  refresh_report();
  refresh_status();
  timeline_->setFocus();
}

/// Hidden first: a dock that goes takes its overlay off the timeline, and needs a whole window.
MainWindow::~MainWindow() {
  hide();
}

void MainWindow::build_centre() {
  auto* centre = new QWidget(this);
  timeline_ = new TimelineWidget(centre);
  minimap_ = new MinimapWidget(*timeline_, centre);
  card_ = new InstantCard(*timeline_, centre);
  auto* left = new QVBoxLayout;
  left->setSpacing(0);
  auto* filters = new FilterBar(*timeline_, centre);
  connect(filters, &FilterBar::more_asked, this, &MainWindow::show_filters);
  left->addWidget(filters);
  left->addWidget(minimap_);
  lanes_ = new LaneWidget(*timeline_, centre);
  auto* split = new QSplitter(Qt::Vertical, centre);
  auto* upper = new QWidget(split);
  auto* stacked = new QVBoxLayout(upper);
  stacked->setContentsMargins(0, 0, 0, 0);
  stacked->setSpacing(0);
  stacked->addWidget(timeline_, 1);
  stacked->addWidget(lanes_);
  split->addWidget(upper);
  split->addWidget(build_lifetimes());
  split->setCollapsible(0, false);
  left->addWidget(split, 1);
  auto* row = new QHBoxLayout(centre);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(0);
  row->addLayout(left, 1);
  row->addWidget(card_);
  setCentralWidget(centre);
}

/// Hidden until it is asked for: the timeline comes first.
QWidget* MainWindow::build_lifetimes() {
  lifetime_panel_ = new QWidget(this);
  lifetimes_ = new LifetimeWidget(*timeline_, lifetime_panel_);
  auto* order = new QComboBox(lifetime_panel_);
  order->setObjectName(QStringLiteral("lifetime_order"));
  order->setAccessibleName(QStringLiteral("Order of the lives"));
  order->addItems({QStringLiteral("Largest lives"), QStringLiteral("Lives by begin"),
                   QStringLiteral("Addresses of the placement")});
  connect(order, &QComboBox::currentIndexChanged, this,
          [this](int index) { lifetimes_->set_order(static_cast<LifeOrder>(index)); });
  auto* filter = new QLineEdit(lifetime_panel_);
  filter->setAccessibleName(QStringLiteral("Show only lives with this name"));
  filter->setPlaceholderText(QStringLiteral("Show only: part of a name"));
  filter->setClearButtonEnabled(true);
  connect(filter, &QLineEdit::textChanged, lifetimes_, &LifetimeWidget::set_name_part);
  connect(lifetimes_, &LifetimeWidget::buffer_clicked, this,
          [this](BufferId buffer, std::int64_t alloc_change) {
            const ViewState& state = timeline_->state();
            const auto& alive = state.run->alive();
            const std::int64_t change = timeline_->instant()->change;
            const bool alive_now = std::ranges::any_of(alive.alive_after(change), [&](auto row) {
              return alive.lifetime(row).alloc_change == alloc_change;
            });
            if (!alive_now) timeline_->pin_change(alloc_change);
            tabs_->explain(buffer);
          });
  auto* head = new QHBoxLayout;
  head->setContentsMargins(k_left_margin_px, 2, k_right_margin_px, 0);
  head->addWidget(order);
  head->addWidget(filter, 1);
  auto* layout = new QVBoxLayout(lifetime_panel_);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addLayout(head);
  layout->addWidget(lifetimes_, 1);
  lifetime_panel_->hide();
  return lifetime_panel_;
}

void MainWindow::build_alive_dock() {
  alive_dock_ = new QDockWidget(QStringLiteral("At this instant"), this);
  alive_dock_->setObjectName(QStringLiteral("dock_alive"));
  auto* content = new QWidget(alive_dock_);
  alive_title_ = new ElidedLabel(content);
  alive_title_->setObjectName(QStringLiteral("alive_title"));
  alive_title_->setContentsMargins(8, 4, 8, 2);
  alive_ = new AliveModel(this);
  alive_table_ = new QTableView(content);
  alive_table_->setObjectName(QStringLiteral("alive_table"));
  alive_table_->setAccessibleName(QStringLiteral("Buffers alive at the instant"));
  alive_table_->setModel(alive_);
  alive_table_->setSortingEnabled(true);
  alive_table_->sortByColumn(AliveModel::size, Qt::DescendingOrder);
  alive_table_->setSelectionBehavior(QAbstractItemView::SelectRows);
  alive_table_->setAlternatingRowColors(true);
  alive_table_->setShowGrid(false);
  alive_table_->setTabKeyNavigation(false);  // Tab leaves the table, as everywhere
  alive_table_->setTextElideMode(Qt::ElideMiddle);
  alive_table_->verticalHeader()->hide();
  alive_table_->verticalHeader()->setDefaultSectionSize(22);
  QHeaderView& header = *alive_table_->horizontalHeader();
  header.setHighlightSections(false);
  header.setSectionResizeMode(AliveModel::name, QHeaderView::Stretch);
  header.resizeSection(AliveModel::layer, 190);
  header.resizeSection(AliveModel::category, 180);
  for (int column = AliveModel::size; column < AliveModel::column_count; ++column) {
    header.resizeSection(column, 95);
  }
  auto* layout = new QVBoxLayout(content);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addWidget(alive_title_);
  tabs_ = new InstantTabs(*timeline_, *alive_, *alive_table_, content);
  layout->addWidget(tabs_, 1);
  alive_dock_->setWidget(content);
  addDockWidget(Qt::BottomDockWidgetArea, alive_dock_);
}

void MainWindow::build_run_dock() {
  run_dock_ = new QDockWidget(QStringLiteral("Run"), this);
  run_dock_->setObjectName(QStringLiteral("dock_run"));
  report_ = new QTextBrowser(run_dock_);
  report_->setObjectName(QStringLiteral("report"));
  report_->setAccessibleName(QStringLiteral("About the run"));
  report_->setFrameShape(QFrame::NoFrame);
  report_->setWordWrapMode(QTextOption::WordWrap);
  report_->setMinimumSize(0, 0);
  run_dock_->setWidget(report_);
  addDockWidget(Qt::BottomDockWidgetArea, run_dock_);
  arrange_docks();
}

void MainWindow::resizeEvent(QResizeEvent* event) {
  QMainWindow::resizeEvent(event);
  fit_to_size();
}

void MainWindow::fit_to_size() {
  minimap_->setVisible(height() >= 560);
  lanes_->setVisible(height() >= 640);
  const bool beside = what_if_->isVisible() && !what_if_->isFloating();
  const int room_px =
      width() - (beside ? std::max(what_if_->width(), what_if_->minimumWidth()) : 0);
  card_->setVisible(room_px >= 700);
  const bool tiny = height() < 450;
  const bool compact = tiny || width() < 1000 || height() < 600;
  if (tiny != tiny_) {
    alive_dock_->setVisible(!tiny);
    run_dock_->setVisible(!tiny);
  }
  const bool same = tiny == tiny_ && compact == compact_;
  tiny_ = tiny;
  compact_ = compact;
  if (!same) arrange_docks();
  show_columns();
}

void MainWindow::arrange_docks() {
  if (alive_dock_->isFloating() || run_dock_->isFloating()) return;
  if (compact_) {
    tabifyDockWidget(alive_dock_, run_dock_);
    alive_dock_->raise();
  } else {
    // Splitting does not part docks that lie over each other: adding does.
    removeDockWidget(run_dock_);
    addDockWidget(Qt::BottomDockWidgetArea, run_dock_, Qt::Horizontal);
    run_dock_->show();
    resizeDocks({alive_dock_, run_dock_}, {980, 620}, Qt::Horizontal);
  }
  const int height_px = compact_ ? 165 : 270;
  resizeDocks({alive_dock_, run_dock_}, {height_px, height_px}, Qt::Vertical);
}

void MainWindow::show_columns() {
  const RunPtr& run = timeline_->state().run;
  const bool has_uses = !run || !run->timeline().spans.empty();
  alive_table_->setColumnHidden(AliveModel::layer, width() < 1500);  // names of buffers tell it
  alive_table_->setColumnHidden(AliveModel::first_use, !has_uses);
  alive_table_->setColumnHidden(AliveModel::last_use, !has_uses);
  alive_table_->setColumnHidden(AliveModel::idle, !has_uses || width() < 1150);
}

void MainWindow::build_file_menu(QToolBar& toolbar) {
  QMenu& menu = *menuBar()->addMenu(QStringLiteral("&File"));
  QAction* open = menu.addAction(QStringLiteral("&Open…"), QKeySequence(QKeySequence::Open), this,
                                 [this] { ask_and_open(false); });
  compare_action_ = menu.addAction(QStringLiteral("&Compare with…"),
                                   QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_O), this,
                                   [this] { ask_and_open(true); });
  compare_action_->setEnabled(false);
  QAction* save = menu.addAction(QStringLiteral("&Export…"), QKeySequence(Qt::CTRL | Qt::Key_E),
                                 this, [this] { ask_and_export(); });
  follow_action_ = menu.addAction(QStringLiteral("&Follow the file while it is written"));
  follow_action_->setObjectName(QStringLiteral("follow"));
  follow_action_->setCheckable(true);
  menu.addSeparator();
  menu.addAction(QStringLiteral("&Quit"), QKeySequence(QKeySequence::Quit), this, &QWidget::close);
  toolbar.addAction(open);
  toolbar.addAction(compare_action_);
  toolbar.addAction(save);
  toolbar.addSeparator();
}

void MainWindow::build_budget_field(QToolBar& toolbar) {
  auto* label = new QLabel(QStringLiteral(" Budget "), &toolbar);
  budget_field_ = new QLineEdit(&toolbar);
  budget_field_->setObjectName(QStringLiteral("budget"));
  budget_field_->setAccessibleName(QStringLiteral("Budget"));
  budget_field_->setPlaceholderText(QStringLiteral("e.g. 512MiB"));
  budget_field_->setFixedWidth(110);
  label->setBuddy(budget_field_);
  connect(budget_field_, &QLineEdit::returnPressed, this, &MainWindow::read_budget_field);
  toolbar.addWidget(label);
  toolbar.addWidget(budget_field_);
  toolbar.addSeparator();
}

void MainWindow::build_toolbar_view(QToolBar& toolbar) {
  const auto add = [this, &toolbar](const QString& text, Command command) {
    QAction* action = toolbar.addAction(text);
    action->setCheckable(true);
    connect(action, &QAction::triggered, this, [this, command] {
      perform(command);
      refresh_modes();
    });
    return action;
  };
  group_box_ = new QComboBox(&toolbar);
  group_box_->setObjectName(QStringLiteral("group_by"));
  group_box_->setAccessibleName(QStringLiteral("Divided by"));
  group_box_->setToolTip(QStringLiteral("What the stack is divided by (G)"));
  for (std::size_t by = 0; by < k_group_by_count; ++by) {
    const std::string_view name = to_string(static_cast<StackBy>(by));
    group_box_->addItem(QStringLiteral("by %1").arg(QLatin1String(name.data())));
  }
  connect(group_box_, &QComboBox::activated, this, [this](int by) {
    timeline_->set_group_by(static_cast<StackBy>(by));
    timeline_->setFocus();
  });
  toolbar.addWidget(group_box_);
  axis_action_ = add(QStringLiteral("Axis: events"), Command::toggle_axis);
  axis_action_->setToolTip(QStringLiteral("Each allocation and free equally wide (T)"));
  step_action_ = add(QStringLiteral("One step"), Command::toggle_step);
  step_action_->setToolTip(QStringLiteral("Only the steady step (O)"));
  every_step_action_ = add(QStringLiteral("Every step"), Command::toggle_every_step);
  every_step_action_->setToolTip(
      QStringLiteral("All steps over the steady one: most, median, least (E)"));
  theme_action_ = add(QStringLiteral("Theme"), Command::toggle_theme);
  theme_action_->setToolTip(QStringLiteral("Light, dark or high contrast (L)"));
  QAction* help = toolbar.addAction(QStringLiteral("Keys"));
  help->setToolTip(QStringLiteral("Keys and mouse (F1)"));
  connect(help, &QAction::triggered, this, [this] { perform(Command::help); });
}

void MainWindow::build_view_menu() {
  QMenu& menu = *menuBar()->addMenu(QStringLiteral("&View"));
  for (const Binding& binding : bindings()) {
    // Shown, not registered as shortcuts: single keys must stay free for the budget field.
    const QString text = QStringLiteral("%1\t%2").arg(QString::fromLatin1(binding.about),
                                                      QString::fromLatin1(binding.keys));
    menu.addAction(text, this, [this, command = binding.command] { perform(command); });
  }
  menu.addSeparator();
  menu.addAction(QStringLiteral("&Find…"), QKeySequence(Qt::CTRL | Qt::Key_K), this,
                 [this] { show_palette(); });
  menu.addAction(QStringLiteral("View &before"), QKeySequence(Qt::ALT | Qt::Key_Left), this,
                 [this] { timeline_->go_back(false); });
  menu.addAction(QStringLiteral("View &after"), QKeySequence(Qt::ALT | Qt::Key_Right), this,
                 [this] { timeline_->go_back(true); });
  menu.addSeparator();
  menu.addAction(alive_dock_->toggleViewAction());
  menu.addAction(run_dock_->toggleViewAction());
}

/// Hidden until somebody asks: a recording is looked at first.
void MainWindow::build_what_if(QToolBar& toolbar) {
  what_if_ = new WhatIfDock(*timeline_, this);
  setCorner(Qt::BottomRightCorner, Qt::RightDockWidgetArea);
  addDockWidget(Qt::RightDockWidgetArea, what_if_);
  what_if_->hide();
  connect(what_if_, &WhatIfDock::budget_chosen, this, &MainWindow::set_budget);
  connect(what_if_, &QDockWidget::visibilityChanged, this, &MainWindow::fit_to_size);
  connect(what_if_, &WhatIfDock::overlays_settled, this, &MainWindow::refresh_report);
  QMenu& menu = *menuBar()->addMenu(QStringLiteral("&Plan"));
  for (QAction* action : what_if_->menu_actions()) menu.addAction(action);
  menu.addSeparator();
  menu.addAction(QStringLiteral("Capacity &report…"), QKeySequence(Qt::CTRL | Qt::Key_R), this,
                 [this] { show_reports(); });
  toolbar.addSeparator();
  toolbar.addAction(what_if_->menu_actions().front());
}

void MainWindow::connect_timeline() {
  connect(timeline_, &TimelineWidget::range_changed, this, [this] {
    if (!timeline_->state().selection) refresh_status();  // else it is about the selection
  });
  connect(timeline_, &TimelineWidget::selection_changed, this, &MainWindow::refresh_status);
  connect(timeline_, &TimelineWidget::pin_changed, this, &MainWindow::refresh_alive);
  connect(timeline_, &TimelineWidget::mode_changed, this, &MainWindow::refresh_modes);
  connect(timeline_, &TimelineWidget::mode_changed, this, &MainWindow::refresh_alive);
}

void MainWindow::refresh_modes() {
  group_box_->setCurrentIndex(static_cast<int>(timeline_->state().group_by));
  axis_action_->setChecked(timeline_->state().axis == Axis::change);
  step_action_->setChecked(timeline_->state().one_step);
  every_step_action_->setChecked(timeline_->state().every_step);
  theme_action_->setChecked(theme_ != Theme::light);
}

}  // namespace tidemark
