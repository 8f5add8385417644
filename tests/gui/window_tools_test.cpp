// The window on the offscreen platform: grouping, tabs, lanes, lives, palette, bookmarks, history,
// files in the background, dropping, following, sessions.
#include <QAbstractButton>
#include <QAction>
#include <QApplication>
#include <QComboBox>
#include <QDir>
#include <QDropEvent>
#include <QFile>
#include <QLineEdit>
#include <QListWidget>
#include <QMessageBox>
#include <QMimeData>
#include <QSignalSpy>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBrowser>
#include <QUrl>
#include <set>

#include "gui/command_palette.h"
#include "gui/instant_tabs.h"
#include "gui/lane_widget.h"
#include "gui/run_loader.h"
#include "gui/treemap_widget.h"
#include "gui/welcome_page.h"
#include "tests/gui/synthetic.h"
#include "tests/gui/window_fixture.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

RunPtr training(bool recompute = false) {
  return test::run_of(test::training_trace({.recompute = recompute}));
}

std::set<QRgb> colours_in(const QImage& image) {
  std::set<QRgb> colours;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) colours.insert(image.pixel(x, y));
  }
  return colours;
}

QImage picture_of(QWidget& widget) {
  return widget.grab().toImage().convertToFormat(QImage::Format_RGB32);
}

}  // namespace

class WindowToolsTest : public test::WindowFixture {
  Q_OBJECT

 private:
  QTemporaryDir folder_;

  /// A trace file of the folder.
  QString write(const char* name, const Trace& trace) {
    const QString path = folder_.filePath(QString::fromLatin1(name));
    write_trace(trace, path.toStdString());
    return path;
  }
  bool wait_until_open(const QString& path) {
    return QTest::qWaitFor([&] {
      return state().run && QString::fromStdString(state().run->file()) == path &&
             !window_->loader().is_busy();
    });
  }

 private slots:
  void init() { open(training()); }
  void cleanup() { window_.reset(); }

  void g_divides_the_stack_anew_and_the_box_says_by_what() {
    const QImage by_category = picture_of(timeline());
    key(Qt::Key_G);
    QCOMPARE(state().group_by, StackBy::layer);
    QCOMPARE(child<QComboBox>("group_by").currentIndex(), 1);
    QVERIFY(picture_of(timeline()) != by_category);
    for (const PixelColumn& column : timeline().columns()) {
      QCOMPARE(total_bytes(column.at_max), column.extremes.max_bytes);
    }
    for (int i = 0; i < 5; ++i) key(Qt::Key_G);
    QCOMPARE(state().group_by, StackBy::category);
    QVERIFY(picture_of(timeline()) == by_category);
  }

  void digits_show_the_tabs_and_each_says_something() {
    window_->compare_with(training(true));
    auto& tabs = child<InstantTabs>("instant_tabs");
    const std::vector<std::pair<Qt::Key, const char*>> texts = {
        {Qt::Key_3, "difference"}, {Qt::Key_4, "why_alive"}, {Qt::Key_5, "range"}};
    for (const auto& [digit, name] : texts) {
      key(digit);
      QCOMPARE(tabs.currentWidget(), &child<QTextBrowser>(name));
      QVERIFY2(child<QTextBrowser>(name).toPlainText().size() > 40, name);
    }
    QVERIFY(child<QTextBrowser>("difference").toPlainText().contains(QStringLiteral("change")));
    key(Qt::Key_2);
    const auto colours = colours_in(picture_of(child<TreemapWidget>("treemap")));
    QVERIFY(colours.count(band_colour(Band::weight)) == 1);
    QVERIFY(colours.count(band_colour(Band::activation)) == 1);
    key(Qt::Key_1);
    QCOMPARE(tabs.currentIndex(), 0);
  }

  void the_filter_shows_only_rows_with_all_its_words() {
    auto& filter = child<QLineEdit>("alive_filter");
    const int all = window_->alive().rowCount();
    filter.setText(QStringLiteral("BLOCK1 weight"));
    const AliveModel& model = window_->alive();
    QVERIFY(model.rowCount() > 0);
    QVERIFY(model.rowCount() < all);
    for (int row = 0; row < model.rowCount(); ++row) {
      QVERIFY(model.index(row, 0).data().toString().contains(QStringLiteral("block1")));
    }
    filter.clear();
    QCOMPARE(model.rowCount(), all);
  }

  void lanes_name_the_op_under_the_cursor() {
    auto& lanes = child<LaneWidget>("lanes");
    QApplication::processEvents();  // the layout knows its lanes
    QVERIFY(lanes.height() > 15);
    picture_of(lanes);
    const OpSpan& span = state().run->timeline().spans[20];
    timeline().set_range({span.begin_ns - 1000, span.end_ns + 1000});
    picture_of(lanes);
    const QString text = lanes.text_at({lanes.width() / 2, 10});
    QVERIFY2(text.contains(QString::fromStdString(op_name(state().run->trace(), span.op))),
             qPrintable(text));
  }

  void v_shows_the_lives_and_a_click_explains_one() {
    auto& lives = child<LifetimeWidget>("lifetimes");
    QVERIFY(!lives.isVisible());
    key(Qt::Key_V);
    QVERIFY(lives.isVisible());
    picture_of(lives);
    QVERIFY(!lives.bars().empty());
    const LifeBar first = lives.bars().front();
    QTest::mouseClick(&lives, Qt::LeftButton, {},
                      {k_left_margin_px + (first.begin_px + first.end_px) / 2, 4});
    QVERIFY(child<QTextBrowser>("why_alive")
                .toPlainText()
                .contains(QString::fromStdString(state().run->trace()[first.buffer].name)));
    child<QComboBox>("lifetime_order").setCurrentIndex(2);
    picture_of(lives);
    QVERIFY(lives.bars().empty());  // nothing is placed in this trace
    key(Qt::Key_V);
    QVERIFY(!lives.isVisible());
  }

  void the_view_is_exported_in_every_kind() {
    for (const char* name : {"a.png", "a.svg", "a.csv", "a.json"}) {
      const QString path = folder_.filePath(QString::fromLatin1(name));
      window_->export_to(path.toStdString());
      QVERIFY2(QFile(path).size() > 1000, name);
    }
    QVERIFY_THROWS_EXCEPTION(InputError, window_->export_to("a.doc"));
    QVERIFY_THROWS_EXCEPTION(InputError, window_->export_to("/no/folder/a.png"));
  }

  void m_sets_bookmarks_and_page_keys_go_there() {
    timeline().pin_change(40);
    key(Qt::Key_M);
    timeline().pin_change(90);
    key(Qt::Key_M);
    QCOMPARE(state().bookmarks.size(), std::size_t{2});
    timeline().pin_change(60);
    key(Qt::Key_PageDown);
    QCOMPARE(state().pinned->change, 90);
    key(Qt::Key_PageUp);
    QCOMPARE(state().pinned->change, 40);
    key(Qt::Key_M);
    QCOMPARE(state().bookmarks.size(), std::size_t{1});
  }

  void the_way_back_leads_through_the_views() {
    const ViewRange all = state().range;
    const ViewRange step = state().run->step(1, Axis::time);
    timeline().set_range(step);
    timeline().go_back(false);
    QVERIFY(state().range == all);
    timeline().go_back(true);
    QVERIFY(state().range == step);
    timeline().go_back(true);
    QVERIFY(state().range == step);
  }

  void the_palette_finds_commands_and_buffers() {
    const auto open = [this] {
      for (QAction* action : window_->findChildren<QAction*>()) {
        if (action->shortcut() == QKeySequence(Qt::CTRL | Qt::Key_K)) action->trigger();
      }
      return window_->findChild<CommandPalette*>(QStringLiteral("palette"));
    };
    CommandPalette* palette = open();
    QVERIFY(palette != nullptr);
    auto* words = palette->findChild<QLineEdit*>(QStringLiteral("palette_words"));
    words->setText(QStringLiteral("axis events"));
    QTest::keyClick(words, Qt::Key_Return);
    QCOMPARE(state().axis, Axis::change);
    QTest::qWait(1);  // it is gone
    palette = open();
    words = palette->findChild<QLineEdit*>(QStringLiteral("palette_words"));
    words->setText(QStringLiteral("buffer block3.mlp.y"));
    auto* list = palette->findChild<QListWidget*>(QStringLiteral("palette_list"));
    QVERIFY(list->count() > 0);
    QTest::keyClick(words, Qt::Key_Return);
    QVERIFY(state().pinned.has_value());
    const BufferId pinned =
        state().run->timeline().changes.buffer(static_cast<std::size_t>(state().pinned->change));
    QVERIFY(state().run->trace()[pinned].name.find("block3.mlp.y") == 0);
  }

  void words_are_found_whatever_their_case_and_order() {
    const auto entry = [](const char* text) {
      return PaletteEntry{QString::fromLatin1(text), {}, [] {}};
    };
    const std::vector<PaletteEntry> entries = {entry("The next peak"), entry("Peak before"),
                                               entry("Zoom in")};
    QCOMPARE(find_entries(entries, QStringLiteral("peak"), 9), (std::vector<std::size_t>{1, 0}));
    QCOMPARE(find_entries(entries, QStringLiteral("PEAK next"), 9), (std::vector<std::size_t>{0}));
    QCOMPARE(find_entries(entries, QString(), 2), (std::vector<std::size_t>{0, 1}));
    QVERIFY(find_entries(entries, QStringLiteral("pan"), 9).empty());
  }

  void files_open_in_the_background_and_faults_are_shown() {
    const QString run = write("run.tmk", test::training_trace({}));
    const QString planned = write("planned.tmk", test::training_trace({.recompute = true}));
    window_->open_files({run, planned}, false);
    QVERIFY(wait_until_open(run));
    QCOMPARE(state().others.size(), std::size_t{1});
    const QString noise = folder_.filePath(QStringLiteral("noise.tmk"));
    write_file(noise.toStdString(), "this is no trace");
    window_->open_files({noise}, false);
    QVERIFY(QTest::qWaitFor(
        [this] { return window_->findChild<QMessageBox*>(QStringLiteral("fault")) != nullptr; }));
    QVERIFY(child<QMessageBox>("fault").text().contains(QStringLiteral("noise.tmk")));
    child<QMessageBox>("fault").close();
    QVERIFY(QString::fromStdString(state().run->file()) == run);  // what was open stays
  }

  void dropped_files_are_opened() {
    const QString run = write("dropped.tmk", test::training_trace({.step_count = 2}));
    QMimeData data;
    data.setUrls({QUrl::fromLocalFile(run)});
    const auto drop = [&](Qt::KeyboardModifiers modifiers) {
      QDragEnterEvent enter(QPoint(300, 300), Qt::CopyAction, &data, Qt::LeftButton, modifiers);
      QApplication::sendEvent(window_.get(), &enter);
      QDropEvent event(QPointF(300, 300), Qt::CopyAction, &data, Qt::LeftButton, modifiers);
      QApplication::sendEvent(window_.get(), &event);
    };
    drop(Qt::ShiftModifier);
    QVERIFY(QTest::qWaitFor([this] { return state().others.size() == 1; }));
    drop(Qt::NoModifier);
    QVERIFY(wait_until_open(run));
    QVERIFY(state().others.empty());
  }

  void a_trace_that_is_being_written_is_followed_to_its_end() {
    Trace whole = test::training_trace({.step_count = 3});
    Trace begun = whole;
    begun.events.resize(begun.events.size() / 2);
    const std::string bytes = to_binary(begun);
    const QString part = folder_.filePath(QStringLiteral("live.tmk.part"));
    write_file(part.toStdString(), bytes.substr(0, bytes.size() - 57));  // not closed
    window_->open_files({part}, false);
    QVERIFY(wait_until_open(part));
    QVERIFY(child<QAction>("follow").isChecked());
    const std::int64_t before = state().run->timeline().event_count;
    timeline().set_range(state().run->step(0, Axis::time));
    const ViewRange view = state().range;
    QVERIFY(QFile::remove(part));
    write("live.tmk", whole);
    QSignalSpy ended(&window_->loader(), &RunLoader::following_ended);
    window_->loader().look();
    QVERIFY(QTest::qWaitFor([&] { return ended.count() == 1; }));
    QVERIFY(state().run->timeline().event_count > before);
    QVERIFY(state().range == view);
    QVERIFY(!child<QAction>("follow").isChecked());
  }

  void a_session_brings_the_view_back() {
    const std::string sessions = folder_.filePath(QStringLiteral("sessions.json")).toStdString();
    const QString run = write("kept.tmk", test::training_trace({}));
    window_->use_sessions(sessions);
    window_->open_files({run}, false);
    QVERIFY(wait_until_open(run));
    timeline().set_axis(Axis::change);
    timeline().set_group_by(StackBy::layer);
    timeline().set_range({100, 300});
    timeline().pin_change(150);
    key(Qt::Key_M);
    window_->set_budget(123'000'000);
    const Session kept = window_->session();
    window_->close();
    const auto all = load_sessions(sessions);
    QVERIFY(!all.empty());
    QVERIFY(all.front() == kept);

    MainWindow next(Theme::dark);
    next.show();
    next.use_sessions(sessions);
    auto* welcome = next.findChild<WelcomePage*>(QStringLiteral("welcome"));
    QVERIFY(welcome != nullptr && welcome->isVisible());
    emit welcome->session_chosen(all.front());
    QVERIFY(QTest::qWaitFor([&] {
      return next.timeline().state().run && next.timeline().state().range == kept.range;
    }));
    QVERIFY(!welcome->isVisible());
    Session again = next.session();
    again.layout = kept.layout;
    QVERIFY(again == kept);
  }

  void an_empty_window_shows_how_to_begin() {
    MainWindow empty(Theme::light);
    empty.resize(1200, 800);
    empty.show();
    auto* welcome = empty.findChild<WelcomePage*>(QStringLiteral("welcome"));
    QVERIFY(welcome->isVisible());
    QVERIFY(!WelcomePage::samples_folder().isEmpty());
    auto* sample = welcome->findChild<QAbstractButton*>(QStringLiteral("welcome_sample"));
    QVERIFY(sample != nullptr);
    sample->click();
    QVERIFY(QTest::qWaitFor([&] { return empty.timeline().state().others.size() == 2; }));
    QVERIFY(!welcome->isVisible());
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::WindowToolsTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "window_tools_test.moc"
