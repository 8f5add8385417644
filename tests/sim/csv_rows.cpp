#include "csv_rows.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "tests/paths.h"
#include "traces/error.h"

namespace tidemark::test {
namespace {

std::vector<std::vector<std::string>> split(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> cells{""};
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        cells.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cells.back() += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c == '\n') {
      lines.push_back(std::exchange(cells, {""}));
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  lines.push_back(cells);
  std::erase(lines, std::vector<std::string>{""});
  return lines;
}

InputError no_number(const std::string& column, const std::string& cell) {
  return InputError(
      {.place = "column " + column, .expected = "a number", .found = "'" + cell + "'"});
}

}  // namespace

bool CsvRow::has(const std::string& column) const {
  return std::find(names_->begin(), names_->end(), column) != names_->end();
}

const std::string& CsvRow::operator[](const std::string& column) const {
  static const std::string empty;
  const auto at = std::find(names_->begin(), names_->end(), column);
  if (at == names_->end()) {
    throw InputError({.place = "first line", .expected = "a column " + column, .found = "none"});
  }
  const auto index = static_cast<std::size_t>(at - names_->begin());
  return index < cells_.size() ? cells_[index] : empty;
}

std::int64_t CsvRow::integer(const std::string& column) const {
  const std::string& cell = (*this)[column];
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size()) throw no_number(column, cell);
  return value;
}

double CsvRow::number(const std::string& column) const {
  const std::string& cell = (*this)[column];
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size()) throw no_number(column, cell);
  return value;
}

std::vector<CsvRow> csv_rows(const std::string& text) {
  const std::vector<std::vector<std::string>> lines =
      split(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text);
  if (lines.empty()) {
    throw InputError({.place = "first line", .expected = "names of columns", .found = "nothing"});
  }
  const auto names = std::make_shared<const std::vector<std::string>>(lines.front());
  std::vector<CsvRow> out;
  for (std::size_t i = 1; i < lines.size(); ++i) out.emplace_back(names, lines[i]);
  return out;
}

std::string shared_data(const std::string& name) {
  const char* given = std::getenv("TIDEMARK_SHARED_DATA");
  const std::filesystem::path data =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(TIDEMARK_SOURCE_DIR) / ".." / "shared" / "data";
  const std::filesystem::path folder = data / name;
  return std::filesystem::is_directory(folder) ? folder.string() : "";
}

}  // namespace tidemark::test
