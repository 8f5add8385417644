// What an empty window shows: the ways to begin. Shipped samples, files of the last sessions.
#pragma once

#include <QWidget>
#include <vector>

#include "gui/session.h"

namespace tidemark {

class WelcomePage : public QWidget {
  Q_OBJECT

 public:
  explicit WelcomePage(const std::vector<Session>& sessions, QWidget* parent = nullptr);

  /// The samples that are shipped: beside the program, as installed or as built. Empty when they
  /// are not there.
  [[nodiscard]] static QString samples_folder();

 protected:
  /// Covers what it lies on.
  bool eventFilter(QObject* watched, QEvent* event) override;

 signals:
  void open_asked();
  void files_chosen(const QStringList& paths);
  void session_chosen(const tidemark::Session& session);
};

}  // namespace tidemark
