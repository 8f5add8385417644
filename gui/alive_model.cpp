#include "gui/alive_model.h"

#include <QColor>
#include <algorithm>
#include <numeric>

#include "gui/alive_rows.h"
#include "gui/labels.h"
#include "sim/units.h"

namespace tidemark {

void AliveModel::show(RunPtr run, std::int64_t change, std::int64_t zero_ns) {
  beginResetModel();
  run_ = std::move(run);
  zero_ns_ = zero_ns;
  all_rows_ = run_ ? alive_rows_without_uses(*run_, change) : std::vector<AliveRow>{};
  filter_and_sort();
  endResetModel();
}

void AliveModel::set_filter(const QString& text) {
  beginResetModel();
  words_ = text.split(QLatin1Char(' '), Qt::SkipEmptyParts);
  filter_and_sort();
  endResetModel();
}

void AliveModel::filter_and_sort() {
  rows_.clear();
  for (const AliveRow& row : all_rows_) {
    const auto found = [this, &row](const QString& word) {
      return text(row, name).contains(word, Qt::CaseInsensitive) ||
             text(row, layer).contains(word, Qt::CaseInsensitive) ||
             text(row, category).contains(word, Qt::CaseInsensitive);
    };
    if (std::all_of(words_.begin(), words_.end(), found)) rows_.push_back(row);
  }
  has_uses_.assign(rows_.size(), false);
  sort_rows();
}

const AliveRow& AliveModel::row(std::size_t at) const {
  if (!has_uses_[at]) fill_uses(*run_, rows_[at]);
  has_uses_[at] = true;
  return rows_[at];
}

int AliveModel::row_of(BufferId buffer) const {
  const auto found = std::ranges::find(rows_, buffer, &AliveRow::buffer);
  return found == rows_.end() ? -1 : static_cast<int>(found - rows_.begin());
}

std::int64_t AliveModel::total_bytes() const {
  return std::accumulate(rows_.begin(), rows_.end(), std::int64_t{0},
                         [](std::int64_t sum, const AliveRow& row) { return sum + row.bytes; });
}

int AliveModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}

int AliveModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : column_count;
}

QString AliveModel::text(const AliveRow& row, int column) const {
  const Trace& trace = run_->trace();
  const Buffer& buffer = trace[row.buffer];
  const auto time = [this](std::int64_t ns) {
    return ns < 0 ? QStringLiteral("-") : QString::fromStdString(format_time_ns(ns - zero_ns_));
  };
  switch (column) {
    case name:
      return QString::fromStdString(buffer.name);
    case layer:
      return QString::fromStdString(layer_name(trace, buffer.layer));
    case category:
      return QString::fromStdString(spoken(to_string(buffer.category)));
    case size:
      return QString::fromStdString(format_bytes(row.bytes));
    case first_use:
      return time(row.first_use_ns);
    case last_use:
      return time(row.last_use_ns);
    case idle:
      return row.idle_ns < 0 ? QStringLiteral("-")
                             : QString::fromStdString(format_time_ns(row.idle_ns));
    default:
      return {};
  }
}

QVariant AliveModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const auto at = static_cast<std::size_t>(index.row());
  const AliveRow& row = index.column() >= first_use ? this->row(at) : rows_[at];
  switch (role) {
    case Qt::DisplayRole:
    case Qt::ToolTipRole:
      return text(row, index.column());
    case Qt::TextAlignmentRole:
      return QVariant::fromValue(Qt::AlignVCenter |
                                 (index.column() >= size ? Qt::AlignRight : Qt::AlignLeft));
    case Qt::DecorationRole:
      if (index.column() != category) return {};
      return QColor::fromRgb(band_colour(band_of(run_->trace()[row.buffer].category)));
    default:
      return {};
  }
}

QVariant AliveModel::headerData(int section, Qt::Orientation orientation, int role) const {
  static constexpr std::array<const char*, column_count> k_titles = {
      "Buffer", "Layer", "Category", "Size", "First use", "Last use", "Longest idle"};
  if (orientation != Qt::Horizontal || section < 0 || section >= column_count) return {};
  if (role == Qt::DisplayRole)
    return QString::fromLatin1(k_titles[static_cast<std::size_t>(section)]);
  if (role == Qt::TextAlignmentRole) {
    return QVariant::fromValue(Qt::AlignVCenter |
                               (section >= size ? Qt::AlignRight : Qt::AlignLeft));
  }
  return {};
}

bool AliveModel::less(const AliveRow& a, const AliveRow& b, int column) const {
  switch (column) {
    case size:
      return a.bytes < b.bytes;
    case first_use:
      return a.first_use_ns < b.first_use_ns;
    case last_use:
      return a.last_use_ns < b.last_use_ns;
    case idle:
      return a.idle_ns < b.idle_ns;
    default:
      return text(a, column) < text(b, column);
  }
}

void AliveModel::sort_rows() {
  if (sort_column_ >= first_use) {
    for (std::size_t at = 0; at < rows_.size(); ++at) static_cast<void>(row(at));
  } else {
    has_uses_.assign(rows_.size(), false);
  }
  std::stable_sort(rows_.begin(), rows_.end(), [this](const AliveRow& a, const AliveRow& b) {
    return sort_order_ == Qt::AscendingOrder ? less(a, b, sort_column_) : less(b, a, sort_column_);
  });
}

void AliveModel::sort(int column, Qt::SortOrder order) {
  if (column < 0) return;
  sort_column_ = column;
  sort_order_ = order;
  emit layoutAboutToBeChanged();
  sort_rows();
  emit layoutChanged();
}

}  // namespace tidemark
