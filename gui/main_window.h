// The window: timeline in the middle, the whole run above it, tables below it.
#pragma once

#include <QMainWindow>

#include "gui/alive_model.h"
#include "gui/theme.h"
#include "gui/timeline_widget.h"

class QAction;
class QDockWidget;
class QLineEdit;
class QTableView;
class QTextBrowser;
class QToolBar;

namespace tidemark {

class ElidedLabel;
class InstantCard;
class MinimapWidget;
class WhatIfDock;

class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  explicit MainWindow(Theme theme);

  /// Shows `run`. The budget of its plan is taken when none was set.
  void show_run(RunPtr run);
  /// Lays `other` over the run, or shows it when nothing is open.
  void compare_with(RunPtr other);
  void set_budget(std::int64_t budget_bytes);  // -1: none
  /// "512MiB", or a share of the peak of the open run. Throws InputError.
  [[nodiscard]] std::int64_t parse_budget(const std::string& text) const;
  void set_theme(Theme theme);
  void perform(Command command);

  [[nodiscard]] TimelineWidget& timeline() { return *timeline_; }
  [[nodiscard]] const AliveModel& alive() const { return *alive_; }
  [[nodiscard]] WhatIfDock& what_if() { return *what_if_; }

  /// Asks for a file and opens it; errors are shown in a box.
  void open_file(const QString& path, bool compare);

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  void build_centre();
  void build_alive_dock();
  void build_run_dock();
  void build_what_if(QToolBar& toolbar);
  void build_file_menu(QToolBar& toolbar);
  void build_view_menu();
  void build_toolbar_view(QToolBar& toolbar);
  void build_budget_field(QToolBar& toolbar);
  void connect_timeline();
  /// In a small window the docks lie over each other, and what repeats other parts is left out.
  void fit_to_size();
  void arrange_docks();
  void show_columns();

  void ask_and_open(bool compare);
  void export_png();
  void read_budget_field();
  void show_help();
  void show_details();
  void refresh_alive();
  void refresh_report();
  void refresh_status();
  void refresh_modes();

  Theme theme_;
  TimelineWidget* timeline_ = nullptr;
  MinimapWidget* minimap_ = nullptr;
  AliveModel* alive_ = nullptr;
  QTableView* alive_table_ = nullptr;
  ElidedLabel* alive_title_ = nullptr;
  QDockWidget* alive_dock_ = nullptr;
  QDockWidget* run_dock_ = nullptr;
  WhatIfDock* what_if_ = nullptr;
  InstantCard* card_ = nullptr;
  QTextBrowser* report_ = nullptr;
  QLineEdit* budget_field_ = nullptr;
  QAction* axis_action_ = nullptr;
  QAction* step_action_ = nullptr;
  QAction* theme_action_ = nullptr;
  QAction* compare_action_ = nullptr;
  ElidedLabel* status_ = nullptr;
  bool compact_ = false;          // the window is small
  bool tiny_ = false;             // too low for the docks
  bool budget_from_plan_ = true;  // until somebody sets one
};

}  // namespace tidemark
