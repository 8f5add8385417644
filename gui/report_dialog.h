// Capacity reports from the window: choose models, devices and strategies, or write the spec; see
// what fits, and export it.
#pragma once

#include <QDialog>
#include <memory>

#include "gui/report_request.h"
#include "gui/report_worker.h"

class QLabel;
class QLineEdit;
class QListWidget;
class QPlainTextEdit;
class QProgressBar;
class QPushButton;
class QSpinBox;
class QStandardItemModel;
class QTableView;
class QTabWidget;

namespace tidemark {

class ReportDialog : public QDialog {
  Q_OBJECT

 public:
  explicit ReportDialog(QWidget* parent);

  /// What is ticked and typed. Throws InputError for a number of devices that is none.
  [[nodiscard]] ReportRequest request() const;
  /// Takes a spec from a file; files that it names are looked for beside it. Throws InputError.
  void open_spec(const QString& path);
  /// The text of the spec: of what is ticked, until somebody writes it.
  [[nodiscard]] QString spec() const;
  void run();
  [[nodiscard]] bool is_running() const { return worker_.is_running(); }
  /// Null until one is there.
  [[nodiscard]] const std::shared_ptr<const Report>& report() const { return report_; }
  /// What went wrong last; empty when nothing did.
  [[nodiscard]] const QString& fault() const { return fault_; }
  /// Throws InputError.
  void export_to(const QString& path) const;

 signals:
  void ended();  // with a report, a fault or on demand

 private:
  void build_choices();
  QListWidget* add_list(const char* name, const char* title, QWidget* page, int stretch);
  void build_spec();
  void build_results();
  void follow_choices();
  void set_written(bool written);
  void show_report();
  void show_fault(const QString& why);
  void set_busy(bool busy);
  void ask_and_open();
  void ask_and_export();

  ReportWorker worker_{this};
  std::shared_ptr<const Report> report_;
  QString fault_;
  QString spec_file_;     // that the spec came from; empty: none
  bool written_ = false;  // by hand or by a file: the choices do not count
  QTabWidget* tabs_ = nullptr;
  QWidget* choices_ = nullptr;
  QListWidget* models_ = nullptr;
  QListWidget* devices_ = nullptr;
  QListWidget* strategies_ = nullptr;
  QLineEdit* ranks_ = nullptr;
  QSpinBox* batch_ = nullptr;
  QSpinBox* sequence_ = nullptr;
  QPlainTextEdit* text_ = nullptr;
  QPushButton* again_ = nullptr;
  QPushButton* run_ = nullptr;
  QPushButton* stop_ = nullptr;
  QPushButton* export_ = nullptr;
  QProgressBar* progress_ = nullptr;
  QLabel* status_ = nullptr;
  QStandardItemModel* rows_ = nullptr;
  QTableView* table_ = nullptr;
};

}  // namespace tidemark
