// What tests that drive a whole window have in common: the window, and how they reach into it.
#pragma once

#include <QTest>
#include <memory>

#include "gui/main_window.h"

namespace tidemark::test {

class WindowFixture : public QObject {
 protected:
  std::unique_ptr<MainWindow> window_;

  /// A new window on `run`, shown; without one it is empty.
  void open(RunPtr run = nullptr) {
    window_ = std::make_unique<MainWindow>(Theme::light);
    window_->show();
    if (run) window_->show_run(std::move(run));
  }

  TimelineWidget& timeline() { return window_->timeline(); }
  const ViewState& state() { return window_->timeline().state(); }
  void key(Qt::Key key) { QTest::keyClick(&timeline(), key); }
  template <class Widget>
  Widget& child(const char* name) {
    return *window_->findChild<Widget*>(QString::fromLatin1(name));
  }
};

}  // namespace tidemark::test
