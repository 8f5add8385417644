// The window: timeline in the middle, the whole run above it, tables below it.
#pragma once

#include <QMainWindow>

#include "gui/alive_model.h"
#include "gui/session.h"
#include "gui/theme.h"
#include "gui/timeline_widget.h"

class QAction;
class QComboBox;
class QDockWidget;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QTableView;
class QTextBrowser;
class QTimer;
class QToolBar;

namespace tidemark {

class ElidedLabel;
class InstantCard;
class InstantTabs;
class LaneWidget;
class LifetimeWidget;
class MinimapWidget;
class ReportDialog;
class WhatIfDock;
class RunLoader;
class WelcomePage;
struct PaletteEntry;

class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  explicit MainWindow(Theme theme);
  ~MainWindow() override;

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

  /// The window as .png, the timeline as .svg, .csv or .json, by the end of `path`. Throws
  /// InputError.
  void export_to(const std::string& path);

  /// "table", "areas", "difference", "why" or "range". Throws InputError for another.
  void show_tab(const std::string& name);

  /// Opens files in the background, the first as the run and the others over it, or all over the
  /// run that is open. Errors are shown in a box.
  void open_files(const QStringList& paths, bool over);
  [[nodiscard]] RunLoader& loader() { return *loader_; }

  /// Opens the dialog of capacity reports.
  ReportDialog& show_reports();

  /// From now on the view is kept in this file, now and then and at the end.
  void use_sessions(const std::string& path);
  [[nodiscard]] Session session() const;
  /// Everything but the files.
  void restore(const Session& session);

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;

 private:
  void build_centre();
  [[nodiscard]] QWidget* build_lifetimes();
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

  void build_files();
  void connect_welcome();
  void take_opened(int row, const RunPtr& run);
  void save_now();
  void show_palette();
  void show_filters();
  void add_names(const Run& run, std::vector<PaletteEntry>& entries);
  void add_filters(std::vector<PaletteEntry>& entries);
  [[nodiscard]] static std::string file_of(const Run& run);
  void ask_and_open(bool over);
  void ask_and_export();
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
  InstantTabs* tabs_ = nullptr;
  LaneWidget* lanes_ = nullptr;
  LifetimeWidget* lifetimes_ = nullptr;
  QWidget* lifetime_panel_ = nullptr;
  QTextBrowser* report_ = nullptr;
  QLineEdit* budget_field_ = nullptr;
  QComboBox* group_box_ = nullptr;
  QAction* axis_action_ = nullptr;
  QAction* step_action_ = nullptr;
  QAction* every_step_action_ = nullptr;
  QAction* theme_action_ = nullptr;
  QAction* compare_action_ = nullptr;
  QAction* follow_action_ = nullptr;
  ElidedLabel* status_ = nullptr;
  RunLoader* loader_ = nullptr;
  WelcomePage* welcome_ = nullptr;
  ReportDialog* reports_ = nullptr;  // once it was asked for
  QProgressBar* progress_ = nullptr;
  QPushButton* cancel_ = nullptr;
  QTimer* autosave_ = nullptr;
  std::string sessions_path_;       // empty: nothing is kept
  std::optional<Session> pending_;  // to be restored when its files are open
  bool open_over_ = false;
  bool compact_ = false;          // the window is small
  bool tiny_ = false;             // too low for the docks
  bool budget_from_plan_ = true;  // until somebody sets one
};

}  // namespace tidemark
