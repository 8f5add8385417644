// The what-if panel on the offscreen platform: what its widgets do, that answers follow, that
// everything can be undone, and that the trainer runs a plan.
#include <QAbstractButton>
#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QSlider>
#include <QTabWidget>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBrowser>
#include <QUndoStack>
#include <set>

#include "gui/pareto_widget.h"
#include "gui/whatif_dock.h"
#include "gui/whatif_tables.h"
#include "tests/gui/synthetic.h"
#include "tests/gui/whatif_sample.h"
#include "tests/gui/window_fixture.h"
#include "tests/paths.h"
#include "traces/file.h"

namespace tidemark {

class WhatIfDockTest : public test::WindowFixture {
  Q_OBJECT

 private:
  static constexpr int k_patience_ms = 120'000;  // of a busy machine

  WhatIfDock& dock() { return window_->what_if(); }
  const ViewState& view() { return window_->timeline().state(); }
  template <class Widget>
  Widget& child(const char* name) {
    auto* found = window_->findChild<Widget*>(QString::fromLatin1(name));
    if (found == nullptr) qFatal("no child %s", name);
    return *found;
  }
  bool settled() {
    return QTest::qWaitFor([this] { return dock().is_ready() && dock().is_idle(); }, k_patience_ms);
  }
  std::int64_t kept_bytes() { return view().run->timeline().peak.bytes; }
  /// Asks for a budget and waits for the answer.
  bool ask_percent(int percent) {
    WhatIf what_if = dock().state().controls;
    what_if.budget_bytes = kept_bytes() * percent / 100;
    dock().ask(what_if, QStringLiteral("Budget"));
    return settled() && dock().state().shown && dock().state().shown->refined;
  }

 private slots:
  void init() {
    open();
    window_->resize(1600, 900);
    window_->show_run(test::planned_from());
    dock().show();
    QVERIFY(settled());
  }
  void cleanup() { window_.reset(); }

  void it_is_hidden_until_somebody_asks_and_then_shows_the_run_as_it_is() {
    MainWindow fresh(Theme::dark);
    fresh.show();
    QVERIFY(!fresh.what_if().isVisible());
    QVERIFY(dock().state().shown != nullptr);
    QVERIFY(dock().state().shown->fits);
    QCOMPARE(dock().state().shown->plan().peak_bytes, kept_bytes());
    QVERIFY(child<QTextBrowser>("what_if_card").toPlainText().contains(QStringLiteral("Fits")));
  }

  void the_slider_moves_budget_overlay_and_card() {
    auto& slider = child<QSlider>("budget_slider");
    const QString before = child<QTextBrowser>("what_if_card").toPlainText();
    slider.setValue(450);
    const std::int64_t budget = dock().state().controls.budget_bytes;
    QVERIFY(budget < kept_bytes());
    QCOMPARE(view().budget_bytes, budget);  // the line in the timeline follows at once
    QVERIFY(settled());
    const WhatIfResultPtr shown = dock().state().shown;
    QVERIFY(shown->refined);
    QCOMPARE(shown->asked.budget_bytes, budget);
    QCOMPARE(view().others.size(), std::size_t{1});
    QVERIFY(view().others[0].run == shown->planned);
    QVERIFY(child<QTextBrowser>("what_if_card").toPlainText() != before);
  }

  void one_drag_is_one_undo_and_older_answers_never_arrive() {
    auto& slider = child<QSlider>("budget_slider");
    const int count = dock().undo_stack().count();
    const std::int64_t before = dock().state().controls.budget_bytes;
    slider.setSliderDown(true);
    for (int value = 900; value >= 500; value -= 50) {
      slider.setValue(value);
      QApplication::processEvents();
    }
    slider.setSliderDown(false);
    QCOMPARE(dock().undo_stack().count(), count + 1);
    const std::int64_t asked = dock().state().controls.budget_bytes;
    QVERIFY(settled());
    QCOMPARE(dock().state().shown->asked.budget_bytes, asked);
    dock().undo_stack().undo();
    QCOMPARE(dock().state().controls.budget_bytes, before);
    QCOMPARE(view().budget_bytes, before);
    dock().undo_stack().redo();
    QCOMPARE(dock().state().controls.budget_bytes, asked);
  }

  void the_budget_of_the_toolbar_and_of_the_panel_are_one() {
    window_->set_budget(kept_bytes() * 3 / 4);
    QCOMPARE(dock().state().controls.budget_bytes, kept_bytes() * 3 / 4);
    auto& field = child<QLineEdit>("what_if_budget");
    field.setText(QStringLiteral("80%"));
    QTest::keyClick(&field, Qt::Key_Return);
    QCOMPARE(view().budget_bytes, dock().state().controls.budget_bytes);
    field.setText(QStringLiteral("nonsense"));
    QTest::keyClick(&field, Qt::Key_Return);
    QCOMPARE(view().budget_bytes, dock().state().controls.budget_bytes);
  }

  void a_layer_is_told_by_space_and_listens() {
    auto& table = child<QTableView>("what_if_layers");
    auto* model = qobject_cast<LayersModel*>(table.model());
    int row = 0;
    while (!model->rows()[static_cast<std::size_t>(row)].can_recompute) ++row;
    const std::string layer = model->rows()[static_cast<std::size_t>(row)].name;
    table.setCurrentIndex(model->index(row, LayersModel::recompute));
    QTest::keyClick(&table, Qt::Key_Space);
    QVERIFY(dock().state().controls.layers.at(layer) == Fate::recompute);
    QVERIFY(settled());
    const LayerRow& told = model->rows()[static_cast<std::size_t>(row)];
    QCOMPARE(told.name, layer);
    QVERIFY(told.recomputed_bytes > 0);
    QVERIFY(child<QTableView>("what_if_decisions").model()->rowCount() > 0);
    dock().undo_stack().undo();
    QVERIFY(dock().state().controls.layers.empty());
  }

  void a_control_that_is_chosen_changes_the_run() {
    auto& decider = child<QComboBox>("decider_batch");
    decider.setCurrentIndex(static_cast<int>(Decider::planner));
    QVERIFY(settled());
    QVERIFY(dock().state().shown->fits);
    QVERIFY(dock().state().shown->samples_per_s() > 0);
    dock().undo_stack().undo();
    QCOMPARE(decider.currentIndex(), static_cast<int>(Decider::recorded));
  }

  void make_it_fit_finds_a_plan_and_says_what_it_did() {
    WhatIf what_if = dock().state().controls;
    what_if.recompute = what_if.offload = Decider::recorded;
    what_if.budget_bytes = kept_bytes() * 7 / 10;
    dock().ask(what_if, QStringLiteral("Budget"));
    QVERIFY(settled());
    QVERIFY(!dock().state().shown->fits);
    for (QAction* action : dock().menu_actions()) {
      if (action->text() == QStringLiteral("Make it fit")) action->trigger();
    }
    QVERIFY(settled());
    QVERIFY(dock().state().shown->fits);
    QVERIFY(dock().state().controls.recompute == Decider::planner);
    QVERIFY(child<QTextBrowser>("what_if_card")
                .toPlainText()
                .contains(QStringLiteral("left to the planner")));
    dock().undo_stack().undo();
    QVERIFY(dock().state().controls.recompute == Decider::recorded);
  }

  void plans_are_kept_compared_and_loaded_from_the_plot() {
    QVERIFY(ask_percent(80));
    dock().keep_plan();
    QVERIFY(ask_percent(65));
    dock().keep_plan();
    QCOMPARE(dock().state().list.plans.size(), std::size_t{2});
    auto& table = child<QTableView>("what_if_plans");
    for (int row = 0; row < 2; ++row) {
      table.model()->setData(table.model()->index(row, 0), Qt::Checked, Qt::CheckStateRole);
    }
    const QString text = child<QTextBrowser>("what_if_comparison").toPlainText();
    QVERIFY2(text.contains(QStringLiteral("Plan 1")) && text.contains(QStringLiteral("Plan 2")),
             qPrintable(text));
    auto& plot = child<ParetoWidget>("pareto");
    child<QTabWidget>("what_if_tabs").setCurrentIndex(0);
    QTest::qWait(1);
    const auto& points = plot.points();
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (points[i].name != "Plan 1") continue;
      QTest::mouseClick(&plot, Qt::LeftButton, {}, plot.place_of(i));
      break;
    }
    QCOMPARE(dock().state().controls.budget_bytes, kept_bytes() * 80 / 100);
    QVERIFY(dock().state().shown->refined);  // at once: it had been found already
    dock().undo_stack().undo();
    QCOMPARE(dock().state().controls.budget_bytes, kept_bytes() * 65 / 100);
    QCOMPARE(dock().state().list.plans.size(), std::size_t{2});
  }

  void a_plan_is_saved_run_by_the_trainer_and_shown_beside_its_prediction() {
    QVERIFY(ask_percent(75));
    dock().keep_plan();
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("low.plan.tmk"));
    const int id = dock().state().list.plans[0].id;
    QVERIFY(dock().save_plan(id, path));
    QVERIFY(read_trace(path.toStdString()) ==
            dock().state().list.plans[0].result->planned->trace());
    dock().set_trainer_program(QStringLiteral(TIDEMARK_BIN_DIR "/tidemark-profile"));
    dock().run_plan(id);
    QVERIFY(settled());
    const ListedPlan& plan = dock().state().list.plans[0];
    QVERIFY2(plan.measured != nullptr, qPrintable(child<QLabel>("what_if_progress").text()));
    QCOMPARE(plan.measured->timeline().peak.bytes, plan.result->plan().peak_bytes);
    QCOMPARE(view().others.size(), std::size_t{2});
    dock().undo_stack().undo();  // of keeping it
    dock().undo_stack().redo();
    QVERIFY(dock().state().list.plans[0].measured != nullptr);
  }

  void a_step_is_spread_over_ranks_saved_with_an_index_and_run() {
    WhatIf what_if = dock().state().controls;
    what_if.shard = {Decider::chosen, ShardStage::zero2};
    dock().ask(what_if, QStringLiteral("Shard"));
    QVERIFY(settled());
    QVERIFY2(dock().refusal().contains(QStringLiteral("micro-batches")),
             qPrintable(dock().refusal()));
    what_if.micro_batches = {Decider::chosen, 2};
    dock().ask(what_if, QStringLiteral("Micro-batches"));
    QVERIFY(settled());
    QVERIFY2(dock().refusal().isEmpty(), qPrintable(dock().refusal()));
    const QString card = child<QTextBrowser>("what_if_card").toPlainText();
    QVERIFY2(card.contains(QStringLiteral("zero2 over 2 ranks")), qPrintable(card));
    dock().keep_plan();
    QTemporaryDir folder;
    const int id = dock().state().list.plans[0].id;
    QVERIFY(dock().save_plan(id, folder.filePath(QStringLiteral("ranks.tmk"))));
    for (const char* name : {"ranks.tmk", "ranks.rank0.tmk", "ranks.rank1.tmk"}) {
      QVERIFY2(QFileInfo::exists(folder.filePath(QString::fromLatin1(name))), name);
    }
    dock().set_trainer_program(QStringLiteral(TIDEMARK_BIN_DIR "/tidemark-profile"));
    dock().run_plan(id);
    QVERIFY(settled());
    const ListedPlan& plan = dock().state().list.plans[0];
    QVERIFY2(plan.measured != nullptr, qPrintable(child<QLabel>("what_if_progress").text()));
    QCOMPARE(plan.measured->timeline().peak.bytes, plan.result->plan().peak_bytes);
    dock().undo_stack().undo();  // of keeping it
    dock().undo_stack().undo();  // of the micro-batches
    dock().undo_stack().undo();
    QVERIFY(dock().state().controls.shard.by == Decider::recorded);
  }

  void a_trainer_that_is_not_there_is_said() {
    QVERIFY(ask_percent(75));
    dock().keep_plan();
    QTemporaryDir folder;
    const int id = dock().state().list.plans[0].id;
    QVERIFY(dock().save_plan(id, folder.filePath(QStringLiteral("p.tmk"))));
    dock().set_trainer_program(QStringLiteral("/nowhere/tidemark-profile"));
    dock().run_plan(id);
    QVERIFY(settled());
    QVERIFY(child<QLabel>("what_if_progress").text().contains(QStringLiteral("cannot be started")));
  }

  void hiding_the_panel_takes_the_plan_off_the_run() {
    QVERIFY(ask_percent(75));
    QCOMPARE(view().others.size(), std::size_t{1});
    dock().hide();
    QVERIFY(view().others.empty());
    dock().show();
    QCOMPARE(view().others.size(), std::size_t{1});
  }

  void a_run_that_cannot_be_planned_says_why_and_the_next_one_can() {
    window_->show_run(test::run_of(test::training_trace({})));
    QVERIFY(QTest::qWaitFor(
        [this] {
          return child<QTextBrowser>("what_if_card")
              .toPlainText()
              .contains(QStringLiteral("level 1"));
        },
        k_patience_ms));
    QVERIFY(!dock().is_ready());
    window_->show_run(test::planned_from());
    QVERIFY(settled());
    QVERIFY(dock().state().shown != nullptr);
  }

  void every_widget_that_takes_focus_has_a_name_and_can_be_reached() {
    std::set<QWidget*> reached;
    QWidget* at = &window_->timeline();
    for (int i = 0; i < 400; ++i) {
      at = at->nextInFocusChain();
      if (!reached.insert(at).second) break;
    }
    for (QWidget* widget : dock().findChildren<QWidget*>()) {
      const bool takes = (widget->focusPolicy() & Qt::TabFocus) != 0 && widget->isEnabled() &&
                         widget->isVisibleTo(&dock());
      if (!takes || widget->objectName().startsWith(QStringLiteral("qt_"))) continue;
      QVERIFY2(reached.contains(widget), qPrintable(widget->objectName()));
      auto* button = qobject_cast<QAbstractButton*>(widget);
      const bool named =
          !widget->accessibleName().isEmpty() || (button != nullptr && !button->text().isEmpty());
      QVERIFY2(named || widget->metaObject()->className() == QByteArray("QTabBar"),
               widget->metaObject()->className());
    }
  }

  void it_can_be_seen() {  // for people: TIDEMARK_PICTURES=folder keeps the pictures
    QVERIFY(ask_percent(70));
    dock().keep_plan();
    QVERIFY(ask_percent(85));
    dock().keep_plan();
    auto& table = child<QTableView>("what_if_plans");
    for (int row = 0; row < 2; ++row) {
      table.model()->setData(table.model()->index(row, 0), Qt::Checked, Qt::CheckStateRole);
    }
    window_->timeline().set_one_step(true);
    QVERIFY(dock().state().shown != nullptr);
    const QString folder = qEnvironmentVariable("TIDEMARK_PICTURES");
    for (const Theme theme : {Theme::light, Theme::dark}) {
      window_->set_theme(theme);
      for (int tab = 0; tab < 4; ++tab) {
        child<QTabWidget>("what_if_tabs").setCurrentIndex(tab);
        QTest::qWait(10);
        const QPixmap picture = window_->grab();
        QVERIFY(!picture.isNull());
        if (folder.isEmpty()) continue;
        QVERIFY(picture.save(QStringLiteral("%1/whatif_%2_%3.png")
                                 .arg(folder)
                                 .arg(theme == Theme::light ? "light" : "dark")
                                 .arg(tab)));
      }
    }
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::WhatIfDockTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "whatif_dock_test.moc"
