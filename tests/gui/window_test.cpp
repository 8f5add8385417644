// The window on the offscreen platform: what wheel, mouse and keys do, what is painted, what the
// tables say.
#include <QAction>
#include <QApplication>
#include <QDir>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QSignalSpy>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTextBrowser>
#include <QWheelEvent>
#include <set>

#include "gui/minimap_widget.h"
#include "gui/script.h"
#include "tests/gui/synthetic.h"
#include "tests/gui/window_fixture.h"
#include "traces/error.h"

namespace tidemark {
namespace {

RunPtr training(bool recompute = false) {
  return test::run_of(test::training_trace({.recompute = recompute}));
}

void turn_wheel(QWidget& widget, QPoint at, int degrees8) {
  QWheelEvent event(at, widget.mapToGlobal(at), {}, {0, degrees8}, Qt::NoButton, Qt::NoModifier,
                    Qt::NoScrollPhase, false);
  QApplication::sendEvent(&widget, &event);
}

std::set<QRgb> colours_in(const QImage& image, QRect box) {
  std::set<QRgb> colours;
  for (int y = box.top(); y <= box.bottom(); ++y) {
    for (int x = box.left(); x <= box.right(); ++x) colours.insert(image.pixel(x, y));
  }
  return colours;
}

}  // namespace

class WindowTest : public test::WindowFixture {
  Q_OBJECT

 private:
  QImage picture() { return timeline().grab().toImage().convertToFormat(QImage::Format_RGB32); }
  ColumnScale scale() { return {state().range, timeline().canvas().width()}; }

 private slots:
  void init() { open(training()); }
  void cleanup() { window_.reset(); }

  void starts_with_everything_in_view() {
    QCOMPARE(state().range.begin, state().run->whole(Axis::time).begin);
    QCOMPARE(state().range.end, state().run->whole(Axis::time).end);
  }

  void wheel_zooms_at_the_cursor() {
    const QPoint at(timeline().canvas().left() + 700, 200);
    const std::int64_t under = scale().column_begin(700);
    const std::int64_t span = state().range.span();
    turn_wheel(timeline(), at, 120);
    QCOMPARE(state().range.span(), span * 8 / 10);
    QCOMPARE(scale().column_of(under), 700);
    turn_wheel(timeline(), at, -1200);
    QCOMPARE(state().range.span(), span);  // never more than there is
  }

  void dragging_moves_the_content_with_the_hand() {
    timeline().set_range({40'000'000, 60'000'000});
    const int x = timeline().canvas().left() + 300;
    const std::int64_t grabbed = scale().column_begin(300);
    QTest::mousePress(&timeline(), Qt::LeftButton, {}, {x, 200});
    QTest::mouseMove(&timeline(), {x + 50, 200});
    QTest::mouseMove(&timeline(), {x + 120, 200});
    QTest::mouseRelease(&timeline(), Qt::LeftButton, {}, {x + 120, 200});
    QVERIFY(std::abs(scale().column_of(grabbed) - 420) <= 1);
    QVERIFY(!state().pinned.has_value());
  }

  void a_click_pins_the_state_that_is_painted_there() {
    QSignalSpy pinned(&timeline(), &TimelineWidget::pin_changed);
    QTest::mouseClick(&timeline(), Qt::LeftButton, {}, {timeline().canvas().left() + 500, 200});
    QCOMPARE(pinned.count(), 1);
    QVERIFY(state().pinned.has_value());
    const PixelColumn& column = timeline().columns()[500];
    QCOMPARE(state().pinned->change, column.extremes.max_change);
    QCOMPARE(window_->alive().total_bytes(), column.extremes.max_bytes);
  }

  void shift_and_drag_selects_and_says_what_is_in_it() {
    const QRect canvas = timeline().canvas();
    QTest::mousePress(&timeline(), Qt::LeftButton, Qt::ShiftModifier, {canvas.left() + 100, 150});
    QTest::mouseMove(&timeline(), {canvas.left() + 200, 150});
    QTest::mouseMove(&timeline(), {canvas.left() + 400, 150});
    QTest::mouseRelease(&timeline(), Qt::LeftButton, Qt::ShiftModifier, {canvas.left() + 400, 150});
    QVERIFY(state().selection.has_value());
    QCOMPARE(state().selection->begin, scale().column_begin(100));
    QCOMPARE(state().selection->end, scale().column_begin(401));
    const RangeStatistics expected = range_statistics(*state().run, *state().selection, Axis::time);
    const QString text = child<QLabel>("status").text();
    QVERIFY2(text.contains(QStringLiteral("%1 allocations").arg(expected.alloc_count)),
             qPrintable(text));
    key(Qt::Key_F);
    QCOMPARE(state().range.begin, scale().column_begin(0));
    QVERIFY(state().range == *state().selection);
    key(Qt::Key_Escape);
    QVERIFY(!state().selection.has_value());
  }

  void keys_zoom_and_move() {
    const ViewRange all = state().range;
    key(Qt::Key_W);
    QVERIFY(state().range.span() < all.span());
    const ViewRange zoomed = state().range;
    key(Qt::Key_D);
    QVERIFY(state().range.begin > zoomed.begin);
    QCOMPARE(state().range.span(), zoomed.span());
    key(Qt::Key_A);
    QVERIFY(std::abs(state().range.begin - zoomed.begin) <= 1);
    key(Qt::Key_Minus);
    key(Qt::Key_Plus);
    key(Qt::Key_Home);
    QVERIFY(state().range == all);
  }

  void n_and_p_walk_the_local_peaks_in_order() {
    const auto& peaks = state().run->local_peaks();
    QVERIFY(peaks.size() >= 3);
    key(Qt::Key_N);
    QCOMPARE(state().pinned->change, peaks[0]);
    key(Qt::Key_N);
    QCOMPARE(state().pinned->change, peaks[1]);
    key(Qt::Key_P);
    QCOMPARE(state().pinned->change, peaks[0]);
    key(Qt::Key_P);
    QCOMPARE(state().pinned->change, peaks[0]);  // nothing before it
  }

  void brackets_walk_the_steps() {
    key(Qt::Key_BracketRight);
    const ViewRange first = state().range;
    key(Qt::Key_BracketRight);
    key(Qt::Key_BracketLeft);
    QVERIFY(state().range == first);
    key(Qt::Key_BracketRight);
    key(Qt::Key_BracketRight);
    QVERIFY(state().range == state().run->step(2, Axis::time));
  }

  void full_stop_and_comma_go_one_change_at_a_time() {
    timeline().pin_change(40);
    key(Qt::Key_Period);
    QCOMPARE(state().pinned->change, 41);
    key(Qt::Key_Comma);
    key(Qt::Key_Comma);
    QCOMPARE(state().pinned->change, 39);
  }

  void the_axis_changes_and_shows_the_same_changes() {
    timeline().set_range(state().run->step(1, Axis::time));
    key(Qt::Key_T);
    QCOMPARE(state().axis, Axis::change);
    QVERIFY(state().range == state().run->step(1, Axis::change));
    key(Qt::Key_T);
    QCOMPARE(state().range.begin, state().run->step(1, Axis::time).begin);
    key(Qt::Key_O);
    QVERIFY(state().range == state().run->steady_step(Axis::time));
  }

  void the_table_lists_everything_alive_largest_first() {
    const std::int64_t peak = state().run->timeline().peak.change;
    timeline().pin_change(peak);
    const AliveModel& model = window_->alive();
    QCOMPARE(model.rowCount(), static_cast<int>(state().run->timeline().peak.owners.size()));
    QCOMPARE(model.total_bytes(), state().run->timeline().peak.bytes);
    const Buffer& largest = state().run->trace()[state().run->timeline().peak.owners.front()];
    const auto cell = [&model](int column) {
      return model.index(0, column).data().toString().toStdString();
    };
    QCOMPARE(cell(AliveModel::name), largest.name);
    QCOMPARE(cell(AliveModel::category), std::string(to_string(largest.category)));
    child<QTableView>("alive_table").sortByColumn(AliveModel::name, Qt::AscendingOrder);
    for (int row = 1; row < model.rowCount(); ++row) {
      QVERIFY(model.index(row - 1, 0).data().toString() <= model.index(row, 0).data().toString());
    }
  }

  void the_budget_field_moves_the_line() {
    const auto line_row = [this] {
      const QImage image = picture();
      const int x = timeline().canvas().right() - 1;
      int reddest = -1;
      for (int y = timeline().canvas().top(); y < timeline().canvas().bottom(); ++y) {
        for (int dx = 0; dx < 12; ++dx) {
          if (image.pixel(x - dx, y) == light_colours().over) reddest = y;
        }
      }
      return reddest;
    };
    QCOMPARE(line_row(), -1);
    auto& field = child<QLineEdit>("budget");
    key(Qt::Key_B);
    QVERIFY(field.hasFocus() || window_->focusWidget() == &field);
    field.clear();
    QTest::keyClicks(&field, QStringLiteral("300MiB"));
    QTest::keyClick(&field, Qt::Key_Return);
    QCOMPARE(state().budget_bytes, std::int64_t{300} << 20);
    const int expected =
        timeline().canvas().top() + timeline().byte_scale().row_of(state().budget_bytes);
    QVERIFY(std::abs(line_row() - expected) <= 1);
    field.setText(QStringLiteral("nonsense"));
    QTest::keyClick(&field, Qt::Key_Return);
    QCOMPARE(state().budget_bytes, std::int64_t{300} << 20);  // refused, and nothing lost
  }

  void what_is_over_the_budget_is_hatched_in_red() {
    const QRect above(timeline().canvas().left() + 20, timeline().canvas().top() + 60,
                      timeline().canvas().width() - 40, 120);
    QVERIFY(!colours_in(picture(), above).contains(light_colours().over));
    window_->set_budget(std::int64_t{150} << 20);
    QVERIFY(colours_in(picture(), above).contains(light_colours().over));
    const OverBudget over = over_budget(*state().run, std::int64_t{150} << 20);
    QCOMPARE(over.bytes, state().run->timeline().peak.bytes - (std::int64_t{150} << 20));
    QVERIFY(over.time_ns > 0);
    QVERIFY(over.time_ns < state().run->timeline().step_ns);
  }

  void a_plan_lies_over_the_recording_from_the_begin_of_the_step() {
    const QImage before = picture();
    const RunPtr planned = training(true);
    window_->compare_with(planned);
    timeline().set_one_step(true);
    QVERIFY(picture() != before);
    const OverlayColumns overlay = overlay_of(state(), 0, scale());
    const auto& totals = overlay.max_bytes;
    QCOMPARE(*std::max_element(totals.begin(), totals.end()), planned->timeline().peak.bytes);
    // The outline is painted where the plan is.
    const QImage image = picture();
    const QRect canvas = timeline().canvas();
    int seen = 0;
    for (int x = 0; x < canvas.width(); x += 10) {
      if (totals[static_cast<std::size_t>(x)] < 0) continue;
      const int y = timeline().byte_scale().row_of(totals[static_cast<std::size_t>(x)]);
      seen +=
          image.pixel(canvas.left() + x, canvas.top() + y) == light_colours().overlays[0] ? 1 : 0;
    }
    QVERIFY2(seen > canvas.width() / 10 / 2, qPrintable(QString::number(seen)));
    QVERIFY(child<QTextBrowser>("report").toPlainText().contains(QStringLiteral("planned")));
  }

  void the_canvas_shows_the_colours_of_all_large_bands_in_both_themes() {
    for (const Theme theme : {Theme::light, Theme::dark}) {
      window_->set_theme(theme);
      const auto colours = colours_in(picture(), timeline().canvas());
      for (const Band band : {Band::weight, Band::optimizer_state, Band::activation, Band::gradient,
                              Band::temporary}) {
        QVERIFY2(colours.contains(band_colour(band)), to_string(band).data());
      }
      QVERIFY(colours.contains(colours_of(theme).background));
    }
  }

  void painting_twice_gives_the_same_pixels() { QVERIFY(picture() == picture()); }

  void damage_is_shown_in_the_chart_and_goes_with_its_run() {
    const QRect before = timeline().canvas();
    const auto warned = [this] {
      const QRect rows(k_left_margin_px, 0, 3, timeline().canvas().top() - k_top_margin_px);
      return rows.height() > 0 && colours_in(picture(), rows).contains(light_colours().over);
    };
    QVERIFY(!warned());
    Trace trace = test::training_trace({});
    trace.health.damaged_blocks = 2;
    window_->show_run(test::run_of(trace));
    QVERIFY(warned());
    QVERIFY(timeline().canvas().top() > before.top());
    QCOMPARE(timeline().canvas().bottom(), before.bottom());
    window_->show_run(training());
    QVERIFY(!warned());
    QCOMPARE(timeline().canvas(), before);
  }

  void the_label_of_the_peak_leaves_its_marker_free() {
    const std::int64_t peak = peak_position(*state().run, state().axis);
    for (const std::int64_t share : {2, 50, 98}) {  // of the view, right of the peak
      const std::int64_t begin = peak - 10'000'000 * (100 - share) / 100;
      timeline().set_range({begin, begin + 10'000'000});
      const int x = scale().column_of(peak);
      QVERIFY(x >= 0 && x < timeline().canvas().width());
      const int row = timeline().byte_scale().row_of(state().run->timeline().peak.bytes);
      const QPoint middle = timeline().canvas().topLeft() + QPoint(x, row - 6);
      QCOMPARE(picture().pixel(middle), light_colours().text);
    }
  }

  void a_budget_may_be_a_share_of_the_peak() {
    auto& field = child<QLineEdit>("budget");
    field.setText(QStringLiteral("50%"));
    QTest::keyClick(&field, Qt::Key_Return);
    QCOMPARE(state().budget_bytes, state().run->timeline().peak.bytes / 2);
  }

  void a_click_in_the_minimap_moves_the_view_there() {
    auto& minimap = child<MinimapWidget>("minimap");
    timeline().set_range({0, 10'000'000});
    QTest::mouseClick(&minimap, Qt::LeftButton, {}, {minimap.width() / 2, 20});
    const std::int64_t middle = (state().range.begin + state().range.end) / 2;
    QVERIFY(std::abs(middle - limits_of(state()).end / 2) < limits_of(state()).span() / 20);
    QCOMPARE(state().range.span(), 10'000'000);
  }

  void the_report_names_health_decisions_and_escapes_names() {
    Trace trace = test::training_trace({.recompute = true});
    trace.meta.title = "a <b> & c";
    trace.health.dropped_events = 7;
    trace.plan.method = "greedy";
    trace.plan.budget_bytes = std::int64_t{300} << 20;
    Decision decision;
    decision.buffer = BufferId{4};
    decision.reason = "frees 10 MiB at the peak";
    trace.decisions.push_back(decision);
    window_->show_run(test::run_of(trace));
    const QString text = child<QTextBrowser>("report").toPlainText();
    for (const char* part : {"a <b> & c", "NOT COMPLETE: 7 events dropped", "greedy", "300.0 MiB",
                             "1 decisions", "frees 10 MiB at the peak"}) {
      QVERIFY2(text.contains(QString::fromLatin1(part)), part);
    }
    QCOMPARE(state().budget_bytes, std::int64_t{300} << 20);  // that of the plan
  }

  void f1_shows_a_line_for_every_command() {
    key(Qt::Key_F1);
    auto* box = window_->findChild<QMessageBox*>(QStringLiteral("help"));
    QVERIFY(box != nullptr);
    for (const Binding& binding : bindings()) {
      QVERIFY2(box->text().contains(QString::fromLatin1(binding.about)), binding.about);
    }
    box->close();
  }

  void enter_pins_the_peak_and_goes_to_the_table() {
    key(Qt::Key_Return);
    QCOMPARE(state().pinned->change, state().run->timeline().peak.change);
    QCOMPARE(window_->focusWidget(), &child<QTableView>("alive_table"));
  }

  void every_widget_that_takes_focus_has_a_name() {
    for (const char* name : {"timeline", "minimap", "budget", "alive_table", "report"}) {
      QVERIFY2(!child<QWidget>(name).accessibleName().isEmpty(), name);
    }
  }

  void an_empty_window_and_an_empty_run_can_be_used() {
    MainWindow empty(Theme::dark);
    empty.show();
    for (int pass = 0; pass < 2; ++pass) {
      for (const Binding& binding : bindings()) {
        if (binding.command != Command::help) empty.perform(binding.command);
      }
      turn_wheel(empty.timeline(), {200, 100}, 120);
      QTest::mouseClick(&empty.timeline(), Qt::LeftButton, {}, {300, 100});
      QVERIFY(!empty.grab().isNull());
      empty.show_run(test::run_of(Trace{}));
    }
  }

  void a_million_changes_are_painted_with_their_peak() {
    Trace trace = test::random_trace({.seed = 2, .change_count = 1'000'000});
    window_->show_run(test::run_of(std::move(trace)));
    const Peak& peak = state().run->timeline().run_peak;
    const auto& columns = timeline().columns();
    const int x = scale().column_of(peak.time_ns);
    QCOMPARE(columns[static_cast<std::size_t>(x)].extremes.max_bytes, peak.bytes);
    QCOMPARE(columns[static_cast<std::size_t>(x)].at_max, by_band(peak.by_category));
    const QImage image = picture();
    const QRect canvas = timeline().canvas();
    const ByteScale bytes = timeline().byte_scale();
    for (int column = 7; column < canvas.width(); column += 97) {
      const auto band =
          band_at(columns[static_cast<std::size_t>(column)], bytes, canvas.height() - 2);
      const QRgb painted = image.pixel(canvas.left() + column, canvas.bottom() - 1);
      const bool fits = painted == band_colour(*band) || painted == edge_colour(*band) ||
                        painted == 0xFFFFFFFF;  // the mark of the minimum
      QVERIFY(fits);
    }
    timeline().pin_change(peak.change);
    QCOMPARE(window_->alive().total_bytes(), peak.bytes);
  }

  void a_script_is_carried_out_and_its_faults_are_named() {
    QTemporaryDir folder;
    const auto write = [&folder](const char* text) {
      QFile file(folder.filePath(QStringLiteral("s.txt")));
      if (!file.open(QIODevice::WriteOnly)) return std::string();
      file.write(text);
      return file.fileName().toStdString();
    };
    run_script(*window_, write("# a comment\nzoom 0.25 0.5\nkey N\ntheme dark\n"));
    const ViewRange all = limits_of(state());
    QVERIFY(state().range.span() <= all.span() / 4 + 1);
    QVERIFY(state().pinned.has_value());
    try {
      run_script(*window_, write("key N\nfly away\n"));
      QFAIL("accepted");
    } catch (const InputError& error) {
      QVERIFY2(QString::fromLatin1(error.what()).contains(QStringLiteral("line 2")), error.what());
    }
  }
};

}  // namespace tidemark

int main(int argc, char** argv) {
  qputenv("QT_QPA_PLATFORM", "offscreen");
  QApplication application(argc, argv);
  tidemark::set_up_application(application);
  tidemark::WindowTest test;
  return QTest::qExec(&test, argc, argv);
}

#include "window_test.moc"
