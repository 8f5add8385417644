#include "sim/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace tidemark {

Table::Table(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    right_.push_back(heading.starts_with('>') ? 1 : 0);
    if (right_.back() != 0) heading.erase(0, 1);
  }
  rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
  if (cells.size() != right_.size()) throw std::logic_error("table row has a wrong length");
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(right_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  const bool headless = std::ranges::all_of(rows_[0], &std::string::empty);
  for (std::size_t r = headless ? 1 : 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < right_.size(); ++i) {
      line += "  ";
      line += right_[i] != 0 ? fmt::format("{:>{}}", rows_[r][i], widths[i])
                             : fmt::format("{:<{}}", rows_[r][i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace tidemark
