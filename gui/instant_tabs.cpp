#include "gui/instant_tabs.h"

#include <QHeaderView>
#include <QLineEdit>
#include <QTableView>
#include <QTextBrowser>
#include <QVBoxLayout>

#include "gui/instant_report.h"
#include "gui/treemap_widget.h"

namespace tidemark {
namespace {

/// A page that is made anew stays where it was scrolled to.
void set_page(QTextBrowser& browser, const std::string& html) {
  const QString page = QString::fromStdString(html);
  if (browser.property("page").toString() == page) return;
  browser.setProperty("page", page);
  browser.setHtml(page);
}

}  // namespace

InstantTabs::InstantTabs(TimelineWidget& timeline, AliveModel& alive, QTableView& table,
                         QWidget* parent)
    : QTabWidget(parent), timeline_(timeline), alive_(alive), table_(table) {
  setObjectName(QStringLiteral("instant_tabs"));
  setDocumentMode(true);
  addTab(table_page(table), QStringLiteral("Table"));
  treemap_ = new TreemapWidget(timeline, this);
  addTab(treemap_, QStringLiteral("Areas"));
  difference_ = text_page("difference", "Difference", "Difference to the other runs");
  why_ = text_page("why_alive", "Why alive", "Why the selected buffer is alive");
  range_ = text_page("range", "Range", "About the selected range");
  connect(this, &QTabWidget::currentChanged, this, &InstantTabs::refresh);
  connect(table.selectionModel(), &QItemSelectionModel::selectionChanged, this,
          &InstantTabs::refresh);
  connect(&table, &QTableView::doubleClicked, this, [this] { setCurrentWidget(why_); });
  connect(&timeline, &TimelineWidget::selection_changed, this, &InstantTabs::refresh);
}

QWidget* InstantTabs::table_page(QTableView& table) {
  auto* page = new QWidget(this);
  filter_ = new QLineEdit(page);
  filter_->setObjectName(QStringLiteral("alive_filter"));
  filter_->setAccessibleName(QStringLiteral("Show only buffers with this text"));
  filter_->setPlaceholderText(
      QStringLiteral("Show only: part of a name, layer or category (several words: all of them)"));
  filter_->setClearButtonEnabled(true);
  connect(filter_, &QLineEdit::textChanged, this,
          [this](const QString& text) { alive_.set_filter(text); });
  auto* layout = new QVBoxLayout(page);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(0);
  layout->addWidget(filter_);
  layout->addWidget(&table, 1);
  return page;
}

QTextBrowser* InstantTabs::text_page(const char* name, const char* title, const char* about) {
  auto* browser = new QTextBrowser(this);
  browser->setObjectName(QString::fromLatin1(name));
  browser->setAccessibleName(QString::fromLatin1(about));
  browser->setFrameShape(QFrame::NoFrame);
  browser->setMinimumSize(0, 0);
  addTab(browser, QString::fromLatin1(title));
  return browser;
}

void InstantTabs::refresh() {
  const ViewState& state = timeline_.state();
  if (!state.run) return;
  if (currentWidget() == difference_) {
    set_page(*difference_, difference_html(state, *timeline_.instant()));
  } else if (currentWidget() == why_) {
    refresh_why();
  } else if (currentWidget() == range_) {
    set_page(*range_, range_html(state, state.selection.value_or(state.range)));
  } else if (currentWidget() == treemap_) {
    treemap_->update();
  }
}

/// The selected row, else the largest.
void InstantTabs::refresh_why() {
  const QModelIndexList selected = table_.selectionModel()->selectedRows();
  const int row = selected.empty() ? 0 : selected.front().row();
  if (row >= alive_.rowCount()) {
    return set_page(*why_, "<p>Nothing is alive at this instant.</p>");
  }
  const ViewState& state = timeline_.state();
  const std::int64_t zero_ns = state.one_step ? state.run->steady_step(Axis::time).begin : 0;
  set_page(*why_, why_alive_html(*state.run, alive_.row(static_cast<std::size_t>(row)), zero_ns));
}

void InstantTabs::explain(BufferId buffer) {
  const int row = alive_.row_of(buffer);
  if (row < 0) return;
  table_.selectRow(row);
  setCurrentWidget(why_);
  refresh();
}

void InstantTabs::show_tab(int tab) {
  setCurrentIndex(tab);
  currentWidget()->setFocus();
}

}  // namespace tidemark
