#include "gui/main_window.h"

#include <QAction>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QKeyEvent>
#include <QLineEdit>
#include <QMessageBox>
#include <QStatusBar>
#include <QTableView>
#include <QTextBrowser>
#include <QtGlobal>

#include "gui/elided_label.h"
#include "gui/labels.h"
#include "gui/options.h"
#include "gui/run_report.h"
#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {
namespace {

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

QString help_html() {
  QString html = QStringLiteral("<h3>Keys</h3><table>");
  for (const Binding& binding : bindings()) {
    html += QStringLiteral("<tr><td><b>%1</b>&nbsp;&nbsp;</td><td>%2</td></tr>")
                .arg(QString::fromLatin1(binding.keys).toHtmlEscaped(),
                     QString::fromLatin1(binding.about));
  }
  html += QStringLiteral(
      "<tr><td><b>Ctrl+O</b></td><td>Open</td></tr>"
      "<tr><td><b>Ctrl+Shift+O</b></td><td>Compare with another run</td></tr>"
      "<tr><td><b>Ctrl+E</b></td><td>Export the window as PNG</td></tr></table>"
      "<h3>Mouse</h3><p>Wheel: zoom at the cursor. Drag: move. Shift and drag: select a range and "
      "see its statistics. Click: pin the instant.</p>");
  return html;
}

}  // namespace

void MainWindow::show_run(RunPtr run) {
  const std::int64_t plan_budget_bytes = run->trace().plan.budget_bytes;
  setWindowTitle(QFileInfo(text_of(run->file())).fileName());
  timeline_->set_run(std::move(run));
  if (budget_from_plan_) timeline_->set_budget(plan_budget_bytes);
  compare_action_->setEnabled(true);
  refresh_report();
  refresh_alive();
}

void MainWindow::compare_with(RunPtr other) {
  if (!timeline_->state().run) {
    show_run(std::move(other));
    return;
  }
  const std::int64_t plan_budget_bytes = other->trace().plan.budget_bytes;
  timeline_->add_other(std::move(other));
  if (budget_from_plan_ && timeline_->state().budget_bytes < 0) {
    timeline_->set_budget(plan_budget_bytes);
  }
  refresh_report();
}

void MainWindow::set_budget(std::int64_t budget_bytes) {
  budget_from_plan_ = false;
  timeline_->set_budget(budget_bytes);
  refresh_report();
}

std::int64_t MainWindow::parse_budget(const std::string& text) const {
  const RunPtr& run = timeline_->state().run;
  return tidemark::parse_budget(text, run ? run->timeline().peak.bytes : -1);
}

void MainWindow::set_theme(Theme theme) {
  theme_ = theme;
  apply_theme(theme);
  timeline_->set_colours(colours_of(theme));
  refresh_modes();
}

void MainWindow::open_file(const QString& path, bool compare) {
  try {
    RunPtr run = load_run(path.toStdString());
    compare ? compare_with(std::move(run)) : show_run(std::move(run));
  } catch (const InputError& error) {
    QMessageBox::warning(this, QStringLiteral("Cannot open the trace"), text_of(error.what()));
  }
}

void MainWindow::ask_and_open(bool compare) {
  const QString path = QFileDialog::getOpenFileName(
      this, compare ? QStringLiteral("Compare with") : QStringLiteral("Open a trace"), {},
      QStringLiteral("Traces (*.tmk *.tmk.gz *.tmk.xz *.tmk.zst *.json);;All files (*)"));
  if (!path.isEmpty()) open_file(path, compare);
}

void MainWindow::export_png() {
  QString path = QFileDialog::getSaveFileName(this, QStringLiteral("Export as PNG"),
                                              QStringLiteral("tidemark.png"),
                                              QStringLiteral("Pictures (*.png)"));
  if (path.isEmpty()) return;
  if (!path.endsWith(QStringLiteral(".png"))) path += QStringLiteral(".png");
  if (!grab().save(path)) {
    QMessageBox::warning(this, QStringLiteral("Cannot export"),
                         QStringLiteral("%1 cannot be written").arg(path));
  }
}

void MainWindow::read_budget_field() {
  const QString text = budget_field_->text().trimmed();
  try {
    set_budget(text.isEmpty() ? -1 : parse_budget(text.toStdString()));
    timeline_->setFocus();
  } catch (const InputError& error) {
    statusBar()->showMessage(text_of(error.what()), 8000);
    budget_field_->selectAll();
  }
}

void MainWindow::show_help() {
  auto* box = new QMessageBox(QMessageBox::NoIcon, QStringLiteral("Keys and mouse"), help_html(),
                              QMessageBox::Close, this);
  box->setObjectName(QStringLiteral("help"));
  box->setAttribute(Qt::WA_DeleteOnClose);
  box->open();
}

void MainWindow::show_details() {
  if (!timeline_->state().run) return;
  if (!timeline_->state().pinned) {
    const std::int64_t change = timeline_->focus()->instant.change;
    timeline_->pin_change(change);
  }
  alive_dock_->show();
  alive_dock_->raise();
  alive_table_->setFocus();
}

void MainWindow::perform(Command command) {
  switch (command) {
    case Command::toggle_theme:
      set_theme(theme_ == Theme::light ? Theme::dark : Theme::light);
      break;
    case Command::budget:
      budget_field_->setFocus();
      budget_field_->selectAll();
      break;
    case Command::details:
      show_details();
      break;
    case Command::help:
      show_help();
      break;
    case Command::clear:
      timeline_->setFocus();
      timeline_->perform(command);
      break;
    default:
      timeline_->perform(command);
  }
}

void MainWindow::keyPressEvent(QKeyEvent* event) {
  if (const auto command = command_of(*event)) {
    perform(*command);
    event->accept();
    return;
  }
  QMainWindow::keyPressEvent(event);
}

void MainWindow::refresh_alive() {
  const ViewState& state = timeline_->state();
  if (!state.run) return;
  const Instant instant = state.pinned
                              ? *state.pinned
                              : instant_of_change(*state.run, state.run->timeline().peak.change);
  const std::int64_t zero_ns = state.one_step ? state.run->steady_step(Axis::time).begin : 0;
  alive_->show(state.run, instant.change, zero_ns);
  show_columns();
  alive_title_->setText(
      QStringLiteral("%1: %2 in %3 buffers, at %4 of %5")
          .arg(state.pinned ? QStringLiteral("Pinned") : QStringLiteral("At the peak"),
               text_of(format_bytes(instant.total_bytes)), QString::number(alive_->rowCount()),
               text_of(format_time_ns(instant.time_ns - zero_ns)),
               state.one_step ? QStringLiteral("the step") : QStringLiteral("the run")));
}

void MainWindow::refresh_report() {
  const std::int64_t budget_bytes = timeline_->state().budget_bytes;
  report_->setHtml(text_of(run_report_html(timeline_->state())));
  if (!budget_field_->hasFocus() || budget_bytes < 0) {
    budget_field_->setText(budget_bytes < 0 ? QString() : text_of(format_bytes(budget_bytes)));
  }
}

void MainWindow::refresh_status() {
  const ViewState& state = timeline_->state();
  if (!state.run) {
    status_->setText(QStringLiteral("Ctrl+O opens a trace, F1 shows the keys"));
  } else if (state.selection) {
    const RangeStatistics statistics = range_statistics(*state.run, *state.selection, state.axis);
    status_->setText(text_of(describe(state, statistics)));
  } else {
    const std::string span = state.axis == Axis::time
                                 ? format_time_ns(state.range.span())
                                 : std::to_string(state.range.span()) + " events";
    status_->setText(QStringLiteral("View of %1 · wheel zooms, drag moves, shift+drag selects, "
                                    "click pins, N and P go to peaks, F1 shows all keys")
                         .arg(text_of(span)));
  }
}

}  // namespace tidemark
