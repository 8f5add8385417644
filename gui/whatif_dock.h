// The what-if panel: ask anything of the recorded run, see the answer over it in the timeline, keep
// plans, compare them, and have them executed. Every change can be undone.
#pragma once

#include <QDockWidget>
#include <map>
#include <memory>
#include <vector>

#include "gui/plan_list.h"
#include "gui/timeline_widget.h"
#include "gui/trainer_run.h"
#include "gui/whatif_worker.h"

class QAction;
class QLabel;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QTableView;
class QTabWidget;
class QTextBrowser;
class QUndoStack;
class QVBoxLayout;

namespace tidemark {

class DecisionsModel;
class LayersModel;
class ParetoWidget;
class PlanListModel;
class WhatIfControls;

/// What undo brings back.
struct WhatIfState {
  WhatIf controls;
  PlanList list;
  WhatIfResultPtr shown;  // the answer at that time; null: ask again
};

class WhatIfDock : public QDockWidget {
  Q_OBJECT

 public:
  WhatIfDock(TimelineWidget& timeline, QWidget* parent);
  ~WhatIfDock() override;

  /// For the menu: show, undo and redo, make it fit, front, keep, save, run, stop.
  [[nodiscard]] std::vector<QAction*> menu_actions() const { return actions_; }

  /// As if somebody had set the controls; can be undone.
  void ask(const WhatIf& what_if, const QString& name);
  [[nodiscard]] const WhatIfState& state() const { return state_; }
  [[nodiscard]] QUndoStack& undo_stack() { return *undo_; }
  /// The open run has been made ready.
  [[nodiscard]] bool is_ready() const { return ready_; }
  /// Why the open run, or the last question, cannot be planned; empty when it can.
  [[nodiscard]] const QString& refusal() const { return refusal_; }
  /// Nothing is being searched for.
  [[nodiscard]] bool is_idle() const { return idle_ && !trainer_.is_running(); }

  void keep_plan();
  /// Writes the planned trace of a kept plan. False: it could not be written, and was said so.
  bool save_plan(int id, const QString& path);
  /// Executes a saved plan in the trainer; its measurement appears beside it.
  void run_plan(int id);
  void set_trainer_program(const QString& program) { trainer_program_ = program; }

  /// Of the command that undo takes back; used by the undo stack.
  void set_state(const WhatIfState& state);

 signals:
  void budget_chosen(qint64 budget_bytes);
  void overlays_settled();  // what lies over the run changed, and is not about to change again

 protected:
  void showEvent(QShowEvent* event) override;
  void hideEvent(QHideEvent* event) override;

 private:
  void build();
  void build_card(QVBoxLayout& column);
  void build_buttons(QVBoxLayout& column);
  void build_tabs(QVBoxLayout& column);
  QWidget* build_layers();
  QWidget* build_decisions();
  QWidget* build_plans();
  void build_actions();
  QAction* add_action(const QString& text, const QKeySequence& keys, void (WhatIfDock::*act)());
  WhatIfWorker& worker();

  void follow_timeline();
  void open_run();
  void push(const QString& name, WhatIfState after, int merge_group = -1);
  void show_answer(const WhatIfResultPtr& result);
  void show_card(const QString& html);
  void show_list();
  void show_plot();
  void show_overlay();
  void set_busy(bool busy);
  void tell(const std::vector<std::string>& layers, Fate fate);
  void tell_selected(Fate fate);

  void ready(const WhatIfFacts& facts);
  void refuse(const QString& why);
  void make_fit();
  void find_front();
  void duplicate_plan();
  void remove_plan();
  void save_selected();
  void run_selected();
  void stop();
  void load_point(std::size_t point);
  void measured(const QString& path);
  [[nodiscard]] std::optional<int> selected_plan() const;

  TimelineWidget& timeline_;
  WhatIfControls* controls_ = nullptr;
  QTextBrowser* card_ = nullptr;
  QLabel* busy_text_ = nullptr;
  QProgressBar* busy_ = nullptr;
  QPushButton* stop_button_ = nullptr;
  QTabWidget* tabs_ = nullptr;
  ParetoWidget* pareto_ = nullptr;
  LayersModel* layers_ = nullptr;
  QTableView* layers_table_ = nullptr;
  DecisionsModel* decisions_ = nullptr;
  PlanListModel* plans_ = nullptr;
  QTableView* plans_table_ = nullptr;
  QTextBrowser* comparison_ = nullptr;
  QSpinBox* steps_ = nullptr;
  QUndoStack* undo_ = nullptr;
  std::vector<QAction*> actions_;

  std::unique_ptr<WhatIfWorker> worker_;
  TrainerRun trainer_;
  QString trainer_program_;
  int running_plan_ = 0;

  RunPtr base_;     // that the worker has
  RunPtr overlay_;  // over the timeline
  RunPtr measured_overlay_;
  WhatIfFacts facts_;
  WhatIfState state_;
  WhatIfResultPtr answer_;  // the latest, until the next arrives
  QString fit_text_;
  QString refusal_;
  std::vector<WhatIfResultPtr> evaluated_;  // of this run, refined ones
  std::vector<WhatIfResultPtr> front_;
  std::vector<WhatIfResultPtr> point_results_;  // of the points of the plot; null: none to load
  std::map<int, RunPtr> measured_;              // by id of a plan: undo does not take them back
  std::map<int, std::string> saved_;
  std::int64_t seen_budget_bytes_ = -1;  // of the timeline
  int merge_group_ = 0;
  bool ready_ = false;
  bool idle_ = true;
};

}  // namespace tidemark
