#include "gui/whatif_tables.h"

#include <array>

#include "sim/units.h"

namespace tidemark {
namespace {

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

/// "recompute 3.1 MiB, offload 2.0 MiB"
QString done_text(const LayerRow& row) {
  QStringList parts;
  if (row.recomputed_bytes > 0) {
    parts << QStringLiteral("recompute %1").arg(text_of(format_bytes(row.recomputed_bytes)));
  }
  if (row.offloaded_bytes > 0) {
    parts << QStringLiteral("offload %1").arg(text_of(format_bytes(row.offloaded_bytes)));
  }
  return parts.isEmpty() ? QStringLiteral("keep") : parts.join(QStringLiteral(", "));
}

QVariant cost_text(const LayerRow& row, int column) {
  if (column == LayersModel::recompute) {
    return row.can_recompute ? QStringLiteral("costs %1").arg(text_of(format_ns(row.recompute_ns)))
                             : QStringLiteral("nothing of this layer can be made again");
  }
  if (column == LayersModel::offload) {
    return QStringLiteral("%1 on the link").arg(text_of(format_ns(row.transfer_ns)));
  }
  return {};
}

}  // namespace

std::optional<Fate> LayersModel::fate_of(int column) {
  switch (column) {
    case planner:
      return Fate::open;
    case keep:
      return Fate::keep;
    case recompute:
      return Fate::recompute;
    case offload:
      return Fate::offload;
    default:
      return std::nullopt;
  }
}

void LayersModel::show(std::vector<LayerRow> rows) {
  const bool same_layers = std::ranges::equal(rows, rows_, {}, &LayerRow::name, &LayerRow::name);
  if (!same_layers) beginResetModel();
  rows_ = std::move(rows);
  if (!same_layers) {
    endResetModel();
  } else if (!rows_.empty()) {  // the place of the cursor stays
    emit dataChanged(index(0, 0), index(static_cast<int>(rows_.size()) - 1, column_count - 1));
  }
}

int LayersModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}
int LayersModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(column_count);
}

QVariant LayersModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const LayerRow& row = rows_[static_cast<std::size_t>(index.row())];
  const auto fate = fate_of(index.column());
  if (role == Qt::CheckStateRole && fate) return row.told == *fate ? Qt::Checked : Qt::Unchecked;
  if (role == Qt::ToolTipRole && fate) return cost_text(row, index.column());
  if (role == Qt::AccessibleTextRole && fate) {
    return QStringLiteral("%1: %2, %3")
        .arg(text_of(row.name), QString::fromLatin1(to_text(*fate)),
             row.told == *fate ? QStringLiteral("chosen") : QStringLiteral("not chosen"));
  }
  if (role == Qt::TextAlignmentRole && index.column() == held) {
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) return {};
  if (index.column() == name) return text_of(row.name);
  if (index.column() == held) return text_of(format_bytes(row.held_bytes));
  return index.column() == done ? QVariant(done_text(row)) : QVariant();
}

QVariant LayersModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  constexpr std::array<const char*, column_count> k_names = {
      "Layer", "Held", "Open", "Keep", "Recomp.", "Offload", "In the plan"};
  constexpr std::array<const char*, column_count> k_about = {
      "A layer that holds something from forward to backward",
      "Bytes kept from forward to backward",
      "The planner decides",
      "Nothing of the layer leaves",
      "Dropped after forward, made again for backward",
      "Copied to the host after forward, fetched for backward",
      "What the plan that is shown does with it"};
  const auto at = static_cast<std::size_t>(section);
  if (role == Qt::DisplayRole) return QString::fromLatin1(k_names[at]);
  if (role == Qt::ToolTipRole) return QString::fromLatin1(k_about[at]);
  return {};
}

Qt::ItemFlags LayersModel::flags(const QModelIndex& index) const {
  Qt::ItemFlags flags = QAbstractTableModel::flags(index);
  if (fate_of(index.column())) flags |= Qt::ItemIsUserCheckable;
  return flags;
}

bool LayersModel::setData(const QModelIndex& index, const QVariant& value, int role) {
  const auto fate = index.isValid() ? fate_of(index.column()) : std::nullopt;
  if (role != Qt::CheckStateRole || !fate) return false;
  const bool checked = value.toInt() == Qt::Checked;
  // The mark of a row moves; taking it away leaves the row to the planner.
  emit told({rows_[static_cast<std::size_t>(index.row())].name}, checked ? *fate : Fate::open);
  return true;
}

void DecisionsModel::show(RunPtr planned) {
  beginResetModel();
  planned_ = std::move(planned);
  endResetModel();
}

int DecisionsModel::rowCount(const QModelIndex& parent) const {
  if (parent.isValid() || !planned_) return 0;
  return static_cast<int>(planned_->trace().decisions.size());
}
int DecisionsModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(column_count);
}

QVariant DecisionsModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || !planned_) return {};
  const Trace& trace = planned_->trace();
  const Decision& decision = trace.decisions[static_cast<std::size_t>(index.row())];
  const Buffer& of = trace[decision.buffer];
  if (role == Qt::TextAlignmentRole && index.column() == bytes) {
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole && role != Qt::ToolTipRole) return {};
  switch (index.column()) {
    case kind:
      return text_of(std::string(to_string(decision.kind)));
    case buffer:
      return text_of(of.name);
    case bytes:
      return text_of(format_bytes(counted_bytes(of)));
    default:
      return text_of(decision.reason);
  }
}

QVariant DecisionsModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) return {};
  constexpr std::array<const char*, column_count> k_names = {"Decision", "Tensor", "Frees",
                                                             "Reason and cost"};
  return QString::fromLatin1(k_names[static_cast<std::size_t>(section)]);
}

}  // namespace tidemark
