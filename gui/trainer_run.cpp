#include "gui/trainer_run.h"

#include <QCoreApplication>
#include <QRegularExpression>
#include <csignal>
#include <sstream>

#include "sim/exit_code.h"

namespace tidemark {

QStringList arguments_of(const TrainerOrder& order) {
  QStringList arguments = {QStringLiteral("--schedule"), order.planned,
                           QStringLiteral("--steps"),    QString::number(order.steps),
                           QStringLiteral("-o"),         order.measured};
  if (order.device_memory_bytes > 0) {
    arguments << QStringLiteral("--device-memory") << QString::number(order.device_memory_bytes);
  }
  if (!order.dry_device.empty()) {
    arguments << QStringLiteral("--backend") << QStringLiteral("dry") << QStringLiteral("--device")
              << QString::fromStdString(order.dry_device);
  } else if (!order.data.empty()) {
    arguments << QStringLiteral("--data") << QString::fromStdString(order.data);
  }
  return arguments;
}

std::string data_of(const Trace& trace) {
  std::istringstream words(trace.meta.command);
  std::string word;
  constexpr std::string_view k_flag = "--data";
  while (words >> word) {
    if (word.starts_with("--data=")) return word.substr(k_flag.size() + 1);
    if (word == k_flag && words >> word) return word;
  }
  return {};
}

TrainerRun::TrainerRun(QObject* parent) : QObject(parent) {
  process_.setProcessChannelMode(QProcess::MergedChannels);
  connect(&process_, &QProcess::readyReadStandardOutput, this, &TrainerRun::read_lines);
  connect(&process_, &QProcess::finished, this, &TrainerRun::end);
  connect(&process_, &QProcess::errorOccurred, this, [this](QProcess::ProcessError error) {
    if (error == QProcess::FailedToStart) {
      emit failed(QStringLiteral("%1 cannot be started: %2")
                      .arg(process_.program(), process_.errorString()));
    }
  });
}

TrainerRun::~TrainerRun() {
  process_.disconnect(this);
  if (!is_running()) return;
  process_.kill();
  process_.waitForFinished(2000);
}

bool TrainerRun::start(const QString& program, const TrainerOrder& order) {
  if (is_running()) return false;
  order_ = order;
  partial_line_.clear();
  last_line_.clear();
  process_.start(program, arguments_of(order));
  return true;
}

void TrainerRun::cancel() {
  // Ctrl-C closes the trace in order; terminate() would not.
  if (is_running()) ::kill(static_cast<pid_t>(process_.processId()), SIGINT);
}

QString TrainerRun::default_program() {
  return QCoreApplication::applicationDirPath() + QStringLiteral("/tidemark-profile");
}

void TrainerRun::read_lines() {
  static const QRegularExpression step(QStringLiteral("^step\\s+(\\d+)\\b"));
  partial_line_ += process_.readAllStandardOutput();
  qsizetype end = 0;
  while ((end = partial_line_.indexOf('\n')) >= 0) {
    const QString line = QString::fromUtf8(partial_line_.left(end)).trimmed();
    partial_line_.remove(0, end + 1);
    if (line.isEmpty()) continue;
    last_line_ = line;
    const QRegularExpressionMatch match = step.match(line);
    if (match.hasMatch()) emit stepped(match.captured(1).toInt() + 1, order_.steps, line);
  }
}

void TrainerRun::end(int exit_code, QProcess::ExitStatus status) {
  read_lines();
  if (status == QProcess::NormalExit && exit_code == k_exit_done) {
    emit finished(order_.measured);
  } else if (exit_code == k_exit_cancelled) {
    emit failed(QStringLiteral("cancelled; the steps so far are in %1").arg(order_.measured));
  } else {
    emit failed(last_line_.isEmpty()
                    ? QStringLiteral("the trainer ended with code %1").arg(exit_code)
                    : last_line_);
  }
}

}  // namespace tidemark
