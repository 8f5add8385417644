// The tabs about one instant and one range: table, areas, difference to other runs, why a buffer is
// alive, and the selected range.
#pragma once

#include <QTabWidget>

#include "gui/alive_model.h"
#include "gui/timeline_widget.h"

class QLineEdit;
class QTableView;
class QTextBrowser;

namespace tidemark {

class TreemapWidget;

class InstantTabs : public QTabWidget {
  Q_OBJECT

 public:
  /// All live in the same window; `table` shows `alive` and becomes the first tab.
  InstantTabs(TimelineWidget& timeline, AliveModel& alive, QTableView& table, QWidget* parent);

  /// After the instant, the runs or the selection have changed. Only the tab in front is made anew.
  void refresh();
  /// Shows why the buffer that is alive at the instant is alive, and selects it in the table.
  void explain(BufferId buffer);
  /// The tabs from the left: table, areas, difference, why, range.
  void show_tab(int tab);

 private:
  [[nodiscard]] QWidget* table_page(QTableView& table);
  [[nodiscard]] QTextBrowser* text_page(const char* name, const char* title, const char* about);
  void refresh_why();

  TimelineWidget& timeline_;
  AliveModel& alive_;
  QTableView& table_;
  QLineEdit* filter_ = nullptr;
  TreemapWidget* treemap_ = nullptr;
  QTextBrowser* difference_ = nullptr;
  QTextBrowser* why_ = nullptr;
  QTextBrowser* range_ = nullptr;
};

}  // namespace tidemark
