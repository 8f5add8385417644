// Reckons a capacity report in a thread of its own, on all cores, with progress and an end on
// demand.
#pragma once

#include <QObject>
#include <atomic>
#include <memory>
#include <thread>

#include "sim/report.h"

namespace tidemark {

class ReportWorker : public QObject {
  Q_OBJECT

 public:
  explicit ReportWorker(QObject* parent = nullptr);
  ~ReportWorker() override;

  /// `spec` in YAML; files that it names are looked for beside `file`. One at a time: without
  /// effect while one is at work.
  void start(const std::string& spec, const std::string& file);
  /// cancelled() follows when the parts that are at work are done.
  void cancel() { stop_ = true; }
  [[nodiscard]] bool is_running() const { return running_; }

 signals:  // all in the thread of this object; one of the last three ends it
  void progressed(int done, int parts, const QString& text);
  void finished(std::shared_ptr<const tidemark::Report> report);
  void failed(const QString& why);
  void cancelled();

 private:
  void work(const std::string& spec, const std::string& file);
  template <class Tell>
  void post(Tell tell);

  std::thread thread_;
  std::atomic<bool> stop_ = false;
  bool running_ = false;
};

}  // namespace tidemark
