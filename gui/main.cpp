// tidemark-view: opens runs in a window, or paints the same window into a PNG.
#include <QApplication>
#include <QFileInfo>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iterator>

#include "gui/main_window.h"
#include "gui/options.h"
#include "gui/print_page.h"
#include "gui/rank_index.h"
#include "gui/run_loader.h"
#include "gui/script.h"
#include "sim/exit_code.h"
#include "traces/error.h"

namespace {

using namespace tidemark;

/// What Qt says about the platform is no matter of ours: we use no run-time folder, and pictures
/// need no window manager.
void drop_platform_chatter(QtMsgType type, const QMessageLogContext&, const QString& message) {
  for (const char* start : {"QStandardPaths: ", "This plugin does not support"}) {
    if (type <= QtWarningMsg && message.startsWith(QLatin1String(start))) return;
  }
  std::fprintf(stderr, "%s\n", message.toLocal8Bit().constData());
}

/// Qt picks its platform when the application is made: pictures must not need a display.
void prepare_environment(const ViewOptions& options) {
  const bool display =
      qEnvironmentVariableIsSet("DISPLAY") || qEnvironmentVariableIsSet("WAYLAND_DISPLAY");
  const bool headless =
      !options.screenshot.empty() || !options.script.empty() || !options.print.empty();
  if (headless && !display && !qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) {
    qputenv("QT_QPA_PLATFORM", "offscreen");
  }
  if (!headless && !display && !qEnvironmentVariableIsSet("QT_QPA_PLATFORM")) {
    throw InputError("no display: set DISPLAY, or use --screenshot OUT.png");
  }
}

std::vector<std::string> files_of_all_ranks(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths)
    std::ranges::copy(files_of_ranks(path), std::back_inserter(files));
  return files;
}

/// What the options say about the view of runs that are open.
void set_view(MainWindow& window, const ViewOptions& options) {
  if (!options.budget.empty()) window.set_budget(window.parse_budget(options.budget));
  window.timeline().set_group_by(options.group_by);
  if (options.one_step) window.timeline().set_one_step(true);
  const RunPtr run = window.timeline().state().run;
  if (options.at_peak && run) window.timeline().pin_change(run->timeline().peak.change);
  if (options.at_ns >= 0) pin_time(window, options.at_ns);
}

/// Runs are opened in the background; what can be said at once about wrong names is said at once.
void open_in_background(MainWindow& window, const ViewOptions& options) {
  QStringList files;
  for (const std::string& file : files_of_all_ranks(options.files)) {
    files.push_back(QString::fromStdString(file));
    if (QFileInfo(files.back()).isReadable() && QFileInfo(files.back()).isFile()) continue;
    throw InputError({.file = file,
                      .place = "",
                      .expected = "a readable file",
                      .found = QFileInfo::exists(files.back()) ? "it cannot be read" : "none"});
  }
  if (files.isEmpty()) return;
  const auto first = [&window, options] {
    try {
      set_view(window, options);
    } catch (const InputError& error) {
      std::fprintf(stderr, "tidemark-view: %s\n", error.what());
    }
  };
  QObject::connect(&window.loader(), &RunLoader::all_opened, &window, first,
                   Qt::SingleShotConnection);
  window.open_files(files, false);
}

int run_application(int argc, char** argv, const ViewOptions& options) {
  qInstallMessageHandler(drop_platform_chatter);
  QApplication application(argc, argv);
  set_up_application(application);
  if (!options.print.empty()) {
    print_page(options.files[0], options.print);
    return k_exit_done;
  }
  MainWindow window(options.theme.value_or(system_theme()));
  window.resize(options.width_px, options.height_px);
  const bool headless = !options.screenshot.empty() || !options.script.empty();
  if (headless) {
    window.show();
    for (const std::string& file : files_of_all_ranks(options.files)) {
      for (const RunPtr& run : load_runs(file)) window.compare_with(run);
    }
    set_view(window, options);
    if (!options.script.empty()) run_script(window, options.script);
    if (!options.screenshot.empty()) save_screenshot(window, options.screenshot);
    return k_exit_done;
  }
  window.use_sessions(sessions_path());
  open_in_background(window, options);
  window.show();
  return QApplication::exec();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto options = parse_options(argc, argv);
    if (!options) return k_exit_done;
    prepare_environment(*options);
    return run_application(argc, argv, *options);
  } catch (const InputError& error) {
    std::fprintf(stderr, "tidemark-view: %s\n", error.what());
    return k_exit_bad_input;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tidemark-view: own bug: %s\n", error.what());
    return k_exit_own_bug;
  }
}
