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
#include <algorithm>
#include <array>

#include "gui/elided_label.h"
#include "gui/filter.h"
#include "gui/instant_tabs.h"
#include "gui/labels.h"
#include "gui/options.h"
#include "gui/report_dialog.h"
#include "gui/run_report.h"
#include "gui/view_export.h"
#include "gui/welcome_page.h"
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
      "<tr><td><b>Ctrl+K</b></td><td>Find a command, a peak, a bookmark or a buffer</td></tr>"
      "<tr><td><b>Alt+Left, Alt+Right</b></td><td>The view before, the view after</td></tr>"
      "<tr><td><b>Ctrl+I</b></td><td>What if: plan the run</td></tr>"
      "<tr><td><b>Ctrl+R</b></td><td>Capacity report of models, devices and strategies</td></tr>"
      "<tr><td><b>Ctrl+E</b></td><td>Export as PNG, SVG, CSV, JSON or HTML</td></tr></table>"
      "<h3>Mouse</h3><p>Wheel: zoom at the cursor. Drag: move. Shift and drag: select a range and "
      "see its statistics. Click: pin the instant.</p>");
  return html;
}

}  // namespace

void MainWindow::show_run(RunPtr run) {
  const std::int64_t plan_budget_bytes = run->trace().plan.budget_bytes;
  setWindowTitle(QFileInfo(text_of(run->file())).fileName());
  timeline_->set_run(std::move(run));
  welcome_->hide();
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
  const RunPtr run = whole_of(timeline_->state().run);
  return tidemark::parse_budget(text, run ? run->timeline().peak.bytes : -1);
}

void MainWindow::set_theme(Theme theme) {
  theme_ = theme;
  apply_theme(theme);
  timeline_->set_colours(colours_of(theme));
  refresh_modes();
}

void MainWindow::ask_and_export() {
  QString path = QFileDialog::getSaveFileName(
      this, QStringLiteral("Export the view"), QStringLiteral("tidemark.png"),
      QStringLiteral("Picture of the window (*.png);;Drawing of the timeline (*.svg);;Columns of "
                     "the timeline (*.csv);;View and instant (*.json);;Page for others (*.html)"));
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += QStringLiteral(".png");
  try {
    export_to(path.toStdString());
  } catch (const InputError& error) {
    QMessageBox::warning(this, QStringLiteral("Cannot export"), text_of(error.what()));
  }
}

void MainWindow::export_to(const std::string& path) {
  if (!path.ends_with(".png")) {
    return export_view(timeline_->state(), timeline_->colours(), path);
  }
  if (!grab().save(text_of(path), "PNG")) {
    throw InputError({.file = path,
                      .place = "",
                      .expected = "a file that can be written",
                      .found = "it cannot"});
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

ReportDialog& MainWindow::show_reports() {
  if (reports_ == nullptr) reports_ = new ReportDialog(this);
  reports_->show();
  reports_->raise();
  reports_->activateWindow();
  return *reports_;
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

void MainWindow::show_tab(const std::string& name) {
  static constexpr std::array<const char*, 5> k_tabs = {"table", "areas", "difference", "why",
                                                        "range"};
  const auto tab = std::ranges::find(k_tabs, name);
  if (tab == k_tabs.end()) {
    throw InputError({.file = "",
                      .place = "tab",
                      .expected = "table, areas, difference, why or range",
                      .found = name});
  }
  tabs_->show_tab(static_cast<int>(tab - k_tabs.begin()));
}

void MainWindow::perform(Command command) {
  switch (command) {
    case Command::toggle_theme:
      set_theme(static_cast<Theme>((static_cast<std::size_t>(theme_) + 1) % k_theme_count));
      break;
    case Command::budget:
      budget_field_->setFocus();
      budget_field_->selectAll();
      break;
    case Command::details:
      show_details();
      break;
    case Command::lifetimes:
      lifetime_panel_->setVisible(!lifetime_panel_->isVisible());
      break;
    case Command::show_table:
    case Command::show_areas:
    case Command::show_difference:
    case Command::show_why:
    case Command::show_range:
      alive_dock_->show();
      alive_dock_->raise();
      tabs_->show_tab(static_cast<int>(command) - static_cast<int>(Command::show_table));
      break;
    case Command::filter:
      show_filters();
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
               text_of(format_bytes(instant.total_bytes)), QString::number(alive_->all_count()),
               text_of(format_time_ns(instant.time_ns - zero_ns)),
               state.one_step ? QStringLiteral("the step") : QStringLiteral("the run")));
  tabs_->refresh();
}

void MainWindow::refresh_report() {
  const std::int64_t budget_bytes = timeline_->state().budget_bytes;
  report_->setHtml(text_of(run_report_html(timeline_->state())));
  tabs_->refresh();
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
