// A planned trace executed by the reference trainer, as a process of its own: the window and the
// trainer meet in trace files only.
#pragma once

#include <QObject>
#include <QProcess>
#include <QString>
#include <QStringList>

#include "traces/trace.h"

namespace tidemark {

struct TrainerOrder {
  QString planned;   // the planned trace
  QString measured;  // to be written
  int steps = 3;
  std::int64_t device_memory_bytes = 0;  // of the arena: the height of the placement
  std::string dry_device;                // allocate only, as this device; empty = compute here
  std::string data;                      // file; empty = the default of the model
};

/// The command line of `tidemark-profile` for an order.
[[nodiscard]] QStringList arguments_of(const TrainerOrder& order);

/// The data that a run was recorded with, from the command in META; empty = the default.
[[nodiscard]] std::string data_of(const Trace& trace);

class TrainerRun : public QObject {
  Q_OBJECT

 public:
  explicit TrainerRun(QObject* parent = nullptr);
  ~TrainerRun() override;

  /// `program`: tidemark-profile. One run at a time; another order while one runs is refused.
  bool start(const QString& program, const TrainerOrder& order);
  [[nodiscard]] bool is_running() const { return process_.state() != QProcess::NotRunning; }
  /// Asks the trainer to end in order; what it recorded so far is written.
  void cancel();

  /// Beside this program.
  [[nodiscard]] static QString default_program();

 signals:
  void stepped(int done, int total, const QString& line);
  void finished(const QString& measured);  // the trace is there
  void failed(const QString& why);         // out of memory, cancelled, not startable

 private:
  void read_lines();
  void end(int exit_code, QProcess::ExitStatus status);

  QProcess process_;
  TrainerOrder order_;
  QByteArray partial_line_;
  QString last_line_;
};

}  // namespace tidemark
