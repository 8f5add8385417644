// Opens traces in a worker thread, tells how far it is, and follows a trace that is still being
// written.
#pragma once

#include <QObject>
#include <QStringList>
#include <QTimer>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "gui/run.h"

namespace tidemark {

class RunLoader : public QObject {
  Q_OBJECT

 public:
  explicit RunLoader(QObject* parent = nullptr);
  ~RunLoader() override;

  /// Files one after the other. What is still being opened is given up.
  void open(const QStringList& paths);
  void cancel();
  [[nodiscard]] bool is_busy() const { return !waiting_.isEmpty() || working_; }

  /// Looks at the file now and then, and opens it again when it has grown. A recording named
  /// X.part that is renamed to X when it is complete is followed there. Empty: no file.
  void follow(const QString& path);
  [[nodiscard]] bool is_following() const { return look_.isActive(); }
  /// Looks now.
  void look();

 signals:
  /// The runs of the files that were asked for, in their order; `row` counts from 0.
  void opened(int row, std::shared_ptr<const tidemark::Run> run);
  void all_opened();                                       // but for those that failed
  void renewed(std::shared_ptr<const tidemark::Run> run);  // of the file that is followed
  void failed(const QString& path, const QString& why);
  void progressed(int percent);  // -1: not known; 100: nothing is left to do
  void following_ended();

 private:
  struct Outcome {
    std::vector<RunPtr> runs;
    QString fault;
  };
  void start(const QString& path, std::function<void(const Outcome&)> done);
  void open_next();
  void stop_worker();

  QStringList waiting_;
  int row_ = 0;
  bool working_ = false;
  std::shared_ptr<LoadControl> control_;
  std::thread worker_;
  QTimer progress_;
  QString followed_;
  QTimer look_;
  qint64 seen_bytes_ = -1;
};

}  // namespace tidemark
