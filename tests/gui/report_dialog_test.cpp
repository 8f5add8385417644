// The dialog of capacity reports, by what somebody ticks, types and clicks.
#include "gui/report_dialog.h"

#include <QApplication>
#include <QFile>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>

#include "gui/main_window.h"
#include "gui/script.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {

class ReportDialogTest : public QObject {
  Q_OBJECT

 private:
  std::unique_ptr<ReportDialog> dialog_;
  QTemporaryDir folder_;

  template <class Widget>
  Widget& child(const char* name) {
    return *dialog_->findChild<Widget*>(QString::fromLatin1(name));
  }
  void tick(const char* list, const char* name, bool on = true) {
    const auto found =
        child<QListWidget>(list).findItems(QString::fromLatin1(name), Qt::MatchExactly);
    QCOMPARE(found.size(), 1);
    found.front()->setCheckState(on ? Qt::Checked : Qt::Unchecked);
  }
  void tick_small() {
    tick("report_models", "llama3-8b");
    tick("report_devices", "h100-80g");
    tick("report_strategies", "any layout", false);
    tick("report_strategies", "zero3, recompute full");
    child<QLineEdit>("report_ranks").setText(QStringLiteral("8"));
  }
  QString status() { return child<QLabel>("report_status").text(); }
  bool run_to_its_end() {
    QSignalSpy ended(dialog_.get(), &ReportDialog::ended);
    QTest::mouseClick(&child<QPushButton>("report_run"), Qt::LeftButton);
    return ended.count() > 0 || ended.wait(60'000);
  }

 private slots:
  void init() {
    dialog_ = std::make_unique<ReportDialog>(nullptr);
    dialog_->show();
  }
  void cleanup() { dialog_.reset(); }

  void what_is_ticked_is_the_spec_and_the_report_is_shown_and_exported() {
    tick_small();
    QVERIFY(dialog_->spec().contains(QStringLiteral("  - llama3-8b\n")));
    QVERIFY(run_to_its_end());
    QVERIFY2(dialog_->fault().isEmpty(), qPrintable(dialog_->fault()));
    QAbstractItemModel& rows = *child<QTableView>("report_table").model();
    QCOMPARE(rows.rowCount(), 1);
    QCOMPARE(rows.index(0, 3).data().toString(), QStringLiteral("fits"));
    QVERIFY(status().startsWith(QStringLiteral("1 of 1 fit")));
    const QString path = folder_.filePath(QStringLiteral("report.csv"));
    dialog_->export_to(path);
    QCOMPARE(read_file(path.toStdString()), report_csv(*dialog_->report()));
    QVERIFY_THROWS_EXCEPTION(InputError,
                             dialog_->export_to(QStringLiteral("/no/such/folder/r.csv")));
  }

  void figures_are_sorted_by_their_values() {
    tick_small();
    tick("report_models", "llama3-70b");
    tick("report_strategies", "ddp, recompute none");
    QVERIFY(run_to_its_end());
    QTableView& table = child<QTableView>("report_table");
    table.sortByColumn(4, Qt::AscendingOrder);
    double last = -2;
    for (int row = 0; row < table.model()->rowCount(); ++row) {
      const double bytes = table.model()->index(row, 4).data(Qt::UserRole).toDouble();
      QVERIFY(bytes >= last);
      last = bytes;
    }
    QVERIFY(table.model()->rowCount() == 4);
  }

  void what_is_missing_or_wrong_is_said() {
    QTest::mouseClick(&child<QPushButton>("report_run"), Qt::LeftButton);
    QVERIFY(status().startsWith(QStringLiteral("Tick at least one model")));
    tick_small();
    child<QLineEdit>("report_ranks").setText(QStringLiteral("many"));
    QTest::mouseClick(&child<QPushButton>("report_run"), Qt::LeftButton);
    QVERIFY2(status().contains(QStringLiteral("found many")), qPrintable(status()));
    QVERIFY(!dialog_->is_running());
    child<QPlainTextEdit>("report_spec").setPlainText(QStringLiteral("models: [nobody]\n"));
    QVERIFY(run_to_its_end());
    QVERIFY2(dialog_->fault().contains(QStringLiteral("nobody")), qPrintable(dialog_->fault()));
    QVERIFY(!dialog_->report());
  }

  void a_spec_that_is_written_counts_until_the_choices_are_taken_back() {
    tick_small();
    const QString ticked = dialog_->spec();
    const QString path = folder_.filePath(QStringLiteral("own.yaml"));
    write_file(path.toStdString(), ticked.toStdString() + "# own\n");
    dialog_->open_spec(path);
    QVERIFY(dialog_->spec().endsWith(QStringLiteral("# own\n")));
    QVERIFY(!child<QListWidget>("report_models").isEnabled());
    QVERIFY(run_to_its_end());
    QVERIFY(dialog_->report());
    for (QPushButton* button : dialog_->findChildren<QPushButton*>()) {
      if (button->text().contains(QStringLiteral("icked"))) button->click();
    }
    QCOMPARE(dialog_->spec(), ticked);
    QVERIFY_THROWS_EXCEPTION(InputError,
                             dialog_->open_spec(folder_.filePath(QStringLiteral("none.yaml"))));
  }

  void a_long_report_is_stopped() {
    for (const char* list : {"report_models", "report_devices", "report_strategies"}) {
      QListWidget& all = child<QListWidget>(list);
      for (int row = 0; row < all.count(); ++row) all.item(row)->setCheckState(Qt::Checked);
    }
    QSignalSpy ended(dialog_.get(), &ReportDialog::ended);
    QSignalSpy progressed(dialog_->findChild<ReportWorker*>(), &ReportWorker::progressed);
    dialog_->run();
    QVERIFY(progressed.wait(60'000));
    QVERIFY(dialog_->is_running());
    QTest::mouseClick(&child<QPushButton>("report_stop"), Qt::LeftButton);
    QVERIFY(ended.count() > 0 || ended.wait(120'000));
    QVERIFY(!dialog_->report());
    QVERIFY2(status().startsWith(QStringLiteral("Stopped")), qPrintable(status()));
    QVERIFY(child<QPushButton>("report_run").isEnabled());
  }

  void every_part_has_a_name_and_is_reached_by_the_keyboard() {
    for (const char* name :
         {"report_models", "report_devices", "report_strategies", "report_ranks", "report_table"}) {
      const QWidget& part = child<QWidget>(name);
      QVERIFY2(!part.accessibleName().isEmpty(), name);
      QVERIFY2((part.focusPolicy() & Qt::TabFocus) != 0, name);
    }
  }

  void a_script_runs_a_report_and_its_picture_shows_it() {
    tick_small();
    const QString spec = folder_.filePath(QStringLiteral("spec.yaml"));
    const QString picture = folder_.filePath(QStringLiteral("report.png"));
    const QString script = folder_.filePath(QStringLiteral("script.txt"));
    write_file(spec.toStdString(), dialog_->spec().toStdString());
    write_file(script.toStdString(),
               ("report " + spec + "\nscreenshot " + picture + "\n").toStdString());
    MainWindow window(Theme::light);
    window.show();
    run_script(window, script.toStdString());
    QVERIFY(QFile::exists(picture));
    QVERIFY(window.findChild<ReportDialog*>()->report());
    write_file(spec.toStdString(), "models: [nobody]\n");
    QVERIFY_THROWS_EXCEPTION(InputError, run_script(window, script.toStdString()));
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::ReportDialogTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "report_dialog_test.moc"
