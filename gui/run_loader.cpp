#include "gui/run_loader.h"

#include <QFileInfo>
#include <QThreadPool>
#include <algorithm>
#include <new>
#include <utility>

#include "gui/view_index.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr int k_progress_ms = 100;
constexpr int k_look_ms = 1000;
constexpr std::int64_t k_most_index_bytes = std::int64_t{2} << 30;

void store_index(const Run& run) {
  const std::string folder = view_index_folder();
  const std::uint64_t fingerprint = run.fingerprint_to_store();
  if (fingerprint == 0 || folder.empty()) return;
  store_view_index(run, fingerprint, view_index_path(folder, fingerprint));
  trim_view_indices(folder, k_most_index_bytes);
}

}  // namespace

RunLoader::RunLoader(QObject* parent) : QObject(parent) {
  progress_.setInterval(k_progress_ms);
  connect(&progress_, &QTimer::timeout, this, [this] {
    const std::int64_t all = control_ ? control_->events_all.load() : 0;
    emit progressed(all <= 0 ? -1
                             : static_cast<int>(std::min<std::int64_t>(
                                   99, 100 * control_->events_done.load() / all)));
  });
  look_.setInterval(k_look_ms);
  connect(&look_, &QTimer::timeout, this, &RunLoader::look);
}

RunLoader::~RunLoader() {
  stop_worker();
}

void RunLoader::stop_worker() {
  if (control_) control_->stop = true;
  if (worker_.joinable()) worker_.join();
  control_.reset();
  working_ = false;
}

void RunLoader::start(const QString& path, std::function<void(const Outcome&)> done) {
  stop_worker();
  working_ = true;
  control_ = std::make_shared<LoadControl>();
  progress_.start();
  worker_ = std::thread([this, path, done = std::move(done), control = control_] {
    Outcome outcome;
    try {
      outcome.runs = load_runs(path.toStdString(), control.get());
    } catch (const InputError& error) {
      outcome.fault = QString::fromStdString(error.what());
    } catch (const std::bad_alloc&) {
      outcome.fault = QStringLiteral("%1: there is not enough memory for it").arg(path);
    } catch (const std::exception& error) {  // a thread has nobody above it who could say so
      outcome.fault = QStringLiteral("%1: own bug: %2").arg(path, QString::fromUtf8(error.what()));
    }
    QMetaObject::invokeMethod(
        this,
        [this, outcome, done, control] {
          if (control->stop || control != control_) return;
          working_ = false;
          progress_.stop();
          done(outcome);
          if (!is_busy()) emit progressed(100);
        },
        Qt::QueuedConnection);
  });
}

void RunLoader::open(const QStringList& paths) {
  waiting_ = paths;
  row_ = 0;
  open_next();
}

void RunLoader::open_next() {
  if (waiting_.isEmpty()) return emit all_opened();
  const QString path = waiting_.takeFirst();
  start(path, [this, path](const Outcome& outcome) {
    for (const RunPtr& run : outcome.runs) {
      emit opened(row_++, run);
      QThreadPool::globalInstance()->start([run] { store_index(*run); });
    }
    if (outcome.runs.empty()) emit failed(path, outcome.fault);
    open_next();
  });
}

void RunLoader::cancel() {
  waiting_.clear();
  if (!working_) return;
  stop_worker();
  progress_.stop();
  emit progressed(100);
}

void RunLoader::follow(const QString& path) {
  followed_ = path;
  seen_bytes_ = path.isEmpty() ? -1 : QFileInfo(path).size();
  path.isEmpty() ? look_.stop() : look_.start();
}

void RunLoader::look() {
  if (followed_.isEmpty() || is_busy()) return;
  const QString part = QStringLiteral(".part");
  QFileInfo info(followed_);
  const bool finished = !info.exists() && followed_.endsWith(part);
  if (finished) info = QFileInfo(followed_.chopped(part.size()));
  if (!info.exists() || (!finished && info.size() == seen_bytes_)) return;
  seen_bytes_ = info.size();
  start(info.filePath(), [this, finished](const Outcome& outcome) {
    // A file that is just being written may be unreadable for a moment: there is a next look.
    if (!outcome.runs.empty()) emit renewed(outcome.runs.front());
    const bool closed = !outcome.runs.empty() && outcome.runs.front()->trace().health.complete;
    if (!finished && !closed) return;
    follow({});
    emit following_ended();
  });
}

}  // namespace tidemark
