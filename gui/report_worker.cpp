#include "gui/report_worker.h"

#include <utility>

#include "sim/device.h"
#include "sim/report_run.h"
#include "traces/error.h"

namespace tidemark {

ReportWorker::ReportWorker(QObject* parent) : QObject(parent) {}

ReportWorker::~ReportWorker() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

template <class Tell>
void ReportWorker::post(Tell tell) {
  QMetaObject::invokeMethod(this, std::move(tell), Qt::QueuedConnection);
}

void ReportWorker::start(const std::string& spec, const std::string& file) {
  if (running_) return;
  if (thread_.joinable()) thread_.join();
  stop_ = false;
  running_ = true;
  thread_ = std::thread([this, spec, file] { work(spec, file); });
}

void ReportWorker::work(const std::string& text, const std::string& file) {
  struct Stopped {};
  const auto fail = [this](const QString& why) {
    post([this, why] {
      running_ = false;
      emit failed(why);
    });
  };
  try {
    const ReportSpec spec = read_report_spec(text, file, shipped_devices());
    ReportRunOptions options;
    options.progress = [this](const RunProgress& progress) {
      if (stop_) throw Stopped{};
      post([this, progress] {
        emit progressed(static_cast<int>(progress.parts_done), static_cast<int>(progress.parts),
                        QString::fromStdString(progress_text(progress)));
      });
    };
    SoloGroup alone;
    auto report =
        std::make_shared<const Report>(make_report(spec, run_report(spec, options, alone)));
    post([this, report = std::move(report)] {
      running_ = false;
      emit finished(report);
    });
  } catch (const Stopped&) {
    post([this] {
      running_ = false;
      emit cancelled();
    });
  } catch (const InputError& error) {
    fail(QString::fromUtf8(error.what()));
  } catch (const std::exception& error) {
    fail(QStringLiteral("own bug: %1").arg(QString::fromUtf8(error.what())));
  }
}

}  // namespace tidemark
