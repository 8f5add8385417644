// Tables of the what-if panel as Qt models: layer x what becomes of it, and the decisions of a plan
// with their reasons.
#pragma once

#include <QAbstractTableModel>
#include <vector>

#include "gui/whatif_planner.h"

namespace tidemark {

/// One check mark per row: planner, keep, recompute or offload.
class LayersModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name, held, planner, keep, recompute, offload, done, column_count };

  using QAbstractTableModel::QAbstractTableModel;

  void show(std::vector<LayerRow> rows);
  [[nodiscard]] const std::vector<LayerRow>& rows() const { return rows_; }
  /// The fate that a column stands for; nothing for the others.
  [[nodiscard]] static std::optional<Fate> fate_of(int column);

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;
  [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role) override;

 signals:
  void told(const std::vector<std::string>& layers, tidemark::Fate fate);

 private:
  std::vector<LayerRow> rows_;
};

class DecisionsModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kind, buffer, bytes, reason, column_count };

  using QAbstractTableModel::QAbstractTableModel;

  void show(RunPtr planned);

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation,
                                    int role) const override;

 private:
  RunPtr planned_;
};

}  // namespace tidemark
