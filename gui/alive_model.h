// The table of what is alive at an instant, as a Qt model over plain rows.
#pragma once

#include <QAbstractTableModel>
#include <QStringList>
#include <vector>

#include "gui/instant.h"

namespace tidemark {

class AliveModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name, layer, category, size, first_use, last_use, idle, column_count };

  using QAbstractTableModel::QAbstractTableModel;

  /// Shows what is alive in `run` right after `change`; nothing for a null run. Times are counted
  /// from `zero_ns`. The order that was chosen stays.
  void show(RunPtr run, std::int64_t change, std::int64_t zero_ns);

  /// Only rows in whose name, layer or category each word of `text` is found, whatever its case.
  void set_filter(const QString& text);

  /// With its uses, which are looked up when a row is first asked for.
  [[nodiscard]] const AliveRow& row(std::size_t at) const;
  /// The row of `buffer`; -1 when it is not shown.
  [[nodiscard]] int row_of(BufferId buffer) const;
  /// Without the filter.
  [[nodiscard]] std::size_t all_count() const { return all_rows_.size(); }
  [[nodiscard]] std::int64_t total_bytes() const;

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;
  void sort(int column, Qt::SortOrder order) override;

 private:
  [[nodiscard]] QString text(const AliveRow& row, int column) const;
  [[nodiscard]] bool less(const AliveRow& a, const AliveRow& b, int column) const;
  void filter_and_sort();
  void sort_rows();

  RunPtr run_;
  std::int64_t zero_ns_ = 0;
  std::vector<AliveRow> all_rows_;
  mutable std::vector<AliveRow> rows_;
  mutable std::vector<bool> has_uses_;  // per row of rows_
  QStringList words_;
  int sort_column_ = size;
  Qt::SortOrder sort_order_ = Qt::DescendingOrder;
};

}  // namespace tidemark
