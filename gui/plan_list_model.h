// The table of the kept plans.
#pragma once

#include <QAbstractTableModel>

#include "gui/plan_list.h"

namespace tidemark {

class PlanListModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name, budget, needed, step, measured, column_count };

  using QAbstractTableModel::QAbstractTableModel;

  void show(const PlanList& list);
  [[nodiscard]] const PlanList& list() const { return list_; }

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;
  [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role) override;

 signals:
  void renamed(int id, const QString& name);
  void compared(int id, bool wanted);  // the mark before the name

 private:
  PlanList list_;
};

/// The compared plans as a table in HTML; empty when there is none.
[[nodiscard]] QString comparison_html(const PlanList& list);

}  // namespace tidemark
