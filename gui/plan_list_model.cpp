#include "gui/plan_list_model.h"

#include <array>

#include "sim/compare.h"
#include "sim/html_text.h"
#include "sim/units.h"

namespace tidemark {
namespace {

QString text_of(const std::string& text) {
  return QString::fromStdString(text);
}

QString measured_cell(const ListedPlan& plan) {
  if (!plan.measured) return {};
  return QStringLiteral("%1, %2").arg(text_of(format_bytes(plan.measured->timeline().peak.bytes)),
                                      text_of(format_ns(median_step_ns(plan.measured->trace()))));
}

QString cell(const ListedPlan& plan, int column) {
  const WhatIfResult& result = *plan.result;
  switch (column) {
    case PlanListModel::name:
      return text_of(plan.name);
    case PlanListModel::budget:
      return result.asked.budget_bytes < 0 ? QStringLiteral("none")
                                           : text_of(format_bytes(result.asked.budget_bytes));
    case PlanListModel::needed:
      return text_of(format_bytes(result.needed_bytes())) +
             (result.fits ? QString() : QStringLiteral(" (does not fit)"));
    case PlanListModel::step:
      return text_of(format_ns(result.plan().step_ns));
    default:
      return measured_cell(plan);
  }
}

}  // namespace

void PlanListModel::show(const PlanList& list) {
  const bool same_rows = list.plans.size() == list_.plans.size();
  if (!same_rows) beginResetModel();
  list_ = list;
  if (!same_rows) {
    endResetModel();
  } else if (!list_.plans.empty()) {
    emit dataChanged(index(0, 0), index(rowCount() - 1, column_count - 1));
  }
}

int PlanListModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(list_.plans.size());
}
int PlanListModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(column_count);
}

QVariant PlanListModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const ListedPlan& plan = list_.plans[static_cast<std::size_t>(index.row())];
  if (role == Qt::CheckStateRole && index.column() == name) {
    return list_.is_compared(plan.id) ? Qt::Checked : Qt::Unchecked;
  }
  if (role == Qt::ToolTipRole) {
    const std::string measured_line = measured_text(plan);
    return measured_line.empty() ? cell(plan, index.column()) : text_of(measured_line);
  }
  if (role == Qt::DisplayRole || role == Qt::EditRole) return cell(plan, index.column());
  return {};
}

QVariant PlanListModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  constexpr std::array<const char*, column_count> k_names = {"Plan (mark: compare)", "Budget",
                                                             "Needed", "Step", "Measured"};
  if (role == Qt::DisplayRole)
    return QString::fromLatin1(k_names[static_cast<std::size_t>(section)]);
  return {};
}

Qt::ItemFlags PlanListModel::flags(const QModelIndex& index) const {
  Qt::ItemFlags flags = QAbstractTableModel::flags(index);
  if (index.column() == name) flags |= Qt::ItemIsUserCheckable | Qt::ItemIsEditable;
  return flags;
}

bool PlanListModel::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (!index.isValid() || index.column() != name) return false;
  const int id = list_.plans[static_cast<std::size_t>(index.row())].id;
  if (role == Qt::CheckStateRole) {
    emit compared(id, value.toInt() == Qt::Checked);
  } else if (role == Qt::EditRole) {
    emit renamed(id, value.toString());
  } else {
    return false;
  }
  return true;
}

QString comparison_html(const PlanList& list) {
  std::string html;
  for (const ComparedFigure& figure : comparison(list)) {
    html += "<tr><td style='white-space:nowrap'>" + figure.name + "</td>";
    for (const std::string& text : figure.texts) {
      html += "<td>&nbsp;&nbsp;" + escaped(text) + "</td>";
    }
    html += "</tr>";
  }
  return html.empty() ? QString() : text_of("<table>" + html + "</table>");
}

}  // namespace tidemark
