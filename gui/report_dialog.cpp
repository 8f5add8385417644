#include "gui/report_dialog.h"

#include <fmt/format.h>

#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QMessageBox>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QStandardItemModel>
#include <QTabWidget>
#include <QTableView>
#include <QVBoxLayout>

#include "gui/elided_label.h"
#include "sim/device.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

std::vector<std::string> ticked(const QListWidget& list) {
  std::vector<std::string> names;
  for (int row = 0; row < list.count(); ++row) {
    const QListWidgetItem& item = *list.item(row);
    if (item.checkState() == Qt::Checked) names.push_back(item.text().toStdString());
  }
  return names;
}

void add_choice(QListWidget& list, const std::string& name, const std::string& about) {
  auto* item = new QListWidgetItem(text_of(name), &list);
  item->setToolTip(text_of(about));
  item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
  item->setCheckState(Qt::Unchecked);
}

/// A figure that is sorted by its value and shown as text.
QStandardItem* figure(double value, const std::string& text) {
  auto* item = new QStandardItem(value < 0 ? QString() : text_of(text));
  item->setData(value, Qt::UserRole);
  item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
  return item;
}

QStandardItem* word(const QString& text) {
  auto* item = new QStandardItem(text);
  item->setData(text, Qt::UserRole);
  item->setToolTip(text);
  return item;
}

std::string bytes_text(double bytes) {
  return format_bytes(static_cast<std::int64_t>(bytes));
}

}  // namespace

ReportDialog::ReportDialog(QWidget* parent) : QDialog(parent) {
  setObjectName(QStringLiteral("report_dialog"));
  setWindowTitle(QStringLiteral("Capacity report"));
  resize(1120, 780);
  tabs_ = new QTabWidget(this);
  tabs_->setAccessibleName(QStringLiteral("What the report is about"));
  build_choices();
  build_spec();
  auto* column = new QVBoxLayout(this);
  column->addWidget(tabs_, 2);
  build_results();
  connect(&worker_, &ReportWorker::progressed, this, [this](int done, int parts, const QString& t) {
    progress_->setRange(0, parts);
    progress_->setValue(done);
    status_->setText(t);
  });
  connect(&worker_, &ReportWorker::finished, this, [this](std::shared_ptr<const Report> report) {
    report_ = std::move(report);
    set_busy(false);
    show_report();
    emit ended();
  });
  connect(&worker_, &ReportWorker::failed, this, [this](const QString& why) {
    set_busy(false);
    show_fault(why);
    emit ended();
  });
  connect(&worker_, &ReportWorker::cancelled, this, [this] {
    set_busy(false);
    status_->setText(QStringLiteral("Stopped: no report."));
    emit ended();
  });
  follow_choices();
}

QListWidget* ReportDialog::add_list(const char* name, const char* title, QWidget* page,
                                    int stretch) {
  auto* label = new QLabel(QString::fromLatin1(title), page);
  auto* list = new QListWidget(page);
  list->setObjectName(QStringLiteral("report_%1").arg(QString::fromLatin1(name)));
  list->setAccessibleName(QString::fromLatin1(title).remove(QLatin1Char('&')));
  label->setBuddy(list);
  connect(list, &QListWidget::itemChanged, this, &ReportDialog::follow_choices);
  auto* column = new QVBoxLayout;
  column->addWidget(label);
  column->addWidget(list, 1);
  static_cast<QHBoxLayout*>(page->layout())->addLayout(column, stretch);
  return list;
}

void ReportDialog::build_choices() {
  choices_ = new QWidget(tabs_);
  auto* row = new QHBoxLayout(choices_);
  models_ = add_list("models", "&Models", choices_, 2);
  devices_ = add_list("devices", "&Devices", choices_, 2);
  strategies_ = add_list("strategies", "&Strategies", choices_, 3);
  const QSignalBlocker models(models_);
  const QSignalBlocker devices(devices_);
  const QSignalBlocker strategies(strategies_);
  for (const NamedTransformer& model : named_transformers()) {
    add_choice(*models_, model.model.name, model.about);
  }
  for (const Device& device : tidemark::devices()) {
    add_choice(*devices_, device.name, device.about + ", " + format_bytes(device.memory_bytes));
  }
  for (const OfferedStrategy& strategy : offered_strategies()) {
    add_choice(*strategies_, strategy.name, strategy.about);
  }
  strategies_->item(0)->setCheckState(Qt::Checked);
  ranks_ = new QLineEdit(QStringLiteral("8, 64"), choices_);
  ranks_->setObjectName(QStringLiteral("report_ranks"));
  batch_ = new QSpinBox(choices_);
  batch_->setObjectName(QStringLiteral("report_batch"));
  batch_->setRange(1, 1 << 24);
  batch_->setValue(128);
  sequence_ = new QSpinBox(choices_);
  sequence_->setRange(0, 1 << 24);
  sequence_->setSpecialValueText(QStringLiteral("as trained"));
  auto* form = new QFormLayout;
  form->addRow(QStringLiteral("&Number of devices"), ranks_);
  form->addRow(QStringLiteral("Sequences per step"), batch_);
  form->addRow(QStringLiteral("Tokens per sequence"), sequence_);
  ranks_->setAccessibleName(QStringLiteral("Number of devices, several with commas"));
  batch_->setAccessibleName(QStringLiteral("Sequences per step"));
  sequence_->setAccessibleName(QStringLiteral("Tokens per sequence"));
  connect(ranks_, &QLineEdit::textChanged, this, &ReportDialog::follow_choices);
  connect(batch_, &QSpinBox::valueChanged, this, &ReportDialog::follow_choices);
  connect(sequence_, &QSpinBox::valueChanged, this, &ReportDialog::follow_choices);
  row->addLayout(form, 2);
  tabs_->addTab(choices_, QStringLiteral("&Choose"));
}

void ReportDialog::build_spec() {
  auto* page = new QWidget(tabs_);
  text_ = new QPlainTextEdit(page);
  text_->setObjectName(QStringLiteral("report_spec"));
  text_->setAccessibleName(QStringLiteral("Spec in YAML, as of tidemark report"));
  text_->setTabChangesFocus(true);
  text_->setLineWrapMode(QPlainTextEdit::NoWrap);
  connect(text_, &QPlainTextEdit::textChanged, this, [this] { set_written(true); });
  auto* open = new QPushButton(QStringLiteral("&Open a spec…"), page);
  connect(open, &QPushButton::clicked, this, &ReportDialog::ask_and_open);
  again_ = new QPushButton(QStringLiteral("Back to what is &ticked"), page);
  again_->setEnabled(false);
  connect(again_, &QPushButton::clicked, this, [this] {
    spec_file_.clear();
    set_written(false);
    follow_choices();
  });
  auto* row = new QHBoxLayout;
  row->addWidget(open);
  row->addWidget(again_);
  row->addStretch(1);
  auto* column = new QVBoxLayout(page);
  column->addWidget(text_, 1);
  column->addLayout(row);
  tabs_->addTab(page, QStringLiteral("S&pec"));
}

void ReportDialog::build_results() {
  run_ = new QPushButton(QStringLiteral("&Run"), this);
  run_->setObjectName(QStringLiteral("report_run"));
  run_->setDefault(true);
  connect(run_, &QPushButton::clicked, this, &ReportDialog::run);
  stop_ = new QPushButton(QStringLiteral("St&op"), this);
  stop_->setObjectName(QStringLiteral("report_stop"));
  connect(stop_, &QPushButton::clicked, this, [this] {
    worker_.cancel();
    stop_->setEnabled(false);
    status_->setText(QStringLiteral("Stopping: parts that are at work come to their end…"));
  });
  progress_ = new QProgressBar(this);
  progress_->setAccessibleName(QStringLiteral("Progress of the report"));
  progress_->setMaximumWidth(200);
  status_ = new ElidedLabel(this);
  status_->setObjectName(QStringLiteral("report_status"));
  export_ = new QPushButton(QStringLiteral("&Export…"), this);
  export_->setEnabled(false);
  connect(export_, &QPushButton::clicked, this, &ReportDialog::ask_and_export);
  auto* row = new QHBoxLayout;
  for (QWidget* widget : {static_cast<QWidget*>(run_), static_cast<QWidget*>(stop_),
                          static_cast<QWidget*>(progress_)}) {
    row->addWidget(widget);
  }
  row->addWidget(status_, 1);
  row->addWidget(export_);
  rows_ = new QStandardItemModel(this);
  rows_->setSortRole(Qt::UserRole);
  table_ = new QTableView(this);
  table_->setObjectName(QStringLiteral("report_table"));
  table_->setAccessibleName(QStringLiteral("What fits"));
  table_->setModel(rows_);
  table_->setSortingEnabled(true);
  table_->setEditTriggers(QAbstractItemView::NoEditTriggers);
  table_->setSelectionBehavior(QAbstractItemView::SelectRows);
  table_->setAlternatingRowColors(true);
  table_->setShowGrid(false);
  table_->setTabKeyNavigation(false);
  table_->setTextElideMode(Qt::ElideMiddle);
  table_->verticalHeader()->hide();
  table_->verticalHeader()->setDefaultSectionSize(22);
  auto* column = static_cast<QVBoxLayout*>(layout());
  column->addLayout(row);
  column->addWidget(table_, 3);
  set_busy(false);
}

ReportRequest ReportDialog::request() const {
  return {.global_batch = batch_->value(),
          .sequence = sequence_->value(),
          .models = ticked(*models_),
          .devices = ticked(*devices_),
          .ranks = parse_ranks(ranks_->text().toStdString()),
          .strategies = ticked(*strategies_)};
}

/// The spec is what is ticked, as long as nobody writes it.
void ReportDialog::follow_choices() {
  if (written_ || text_ == nullptr) return;
  const QSignalBlocker quiet(text_);
  try {
    text_->setPlainText(text_of(spec_of(request())));
    if (status_ != nullptr) status_->clear();
  } catch (const InputError& error) {
    text_->clear();
    if (status_ != nullptr) show_fault(QString::fromUtf8(error.what()));
  }
}

void ReportDialog::set_written(bool written) {
  written_ = written;
  choices_->setEnabled(!written);
  again_->setEnabled(written);
}

void ReportDialog::open_spec(const QString& path) {
  const std::string text = read_file(path.toStdString());
  {
    const QSignalBlocker quiet(text_);
    text_->setPlainText(text_of(text));
  }
  spec_file_ = path;
  set_written(true);
  tabs_->setCurrentIndex(1);
}

QString ReportDialog::spec() const {
  return text_->toPlainText();
}

void ReportDialog::run() {
  if (is_running()) return;
  fault_.clear();
  if (!written_) {
    try {
      static_cast<void>(request());
    } catch (const InputError& error) {
      return show_fault(QString::fromUtf8(error.what()));
    }
    if (ticked(*models_).empty() || ticked(*devices_).empty() || ticked(*strategies_).empty()) {
      return show_fault(QStringLiteral("Tick at least one model, one device and one strategy."));
    }
  }
  set_busy(true);
  status_->setText(QStringLiteral("Reading the spec…"));
  const QString file = spec_file_.isEmpty() ? QStringLiteral("spec") : spec_file_;
  worker_.start(spec().toStdString(), file.toStdString());
}

void ReportDialog::set_busy(bool busy) {
  run_->setEnabled(!busy);
  stop_->setEnabled(busy);
  stop_->setVisible(busy);
  progress_->setVisible(busy);
  progress_->setRange(0, 0);
}

void ReportDialog::show_fault(const QString& why) {
  fault_ = why;
  status_->setText(QString(why).replace(QLatin1Char('\n'), QStringLiteral("; ")));
  status_->setToolTip(why);
}

void ReportDialog::show_report() {
  table_->setSortingEnabled(false);
  rows_->clear();
  rows_->setHorizontalHeaderLabels({QStringLiteral("Model"), QStringLiteral("Devices"),
                                    QStringLiteral("Strategy"), QStringLiteral("Verdict"),
                                    QStringLiteral("Needs"), QStringLiteral("Fits with"),
                                    QStringLiteral("Step"), QStringLiteral("Price per M tokens"),
                                    QStringLiteral("Best layout, or why not")});
  for (const ReportLine& line : report_lines(*report_)) {
    QString verdict = QString::fromLatin1(to_string(line.verdict).data());
    rows_->appendRow(
        {word(text_of(line.model)), word(text_of(line.devices)), word(text_of(line.strategy)),
         word(verdict.replace(QLatin1Char('_'), QLatin1Char(' '))),
         figure(line.needs_bytes, bytes_text(line.needs_bytes)),
         figure(line.fits_probability, fmt::format("{:.0f} %", 100 * line.fits_probability)),
         figure(line.step_s, format_ns(static_cast<std::int64_t>(line.step_s * 1e9))),
         figure(line.price, QString::number(line.price, 'g', 3).toStdString()),
         word(text_of(line.best))});
  }
  constexpr std::array<int, 8> k_widths_px = {115, 110, 160, 80, 80, 80, 80, 125};
  for (int column = 0; column < static_cast<int>(k_widths_px.size()); ++column) {
    table_->setColumnWidth(column, k_widths_px[static_cast<std::size_t>(column)]);
  }
  table_->horizontalHeader()->setStretchLastSection(true);
  table_->setSortingEnabled(true);
  table_->sortByColumn(-1, Qt::AscendingOrder);  // as the report has them
  export_->setEnabled(true);
  status_->setText(text_of(summary_of(*report_)));
  status_->setToolTip({});
}

void ReportDialog::ask_and_open() {
  const QString path =
      QFileDialog::getOpenFileName(this, QStringLiteral("Open a spec"), {},
                                   QStringLiteral("Specs (*.yaml *.yml);;All files (*)"));
  if (path.isEmpty()) return;
  try {
    open_spec(path);
  } catch (const InputError& error) {
    show_fault(QString::fromUtf8(error.what()));
  }
}

void ReportDialog::export_to(const QString& path) const {
  if (path.endsWith(QStringLiteral(".yaml"))) {
    return write_file(path.toStdString(), spec().toStdString());
  }
  if (report_) save_report(*report_, path.toStdString());
}

void ReportDialog::ask_and_export() {
  QString path = QFileDialog::getSaveFileName(
      this, QStringLiteral("Export the report"), QStringLiteral("report.html"),
      QStringLiteral("Page (*.html);;All rows (*.csv);;Everything (*.json);;Text (*.txt);;"
                     "The spec (*.yaml)"));
  if (path.isEmpty()) return;
  if (QFileInfo(path).suffix().isEmpty()) path += QStringLiteral(".html");
  try {
    export_to(path);
    status_->setText(QStringLiteral("written to %1").arg(path));
  } catch (const InputError& error) {
    QMessageBox::warning(this, QStringLiteral("Cannot export"), QString::fromUtf8(error.what()));
  }
}

}  // namespace tidemark
