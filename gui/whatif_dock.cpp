#include "gui/whatif_dock.h"

#include <QFileDialog>
#include <QFileInfo>
#include <QHideEvent>
#include <QLabel>
#include <QMessageBox>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableView>
#include <QTextBrowser>
#include <QUndoStack>
#include <algorithm>

#include "gui/filter.h"
#include "gui/pareto_widget.h"
#include "gui/plan_list_model.h"
#include "gui/rank_index.h"
#include "gui/whatif_controls.h"
#include "gui/whatif_tables.h"
#include "gui/whatif_text.h"
#include "sim/rebuild.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/rank_files.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_evaluated = 200;
constexpr int k_front_points = 12;

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

/// One change of the panel. Moves of one drag are one command.
class StateCommand : public QUndoCommand {
 public:
  StateCommand(WhatIfDock& dock, const QString& name, WhatIfState after, int merge_group)
      : QUndoCommand(name),
        dock_(dock),
        before_(dock.state()),
        after_(std::move(after)),
        merge_group_(merge_group) {}

  [[nodiscard]] int id() const override { return merge_group_ < 0 ? -1 : 1; }
  bool mergeWith(const QUndoCommand* other) override {
    const auto* next = static_cast<const StateCommand*>(other);
    if (next->merge_group_ != merge_group_) return false;
    after_ = next->after_;
    return true;
  }
  void undo() override { dock_.set_state(before_); }
  void redo() override { dock_.set_state(after_); }

 private:
  WhatIfDock& dock_;
  WhatIfState before_;
  WhatIfState after_;
  int merge_group_;
};

}  // namespace

WhatIfDock::WhatIfDock(TimelineWidget& timeline, QWidget* parent)
    : QDockWidget(QStringLiteral("What if"), parent), timeline_(timeline) {
  setObjectName(QStringLiteral("dock_what_if"));
  trainer_program_ = TrainerRun::default_program();
  undo_ = new QUndoStack(this);
  build();
  connect(&timeline_, &TimelineWidget::mode_changed, this, &WhatIfDock::follow_timeline);
  connect(&timeline_, &TimelineWidget::range_changed, this, &WhatIfDock::follow_timeline);
  connect(&trainer_, &TrainerRun::stepped, this, [this](int done, int total, const QString& line) {
    busy_->setRange(0, total);
    busy_->setValue(done);
    busy_text_->setText(line);
  });
  connect(&trainer_, &TrainerRun::finished, this, &WhatIfDock::measured);
  connect(&trainer_, &TrainerRun::failed, this, [this](const QString& why) {
    set_busy(false);
    busy_text_->setText(why);
  });
}

WhatIfDock::~WhatIfDock() = default;

// ---- the open run

WhatIfWorker& WhatIfDock::worker() {
  if (worker_) return *worker_;
  worker_ = std::make_unique<WhatIfWorker>();  // not before it is needed: start-up stays short
  connect(worker_.get(), &WhatIfWorker::opened, this, &WhatIfDock::ready);
  connect(worker_.get(), &WhatIfWorker::refused, this, &WhatIfDock::refuse);
  connect(worker_.get(), &WhatIfWorker::answered, this, &WhatIfDock::show_answer);
  connect(worker_.get(), &WhatIfWorker::finished, this,
          [this] { set_busy(trainer_.is_running()); });
  connect(worker_.get(), &WhatIfWorker::progressed, this, [this](const WhatIfProgress& progress) {
    busy_->setRange(0, static_cast<int>(progress.total));
    busy_->setValue(static_cast<int>(progress.done));
    busy_text_->setText(text_of(progress_text(progress)));
  });
  connect(worker_.get(), &WhatIfWorker::front_found, this,
          [this](const std::vector<WhatIfResultPtr>& results) {
            front_ = results;
            show_plot();
          });
  connect(worker_.get(), &WhatIfWorker::fitted, this,
          [this](const WhatIf& what_if, const WhatIfResultPtr& result) {
            const QString text = text_of(fit_html(state_.controls, what_if, *result));
            push(QStringLiteral("Make it fit"),
                 {.controls = what_if, .list = state_.list, .shown = result});
            fit_text_ = text;
            show_card(text_of(card_html(*result)));
          });
  return *worker_;
}

void WhatIfDock::showEvent(QShowEvent* event) {
  QDockWidget::showEvent(event);
  follow_timeline();
  show_overlay();
}

void WhatIfDock::hideEvent(QHideEvent* event) {
  QDockWidget::hideEvent(event);
  if (!event->spontaneous()) show_overlay();
}

void WhatIfDock::follow_timeline() {
  const ViewState& view = timeline_.state();
  if (whole_of(view.run) != base_) {
    overlay_ = measured_overlay_ = nullptr;  // gone with the run that they lay over
    if (isVisible()) open_run();
    return;
  }
  if (!ready_ || view.budget_bytes == seen_budget_bytes_) return;
  seen_budget_bytes_ = view.budget_bytes;
  if (view.budget_bytes == state_.controls.budget_bytes) return;
  WhatIf what_if = state_.controls;
  what_if.budget_bytes = view.budget_bytes;
  ask(what_if, QStringLiteral("Budget"));
}

void WhatIfDock::open_run() {
  base_ = whole_of(timeline_.state().run);
  ready_ = false;
  evaluated_.clear();
  front_.clear();
  measured_.clear();
  saved_.clear();
  undo_->clear();
  state_ = {};
  answer_ = nullptr;
  refusal_.clear();
  fit_text_.clear();
  controls_->setEnabled(false);
  show_list();
  show_plot();
  if (!base_) return show_card(QStringLiteral("<p>No run is open.</p>"));
  show_card(QStringLiteral("<p>Making the run ready…</p>"));
  worker().open(base_);
}

void WhatIfDock::ready(const WhatIfFacts& facts) {
  facts_ = facts;
  ready_ = true;
  controls_->setEnabled(true);
  controls_->set_facts(facts);
  const ViewState& view = timeline_.state();
  seen_budget_bytes_ = view.budget_bytes;
  WhatIfState first{.controls = unchanged(facts.recorded), .list = {}, .shown = nullptr};
  first.controls.budget_bytes = view.budget_bytes >= 0 ? view.budget_bytes : facts.most_bytes;
  state_.controls.budget_bytes = first.controls.budget_bytes;  // nobody has chosen it: no line yet
  steps_->setValue(std::clamp(static_cast<int>(base_->trace().steps.size()), 1, 100));
  set_state(first);
}

void WhatIfDock::refuse(const QString& why) {
  refusal_ = why;
  set_busy(false);
  show_card(
      QStringLiteral("<p><b>This cannot be planned.</b></p><p>%1</p>").arg(why.toHtmlEscaped()));
}

// ---- questions

void WhatIfDock::push(const QString& name, WhatIfState after, int merge_group) {
  undo_->push(new StateCommand(*this, name, std::move(after), merge_group));
}

void WhatIfDock::ask(const WhatIf& what_if, const QString& name) {
  if (!ready_ || what_if == state_.controls) return;
  push(name, {.controls = what_if, .list = state_.list, .shown = nullptr});
}

void WhatIfDock::set_state(const WhatIfState& state) {
  const std::int64_t budget_before = state_.controls.budget_bytes;
  state_ = state;
  for (ListedPlan& plan : state_.list.plans) {
    if (const auto found = measured_.find(plan.id); found != measured_.end()) {
      plan.measured = found->second;
    }
    if (const auto found = saved_.find(plan.id); found != saved_.end()) {
      plan.saved_as = found->second;
    }
  }
  controls_->show(state_.controls);
  fit_text_.clear();
  show_list();
  if (state_.controls.budget_bytes != budget_before) {
    seen_budget_bytes_ = state_.controls.budget_bytes;
    emit budget_chosen(seen_budget_bytes_);
  }
  show_answer(state_.shown);
  if (state_.shown && state_.shown->refined) return;
  refusal_.clear();
  set_busy(true);
  worker().ask(state_.controls);
}

void WhatIfDock::tell(const std::vector<std::string>& layers, Fate fate) {
  WhatIf what_if = state_.controls;
  for (const std::string& layer : layers) {
    if (fate == Fate::open) {
      what_if.layers.erase(layer);
    } else {
      what_if.layers[layer] = fate;
    }
    // A layer that is told what is nowhere allowed would do nothing.
    if (fate == Fate::recompute && what_if.recompute == Decider::recorded) {
      what_if.recompute = Decider::chosen;
    }
    if (fate == Fate::offload && what_if.offload == Decider::recorded) {
      what_if.offload = Decider::chosen;
    }
  }
  ask(what_if, QStringLiteral("Layers"));
}

void WhatIfDock::tell_selected(Fate fate) {
  std::vector<std::string> layers;
  for (const QModelIndex& index : layers_table_->selectionModel()->selectedRows()) {
    layers.push_back(layers_->rows()[static_cast<std::size_t>(index.row())].name);
  }
  tell(layers, fate);
}

void WhatIfDock::make_fit() {
  if (!ready_) return;
  set_busy(true);
  worker().ask_fit(state_.controls);
}

void WhatIfDock::find_front() {
  if (!ready_) return;
  set_busy(true);
  worker().ask_front(state_.controls, k_front_points);
}

void WhatIfDock::stop() {
  if (worker_) worker_->cancel();
  trainer_.cancel();
}

// ---- answers

void WhatIfDock::show_answer(const WhatIfResultPtr& result) {
  if (!result) return;
  state_.shown = answer_ = result;
  if (result->refined && std::ranges::find(evaluated_, result) == evaluated_.end()) {
    evaluated_.push_back(result);
    if (evaluated_.size() > k_most_evaluated) evaluated_.erase(evaluated_.begin());
  }
  show_card(text_of(card_html(*result)));
  layers_->show(result->layers);
  decisions_->show(result->planned);
  tabs_->setTabText(2, QStringLiteral("Decisions (%1)").arg(decisions_->rowCount()));
  show_plot();
  show_overlay();
}

void WhatIfDock::show_card(const QString& html) {
  card_->setHtml(fit_text_.isEmpty() ? html : html + QStringLiteral("<hr>") + fit_text_);
  const QString line = answer_ ? text_of(card_line(*answer_)) : card_->toPlainText();
  card_->setAccessibleDescription(line);
}

void WhatIfDock::show_overlay() {
  RunPtr wanted = isVisible() && answer_ ? answer_->planned : nullptr;
  if (wanted == overlay_ || whole_of(timeline_.state().run) != base_) return;
  timeline_.replace_other(overlay_, wanted);
  overlay_ = std::move(wanted);
  if (!overlay_ || answer_->refined) emit overlays_settled();
}

void WhatIfDock::show_list() {
  plans_->show(state_.list);
  comparison_->setHtml(comparison_html(state_.list));
  comparison_->setVisible(!state_.list.compared.empty());
  tabs_->setTabText(3, QStringLiteral("Plans (%1)").arg(state_.list.plans.size()));
  show_plot();
}

void WhatIfDock::show_plot() {
  std::vector<PlanPoint> points;
  point_results_.clear();
  const auto add = [&](PlanPoint point, WhatIfResultPtr result) {
    points.push_back(std::move(point));
    point_results_.push_back(std::move(result));
  };
  using Kind = PlanPoint::Kind;
  const auto add_result = [&add](Kind kind, const char* name, const WhatIfResultPtr& result) {
    add({.kind = kind,
         .bytes = result->needed_bytes(),
         .step_ns = result->plan().step_ns,
         .name = name},
        result);
  };
  for (const WhatIfResultPtr& result : evaluated_) add_result(Kind::evaluated, "evaluated", result);
  for (const WhatIfResultPtr& result : front_) add_result(Kind::front, "front", result);
  for (PlanPoint& point : points_of(state_.list)) {
    WhatIfResultPtr result = state_.list.plans[point.row].result;
    add(std::move(point), std::move(result));
  }
  if (answer_) {
    add({.kind = Kind::recorded,
         .bytes = facts_.most_bytes,
         .step_ns = answer_->recorded_step_ns,
         .name = "recorded, everything kept"},
        nullptr);
    add_result(Kind::current, "shown", answer_);
  }
  pareto_->show(std::move(points), state_.controls.budget_bytes);
}

void WhatIfDock::load_point(std::size_t point) {
  const WhatIfResultPtr& result = point_results_[point];
  if (!result || result == state_.shown) return;
  push(QStringLiteral("Load a plan"),
       {.controls = result->asked, .list = state_.list, .shown = result});
}

void WhatIfDock::set_busy(bool busy) {
  idle_ = !busy;
  busy_->setVisible(busy);
  stop_button_->setVisible(busy);
  busy_->setRange(0, 0);
  if (!busy) busy_text_->clear();
}

// ---- plans

std::optional<int> WhatIfDock::selected_plan() const {
  const int row = plans_table_->currentIndex().row();
  const auto& plans = state_.list.plans;
  if (plans.empty()) return std::nullopt;
  return row < 0 ? plans.back().id : plans[static_cast<std::size_t>(row)].id;
}

void WhatIfDock::keep_plan() {
  if (!state_.shown) return;
  WhatIfState after = state_;
  after.list.add(state_.shown);
  push(QStringLiteral("Keep the plan"), std::move(after));
  tabs_->setCurrentIndex(3);
}

void WhatIfDock::duplicate_plan() {
  const auto id = selected_plan();
  if (!id) return;
  WhatIfState after = state_;
  after.list.duplicate(*id);
  push(QStringLiteral("Duplicate the plan"), std::move(after));
}

void WhatIfDock::remove_plan() {
  const auto id = selected_plan();
  if (!id) return;
  WhatIfState after = state_;
  after.list.remove(*id);
  push(QStringLiteral("Remove the plan"), std::move(after));
}

bool WhatIfDock::save_plan(int id, const QString& path) {
  const ListedPlan* plan = state_.list.find(id);
  if (plan == nullptr) return false;
  try {
    require_other_file(path.toStdString(), {base_->file()});
    const std::vector<Trace> ranks = planned_traces(*plan->result);
    ranks.size() == 1 ? write_trace(ranks.front(), path.toStdString())
                      : write_ranks(ranks, path.toStdString());
  } catch (const InputError& error) {
    QMessageBox::warning(this, QStringLiteral("Cannot save the plan"),
                         QString::fromUtf8(error.what()));
    return false;
  }
  saved_[id] = path.toStdString();
  set_state(state_);
  busy_text_->setText(QStringLiteral("written to %1").arg(path));
  return true;
}

void WhatIfDock::save_selected() {
  if (state_.list.plans.empty()) keep_plan();
  const auto id = selected_plan();
  if (!id) return;
  const QString name = QFileInfo(text_of(base_->file())).completeBaseName();
  QString path = QFileDialog::getSaveFileName(this, QStringLiteral("Save as a planned trace"),
                                              name + QStringLiteral(".plan.tmk"),
                                              QStringLiteral("Traces (*.tmk *.tmk.gz *.tmk.zst)"));
  if (path.isEmpty()) return;
  if (!path.contains(QStringLiteral(".tmk"))) path += QStringLiteral(".tmk");
  save_plan(*id, path);
}

void WhatIfDock::run_selected() {
  if (state_.list.plans.empty()) keep_plan();
  const auto id = selected_plan();
  if (!id) return;
  if (state_.list.find(*id)->saved_as.empty()) save_selected();
  if (!state_.list.find(*id)->saved_as.empty()) run_plan(*id);
}

void WhatIfDock::run_plan(int id) {
  const ListedPlan* plan = state_.list.find(id);
  if (plan == nullptr || plan->saved_as.empty() || trainer_.is_running()) return;
  const Trace& planned = plan->result->planned->trace();
  TrainerOrder order{.planned = text_of(plan->saved_as),
                     .measured = {},
                     .steps = steps_->value(),
                     .device_memory_bytes = planned.plan.height_bytes,
                     .dry_device = plan->result->asked.device,
                     .data = data_of(base_->trace())};
  // What was never computed, or is meant for another device, is not computed here either.
  if (order.dry_device.empty() && planned.meta.backend == "dry") {
    order.dry_device = modelled_device_of(planned).name;
  }
  QString stem = order.planned;
  for (const char* ending : {".tmk", ".plan"}) {
    if (stem.endsWith(QString::fromLatin1(ending))) {
      stem.chop(static_cast<int>(std::string_view(ending).size()));
    }
  }
  order.measured = stem + QStringLiteral(".measured.tmk");
  running_plan_ = id;
  set_busy(true);
  busy_text_->setText(QStringLiteral("starting the trainer…"));
  trainer_.start(trainer_program_, order);
}

void WhatIfDock::measured(const QString& path) {
  set_busy(false);
  try {
    const RunPtr run = load_run(files_of_ranks(path.toStdString()).front());
    measured_[running_plan_] = run;
    if (whole_of(timeline_.state().run) == base_) {
      timeline_.replace_other(measured_overlay_, run);
      measured_overlay_ = run;
      emit overlays_settled();
    }
    set_state(state_);
    if (const ListedPlan* plan = state_.list.find(running_plan_)) {
      busy_text_->setText(text_of(measured_text(*plan)));
    }
  } catch (const InputError& error) {
    busy_text_->setText(QString::fromUtf8(error.what()));
  }
}

}  // namespace tidemark
