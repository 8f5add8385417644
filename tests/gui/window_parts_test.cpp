// Parts of a run, all of its steps at once, and its ranks: by the keys and buttons of the window.
#include <QApplication>
#include <QLineEdit>
#include <QMessageBox>
#include <QPushButton>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <set>

#include "gui/filter.h"
#include "gui/filter_bar.h"
#include "gui/lane_widget.h"
#include "gui/script.h"
#include "sim/export_chrome.h"
#include "tests/gui/synthetic.h"
#include "tests/gui/window_fixture.h"
#include "tests/paths.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

class WindowPartsTest : public test::WindowFixture {
  Q_OBJECT

 private:
  QTemporaryDir folder_;

  QImage picture() { return timeline().grab().toImage(); }
  std::vector<QPushButton*> chips() {
    std::vector<QPushButton*> shown;
    for (auto* chip : window_->findChildren<QPushButton*>(QStringLiteral("chip"))) {
      if (chip->isVisible()) shown.push_back(chip);
    }
    return shown;
  }
  /// Types into the list that "/" opens, and takes the first row.
  void choose_filter(const char* words) {
    key(Qt::Key_Slash);
    auto* field = window_->findChild<QLineEdit*>(QStringLiteral("palette_words"));
    QVERIFY(field != nullptr);
    QTest::keyClicks(field, QString::fromLatin1(words));
    QTest::keyClick(field, Qt::Key_Return);
    QTest::qWait(0);  // the list is deleted when it is closed
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);
  }
  void run_lines(const std::string& lines) {
    const std::string path = folder_.filePath(QStringLiteral("script.txt")).toStdString();
    write_file(path, lines);
    run_script(*window_, path);
  }

 private slots:
  void init() { open(test::run_of(test::training_trace({}))); }
  void cleanup() { window_.reset(); }

  void a_filter_is_found_by_its_words_shown_as_a_chip_and_taken_away() {
    const std::vector<PixelColumn> before = timeline().columns();
    const std::int64_t whole_bytes = state().run->timeline().peak.bytes;
    QVERIFY(!window_->findChild<FilterBar*>()->isVisible());
    choose_filter("only category activation");
    QCOMPARE(state().filter, (Filter{{StackBy::category, "activation"}}));
    QVERIFY(state().run->timeline().peak.bytes < whole_bytes);
    QVERIFY(window_->findChild<FilterBar*>()->isVisible());
    QCOMPARE(chips().size(), std::size_t{1});
    QVERIFY(chips()[0]->text().startsWith(QStringLiteral("category activation")));
    QVERIFY(chips()[0]->accessibleName().contains(QStringLiteral("category activation")));
    QCOMPARE(window_->alive().total_bytes(), state().run->timeline().peak.bytes);
    choose_filter("only category gradient");
    QCOMPARE(chips().size(), std::size_t{2});
    chips()[1]->setFocus();
    QTest::keyClick(chips()[1], Qt::Key_Space);
    QCOMPARE(state().filter.size(), std::size_t{1});
    QTest::mouseClick(chips()[0], Qt::LeftButton);
    QVERIFY(state().filter.empty());
    QVERIFY(chips().empty());
    QVERIFY(!window_->findChild<FilterBar*>()->isVisible());
    QCOMPARE(state().run->timeline().peak.bytes, whole_bytes);
    QVERIFY(timeline().columns() == before);
    QVERIFY(timeline().hasFocus() || !window_->isActiveWindow());
  }

  void chips_take_as_many_rows_as_they_need() {
    Filter filter;
    for (const FilterTerm& term : terms_of(*state().run)) {
      if (term.by == StackBy::layer) filter.push_back(term);
    }
    timeline().set_filter(filter);
    window_->resize(700, 500);
    QCoreApplication::processEvents();
    const auto* bar = window_->findChild<FilterBar*>();
    const std::vector<QPushButton*> all = chips();
    QCOMPARE(all.size(), filter.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      QVERIFY(bar->rect().contains(all[i]->geometry()));
      QVERIFY(all[i]->width() >= all[i]->sizeHint().width());
      for (std::size_t k = 0; k < i; ++k) {
        QVERIFY(!all[k]->geometry().intersects(all[i]->geometry()));
      }
    }
  }

  void a_filter_stays_over_files_and_sessions_and_is_kept_out_of_the_what_if() {
    timeline().set_filter({{StackBy::category, "activation"}});
    window_->compare_with(test::run_of(test::training_trace({.recompute = true})));
    QVERIFY(state().others[0].run->whole_run() != nullptr);
    const Session session = window_->session();
    QCOMPARE(session.filter, state().filter);
    timeline().set_filter({});
    window_->restore(session);
    QCOMPARE(state().filter, session.filter);
    window_->set_budget(window_->parse_budget("100%"));
    QCOMPARE(state().budget_bytes, whole_of(state().run)->timeline().peak.bytes);
  }

  void a_bookmark_set_in_a_part_is_the_same_instant_of_the_whole() {
    timeline().set_filter({{StackBy::category, "activation"}});
    timeline().pin_change(state().run->timeline().peak.change);
    const std::int64_t time_ns = state().pinned->time_ns;
    key(Qt::Key_M);
    QCOMPARE(state().bookmarks.size(), std::size_t{1});
    timeline().set_filter({});
    timeline().pin_whole_change(state().bookmarks[0].change);
    QCOMPARE(state().pinned->time_ns, time_ns);
    key(Qt::Key_M);  // the same place: taken away
    QVERIFY(state().bookmarks.empty());
  }

  void nothing_passes_and_all_keys_work() {
    timeline().set_filter({{StackBy::layer, "none of these"}});
    for (const Binding& binding : bindings()) {
      if (binding.command == Command::help || binding.command == Command::filter) continue;
      window_->perform(binding.command);
      QVERIFY(!picture().isNull());
    }
    timeline().set_filter({});
    QVERIFY(state().run->pyramid().change_count() > 0);
  }

  void e_lays_every_step_over_the_steady_one() {
    window_->compare_with(test::run_of(test::training_trace({.recompute = true})));
    key(Qt::Key_E);
    QVERIFY(state().every_step);
    QVERIFY(state().one_step);
    QVERIFY(state().range == state().run->steady_step(Axis::time));
    std::set<QRgb> colours;
    const QImage image = picture().convertToFormat(QImage::Format_RGB32);
    for (int y = 0; y < image.height(); ++y) {
      for (int x = 0; x < image.width(); ++x) colours.insert(image.pixel(x, y));
    }
    QVERIFY(colours.contains(light_colours().overlays[0]));
    key(Qt::Key_E);
    QVERIFY(!state().every_step);
    QVERIFY(state().one_step);  // what it was laid over stays
    key(Qt::Key_E);
    key(Qt::Key_O);
    QVERIFY(!state().every_step);  // the whole run has all steps beside each other
    QVERIFY(!state().one_step);
  }

  void ranks_have_a_lane_each() {
    const std::string golden = TIDEMARK_SOURCE_DIR "/tests/golden/zero1/zero1.rank";
    auto* lanes = window_->findChild<LaneWidget*>();
    window_->show_run(load_run(golden + "0.tmk.json"));
    const int without_px = lanes->sizeHint().height();
    window_->compare_with(load_run(golden + "1.tmk.json"));
    QVERIFY(lanes->sizeHint().height() > without_px);
    QCOMPARE(ranks_of(state()), (std::vector<std::ptrdiff_t>{-1, 0}));
    QCoreApplication::processEvents();  // the layout makes room for them
    lanes->grab();
    std::set<QString> said;
    for (int y = 0; y < lanes->height(); ++y) {
      for (int x = k_left_margin_px; x < lanes->width(); x += 50) {
        said.insert(lanes->text_at({x, y}).left(6));
      }
    }
    QVERIFY(said.contains(QStringLiteral("rank 0")));
    QVERIFY(said.contains(QStringLiteral("rank 1")));
  }

  void a_foreign_recording_is_dropped_in_by_a_script_and_a_damaged_one_is_said() {
    const std::string chrome = to_chrome(test::training_trace({}));
    const QString good = folder_.filePath(QStringLiteral("other.json"));
    const QString cut = folder_.filePath(QStringLiteral("cut.json"));
    write_file(good.toStdString(), chrome);
    write_file(cut.toStdString(), chrome.substr(0, chrome.size() / 2));
    run_lines("open " + good.toStdString() + "\nonly category activation\n");
    QCOMPARE(state().run->trace().meta.kind, TraceKind::imported);
    QVERIFY_THROWS_EXCEPTION(InputError, run_lines("only category nothing\n"));
    QVERIFY_THROWS_EXCEPTION(InputError, run_lines("only\n"));
    run_lines("only everything\n");
    QVERIFY(state().filter.empty());
    window_->open_files({cut}, false);
    QVERIFY(QTest::qWaitFor(
        [this] { return window_->findChild<QMessageBox*>(QStringLiteral("fault")) != nullptr; }));
    const QString fault = window_->findChild<QMessageBox*>(QStringLiteral("fault"))->text();
    QVERIFY2(fault.contains(QStringLiteral("cut.json")), qPrintable(fault));
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::WindowPartsTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "window_parts_test.moc"
