#include "gui/script.h"

#include <fmt/format.h>
#include <QApplication>
#include <QDialog>
#include <QKeyEvent>
#include <QKeySequence>
#include <QPainter>
#include <QPixmap>
#include <sstream>

#include "gui/filter.h"
#include "gui/labels.h"
#include "gui/main_window.h"
#include "gui/options.h"
#include "gui/report_dialog.h"
#include "gui/whatif_dock.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw InputError({.file = "", .place = "", .expected = expected, .found = found});
}

void press_key(MainWindow& window, const std::string& name) {
  const QKeySequence sequence(QString::fromStdString(name));
  if (sequence.count() != 1) refuse("the name of one key", name);
  const QKeyCombination keys = sequence[0];
  QWidget* target = window.focusWidget() != nullptr ? window.focusWidget() : &window;
  for (const QEvent::Type type : {QEvent::KeyPress, QEvent::KeyRelease}) {
    QKeyEvent event(type, keys.key(), keys.keyboardModifiers());
    QApplication::sendEvent(target, &event);
  }
}

void zoom_to(MainWindow& window, std::istringstream& words) {
  double from = 0;
  double to = 1;
  if (!(words >> from >> to) || from < 0 || to > 1 || from >= to) {
    refuse("two shares, 0 <= from < to <= 1", words.str());
  }
  const ViewRange limits = limits_of(window.timeline().state());
  const auto span = static_cast<double>(limits.span());
  const auto begin = limits.begin + static_cast<std::int64_t>(from * span);
  window.timeline().set_range(
      {begin, std::max(limits.begin + static_cast<std::int64_t>(to * span), begin + 1)});
}

void pin(MainWindow& window, const std::string& at) {
  const RunPtr run = window.timeline().state().run;
  if (!run) refuse("an open run", "none");
  if (at == "peak") {
    window.timeline().pin_change(run->timeline().peak.change);
  } else {
    pin_time(window, parse_time_ns(at));
  }
}

/// Opens the panel and asks for a budget, and perhaps a stage and a number of ranks; ends when the
/// search has ended.
void ask_what_if(MainWindow& window, const std::string& budget, std::istringstream& words) {
  if (!window.timeline().state().run) refuse("an open run", "none");
  WhatIfDock& dock = window.what_if();
  const auto wait = [&dock] {
    while (dock.refusal().isEmpty() && !(dock.is_ready() && dock.is_idle())) {
      QApplication::processEvents(QEventLoop::WaitForMoreEvents);
    }
    if (!dock.refusal().isEmpty()) refuse("a run to plan", dock.refusal().toStdString());
  };
  dock.show();
  wait();
  WhatIf what_if = dock.state().controls;
  what_if.budget_bytes = window.parse_budget(budget);
  if (std::string stage; words >> stage) {
    const auto known = parse_enum<ShardStage>(stage);
    const bool any = stage == "auto";
    if ((!known && !any) || !(words >> what_if.ranks) || what_if.ranks < 2) {
      refuse("a budget, a stage of sharding or auto, and a number of ranks from 2", words.str());
    }
    what_if.shard = {any ? Decider::planner : Decider::chosen, known.value_or(what_if.shard.value)};
    if (what_if.shard.value != ShardStage::tensor) {
      what_if.micro_batches.by = Decider::planner;  // ranks share them
    }
  }
  dock.ask(what_if, QStringLiteral("Budget"));
  wait();
}

/// "only phase backward" adds, "only everything" takes all away.
void show_only(MainWindow& window, std::string text) {
  text.erase(0, text.find_first_not_of(" \t"));
  text.erase(text.find_last_not_of(" \t\r") + 1);
  if (text == "everything") return window.timeline().set_filter({});
  const RunPtr whole = whole_of(window.timeline().state().run);
  if (!whole) refuse("an open run", "none");
  const auto term = term_of(*whole, text);
  if (!term) refuse("a group of the run, such as: only category activation", text);
  window.timeline().set_filter(toggled(window.timeline().state().filter, *term));
}

/// As a file that is dropped: several devices of one recording lie over each other.
void open_file(MainWindow& window, const std::string& path, bool over) {
  for (const RunPtr& run : load_runs(path)) {
    over ? window.compare_with(run) : window.show_run(run);
    over = true;
  }
}

/// Ends when the report is there.
void run_report_of(MainWindow& window, const std::string& spec) {
  ReportDialog& dialog = window.show_reports();
  dialog.open_spec(QString::fromStdString(spec));
  dialog.run();
  while (dialog.is_running()) QApplication::processEvents(QEventLoop::WaitForMoreEvents);
  if (!dialog.fault().isEmpty()) refuse("a spec of a report", dialog.fault().toStdString());
}

void carry_out(MainWindow& window, const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  std::string argument;
  words >> verb;
  if (verb == "zoom") return zoom_to(window, words);
  if (verb == "only") return show_only(window, line.substr(line.find(verb) + verb.size()));
  words >> argument;
  if (argument.empty()) refuse("a command and its argument", line);
  if (verb == "key") return press_key(window, argument);
  if (verb == "at") return pin(window, argument);
  if (verb == "budget") return window.set_budget(window.parse_budget(argument));
  if (verb == "what-if") return ask_what_if(window, argument, words);
  if (verb == "open" || verb == "compare") return open_file(window, argument, verb == "compare");
  if (verb == "report") return run_report_of(window, argument);
  if (verb == "screenshot") return save_screenshot(window, argument);
  if (verb == "export") return window.export_to(argument);
  if (verb == "tab") return window.show_tab(argument);
  if (verb == "theme") return window.set_theme(parse_theme(argument, "theme"));
  if (verb == "group") return window.timeline().set_group_by(parse_group_by(argument, "group"));
  if (verb == "resize") {
    ViewOptions size;
    parse_picture_size(argument, size);
    return window.resize(size.width_px, size.height_px);
  }
  refuse(
      "key, zoom, at, budget, group, only, what-if, theme, resize, open, compare, tab, report, "
      "export or "
      "screenshot",
      line);
}

}  // namespace

void run_script(MainWindow& window, const std::string& path) {
  std::istringstream lines(read_file(path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      carry_out(window, line);
    } catch (const InputError& error) {
      throw InputError(
          {.file = path,
           .place = fmt::format("line {}", number),
           .expected = error.parts().expected,
           .found = error.parts().expected.empty() ? error.what() : error.parts().found});
    }
    QApplication::processEvents();
  }
}

void save_screenshot(MainWindow& window, const std::string& path) {
  require_png(path, "screenshot");
  QApplication::processEvents();
  QPixmap picture = window.grab();
  QPainter painter(&picture);
  for (QDialog* dialog : window.findChildren<QDialog*>()) {  // they are windows of their own
    if (!dialog->isVisible()) continue;
    const QPoint middle = (window.rect().center() - dialog->rect().center());
    painter.drawPixmap(middle, dialog->grab());
    painter.drawRect(QRect(middle, dialog->size()));
  }
  painter.end();
  // Level 1 of zlib: the level that is usual takes as long as all the rest of a small picture.
  constexpr int k_quick_png_quality = 80;
  if (!picture.save(QString::fromStdString(path), "PNG", k_quick_png_quality)) {
    throw InputError({.file = path,
                      .place = "",
                      .expected = "a file that can be written",
                      .found = "it cannot"});
  }
  fmt::print("written to {}\n", path);
}

void pin_time(MainWindow& window, std::int64_t time_ns) {
  const RunPtr run = window.timeline().state().run;
  if (!run) return;
  const ViewRange whole = run->whole(Axis::time);
  if (time_ns >= whole.end) {
    throw InputError({.file = run->file(),
                      .place = "at",
                      .expected = "a time before the end at " + format_time_ns(whole.end),
                      .found = format_time_ns(time_ns)});
  }
  window.timeline().pin_change(run->pyramid().change_at(time_ns, Axis::time));
}

}  // namespace tidemark
