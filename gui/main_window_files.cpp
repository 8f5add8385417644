// Files and sessions: opening in the background, dropping, following, restoring.
#include <QAction>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QMessageBox>
#include <QMimeData>
#include <QProgressBar>
#include <QPushButton>
#include <QStatusBar>
#include <QTimer>
#include <QUrl>
#include <algorithm>
#include <array>
#include <utility>

#include "gui/command_palette.h"
#include "gui/filter.h"
#include "gui/labels.h"
#include "gui/main_window.h"
#include "gui/options.h"
#include "gui/rank_index.h"
#include "gui/run_loader.h"
#include "gui/welcome_page.h"

namespace tidemark {
namespace {

constexpr int k_autosave_ms = 10'000;

QString text_of(const FilterTerm& term) {
  return QString::fromStdString(to_text(term));
}

QStringList local_files(const QMimeData& data) {
  QStringList files;
  for (const QUrl& url : data.urls()) {
    if (url.isLocalFile()) files.push_back(url.toLocalFile());
  }
  return files;
}

}  // namespace

void MainWindow::build_files() {
  setAcceptDrops(true);
  loader_ = new RunLoader(this);
  progress_ = new QProgressBar(this);
  progress_->setObjectName(QStringLiteral("progress"));
  progress_->setAccessibleName(QStringLiteral("Opening"));
  progress_->setMaximumWidth(160);
  progress_->hide();
  cancel_ = new QPushButton(QStringLiteral("Cancel"), this);
  cancel_->setObjectName(QStringLiteral("cancel"));
  cancel_->hide();
  statusBar()->addPermanentWidget(progress_);
  statusBar()->addPermanentWidget(cancel_);
  connect(cancel_, &QPushButton::clicked, loader_, &RunLoader::cancel);
  connect(loader_, &RunLoader::progressed, this, [this](int percent) {
    progress_->setVisible(percent < 100);
    cancel_->setVisible(percent < 100);
    progress_->setRange(0, percent < 0 ? 0 : 100);
    progress_->setValue(std::max(percent, 0));
  });
  connect(loader_, &RunLoader::opened, this, &MainWindow::take_opened);
  connect(loader_, &RunLoader::all_opened, this, [this] {
    const auto session = std::exchange(pending_, std::nullopt);
    if (session && timeline_->state().run) restore(*session);
  });
  connect(loader_, &RunLoader::failed, this, [this](const QString&, const QString& why) {
    auto* box = new QMessageBox(QMessageBox::Warning, QStringLiteral("Cannot open the trace"), why,
                                QMessageBox::Close, this);
    box->setObjectName(QStringLiteral("fault"));
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->open();
  });
  connect(loader_, &RunLoader::renewed, this, [this](const RunPtr& run) {
    timeline_->renew_run(run);
    refresh_report();
    refresh_alive();
  });
  connect(loader_, &RunLoader::following_ended, this,
          [this] { follow_action_->setChecked(false); });
  connect(follow_action_, &QAction::toggled, this, [this](bool on) {
    const RunPtr& run = timeline_->state().run;
    loader_->follow(on && run ? QString::fromStdString(run->file()) : QString());
  });
  autosave_ = new QTimer(this);
  autosave_->setInterval(k_autosave_ms);
  connect(autosave_, &QTimer::timeout, this, &MainWindow::save_now);
  welcome_ = new WelcomePage({}, timeline_);
  connect_welcome();
}

void MainWindow::connect_welcome() {
  connect(welcome_, &WelcomePage::open_asked, this, [this] { ask_and_open(false); });
  connect(welcome_, &WelcomePage::files_chosen, this,
          [this](const QStringList& files) { open_files(files, false); });
  connect(welcome_, &WelcomePage::session_chosen, this, [this](const Session& session) {
    QStringList files;
    for (const std::string& file : session.files) files.push_back(QString::fromStdString(file));
    open_files(files, false);
    pending_ = session;
  });
  welcome_->setGeometry(timeline_->rect());
  welcome_->setVisible(!timeline_->state().run);
}

void MainWindow::use_sessions(const std::string& path) {
  sessions_path_ = path;
  autosave_->start();
  delete welcome_;
  welcome_ = new WelcomePage(load_sessions(path), timeline_);
  connect_welcome();
}

void MainWindow::open_files(const QStringList& paths, bool over) {
  pending_.reset();
  open_over_ = over;
  QStringList files;
  for (const QString& path : paths) {
    for (const std::string& file : files_of_ranks(path.toStdString())) {
      files.push_back(QString::fromStdString(file));
    }
  }
  loader_->open(files);
}

void MainWindow::take_opened(int row, const RunPtr& run) {
  if (row == 0 && !open_over_) {
    save_now();  // what was open until now
    show_run(run);
    follow_action_->setChecked(!run->trace().health.complete);
    for (const Session& old : load_sessions(sessions_path_)) {
      if (old.files.front() == file_of(*run)) timeline_->set_bookmarks(old.bookmarks);
    }
  } else {
    compare_with(run);
  }
}

void MainWindow::ask_and_open(bool over) {
  const QStringList paths = QFileDialog::getOpenFileNames(
      this, over ? QStringLiteral("Compare with") : QStringLiteral("Open traces"), {},
      QStringLiteral("Traces and recordings of PyTorch and Nsight Systems (*.tmk *.tmk.* *.json "
                     "*.json.* *.pickle *.pickle.* *.pkl *.pkl.* *.sqlite *.sqlite.*);;"
                     "All files (*)"));
  if (!paths.isEmpty()) open_files(paths, over);
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (!local_files(*event->mimeData()).isEmpty()) event->acceptProposedAction();
}

/// The first file is shown and the others lie over it; with Shift all lie over what is open.
void MainWindow::dropEvent(QDropEvent* event) {
  const QStringList files = local_files(*event->mimeData());
  if (files.isEmpty()) return;
  const bool over = (event->modifiers() & Qt::ShiftModifier) != 0 && timeline_->state().run;
  open_files(files, over);
  event->acceptProposedAction();
}

std::string MainWindow::file_of(const Run& run) {
  return QFileInfo(QString::fromStdString(run.file())).absoluteFilePath().toStdString();
}

Session MainWindow::session() const {
  const ViewState& state = timeline_->state();
  static constexpr std::array<const char*, k_theme_count> k_names = {"light", "dark", "contrast"};
  Session session{.files = {},
                  .axis = state.axis,
                  .one_step = state.one_step,
                  .every_step = state.every_step,
                  .group_by = state.group_by,
                  .filter = state.filter,
                  .range = state.range,
                  .budget_bytes = state.budget_bytes,
                  .bookmarks = state.bookmarks,
                  .theme = k_names[static_cast<std::size_t>(theme_)],
                  .layout = saveState().toBase64().toStdString()};
  if (state.run) session.files.push_back(file_of(*state.run));
  for (const Overlay& other : state.others) session.files.push_back(file_of(*other.run));
  std::vector<std::string>& files = session.files;  // devices of one recording: once
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return session;
}

void MainWindow::restore(const Session& session) {
  if (!session.theme.empty()) set_theme(parse_theme(session.theme, "theme"));
  timeline_->set_group_by(session.group_by);
  timeline_->set_filter(session.filter);
  timeline_->set_axis(session.axis);
  timeline_->set_one_step(session.one_step);
  timeline_->set_every_step(session.every_step);
  timeline_->set_range(session.range);
  timeline_->set_bookmarks(session.bookmarks);
  if (session.budget_bytes >= 0) set_budget(session.budget_bytes);
  restoreState(QByteArray::fromBase64(QByteArray::fromStdString(session.layout)));
}

void MainWindow::save_now() {
  if (!sessions_path_.empty()) save_session(sessions_path_, session());
}

void MainWindow::closeEvent(QCloseEvent* event) {
  save_now();
  QMainWindow::closeEvent(event);
}

void MainWindow::show_palette() {
  std::vector<PaletteEntry> entries;
  for (const Binding& binding : bindings()) {
    entries.push_back({QString::fromLatin1(binding.about), QString::fromLatin1(binding.keys),
                       [this, command = binding.command] { perform(command); }});
  }
  for (QAction* action : findChildren<QAction*>()) {
    if (action->shortcut().isEmpty() || !action->isEnabled()) continue;
    QString text = action->text();
    entries.push_back({text.remove(QLatin1Char('&')), action->shortcut().toString(),
                       [action] { action->trigger(); }});
  }
  const RunPtr run = timeline_->state().run;
  add_filters(entries);
  if (run) add_names(*run, entries);
  (new CommandPalette(std::move(entries), QStringLiteral("A command, or part of a buffer's name"),
                      this))
      ->open();
}

void MainWindow::show_filters() {
  std::vector<PaletteEntry> entries;
  add_filters(entries);
  if (entries.empty()) return;
  (new CommandPalette(std::move(entries),
                      QStringLiteral("Part of a category, layer, module, phase or type"), this))
      ->open();
}

/// Those that are on first: to be taken away.
void MainWindow::add_filters(std::vector<PaletteEntry>& entries) {
  const RunPtr whole = whole_of(timeline_->state().run);
  if (!whole) return;
  const Filter& filter = timeline_->state().filter;
  const auto toggle = [this](const FilterTerm& term) {
    return [this, term] { timeline_->set_filter(toggled(timeline_->state().filter, term)); };
  };
  for (const FilterTerm& term : filter) {
    entries.push_back({QStringLiteral("No longer only %1").arg(text_of(term)), {}, toggle(term)});
  }
  for (const FilterTerm& term : terms_of(*whole)) {
    if (std::ranges::find(filter, term) != filter.end()) continue;
    entries.push_back({QStringLiteral("Only %1").arg(text_of(term)), {}, toggle(term)});
  }
}

/// Bookmarks and peaks, then buffers by their first life in the view.
void MainWindow::add_names(const Run& run, std::vector<PaletteEntry>& entries) {
  const auto go_to = [this](std::int64_t change) {
    return [this, change] { timeline_->pin_change(change); };
  };
  for (const Bookmark& mark : timeline_->state().bookmarks) {
    entries.push_back({QStringLiteral("Bookmark: %1").arg(QString::fromStdString(mark.name)),
                       {},
                       go_to(run.of_whole(mark.change))});
  }
  const auto add_peak = [&](const char* name, const Peak& peak) {
    if (peak.change < 0) return;
    entries.push_back({QString::fromLatin1(name), {}, go_to(peak.change)});
  };
  add_peak("Go to the peak of the step", run.timeline().peak);
  add_peak("Go to the peak of the run", run.timeline().run_peak);
  constexpr std::size_t k_most_names = 20'000;
  std::vector<bool> seen(run.trace().buffers.size(), false);
  const auto first =
      run.pyramid().first_change_from(timeline_->state().range.begin, timeline_->state().axis);
  for (auto row = run.alive().begun_until(first - 1);
       row < static_cast<std::size_t>(run.alive().count()) && entries.size() < k_most_names;
       ++row) {
    const Lifetime life = run.alive().lifetime(row);
    if (seen[life.buffer.index()]) continue;
    seen[life.buffer.index()] = true;
    entries.push_back(
        {QStringLiteral("Buffer: %1").arg(QString::fromStdString(run.trace()[life.buffer].name)),
         {},
         go_to(life.alloc_change)});
  }
}

}  // namespace tidemark
