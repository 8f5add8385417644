// The window at all sizes: which parts have room, and that keys reach all of them.
#include <QApplication>
#include <QDockWidget>
#include <QTableView>
#include <QTest>
#include <set>

#include "tests/gui/synthetic.h"
#include "tests/gui/window_fixture.h"

namespace tidemark {

class WindowLayoutTest : public test::WindowFixture {
  Q_OBJECT

 private:
  static RunPtr training() { return test::run_of(test::training_trace({})); }

 private slots:
  void init() { open(training()); }
  void cleanup() { window_.reset(); }

  void a_small_window_stacks_its_docks_and_a_large_one_parts_them() {
    auto& alive = child<QDockWidget>("dock_alive");
    auto& run = child<QDockWidget>("dock_run");
    const auto tabbed = [&] { return window_->tabifiedDockWidgets(&alive).contains(&run); };
    for (int pass = 0; pass < 2; ++pass) {
      window_->resize(1600, 900);
      QCoreApplication::processEvents();
      QVERIFY(!tabbed());
      QVERIFY(alive.isVisible() && run.isVisible());
      QVERIFY(alive.geometry().right() < run.geometry().left());
      QVERIFY(child<QWidget>("instant_card").isVisible());
      window_->resize(800, 500);
      QCoreApplication::processEvents();
      QVERIFY(tabbed());
      QVERIFY(alive.isVisible());
      window_->resize(600, 400);
      QCoreApplication::processEvents();
      QCOMPARE(window_->size(), QSize(600, 400));
      QVERIFY(!alive.isVisible());
      QVERIFY(window_->timeline().canvas().height() >= 150);
      if (pass == 1) continue;
      QTest::keyClick(&window_->timeline(), Qt::Key_Return);  // asks for the table
      QVERIFY(alive.isVisible());
    }
  }

  void the_name_of_a_buffer_has_room_at_every_size() {
    auto& table = child<QTableView>("alive_table");
    for (const QSize size : {QSize(1600, 900), QSize(1400, 850), QSize(1280, 720), QSize(1000, 700),
                             QSize(800, 500)}) {
      window_->resize(size);
      QCoreApplication::processEvents();
      QVERIFY2(table.columnWidth(AliveModel::name) >= 120,
               qPrintable(QString::number(size.width())));
    }
  }

  void what_an_import_does_not_know_has_no_column() {
    auto& table = child<QTableView>("alive_table");
    QVERIFY(!table.isColumnHidden(AliveModel::first_use));
    test::Sketch sketch;
    sketch.alloc(sketch.buffer("a", LayerId{}, Category::unknown, 4096));
    window_->show_run(test::run_of(sketch.trace));
    QVERIFY(table.isColumnHidden(AliveModel::first_use));
    QVERIFY(table.isColumnHidden(AliveModel::idle));
    window_->show_run(training());
    QVERIFY(!table.isColumnHidden(AliveModel::idle));
  }

  void tab_goes_round_and_is_caught_by_no_widget() {
    window_->timeline().setFocus();
    std::set<QString> seen;
    for (int i = 0; i < 20; ++i) {
      QTest::keyClick(window_->focusWidget(), Qt::Key_Tab);
      seen.insert(window_->focusWidget()->objectName());
    }
    for (const char* name : {"timeline", "alive_table", "report", "budget"}) {
      QVERIFY2(seen.contains(QString::fromLatin1(name)), name);
    }
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::WindowLayoutTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "window_layout_test.moc"
