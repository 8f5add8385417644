// Rows of a CSV file by the names of their columns, for tests and benchmarks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tidemark::test {

class CsvRow {
 public:
  CsvRow(std::shared_ptr<const std::vector<std::string>> names, std::vector<std::string> cells)
      : names_(std::move(names)), cells_(std::move(cells)) {}
  /// Throws InputError when there is no such column; empty when the row is short.
  [[nodiscard]] const std::string& operator[](const std::string& column) const;
  [[nodiscard]] bool has(const std::string& column) const;
  /// Throws InputError that names column and cell when the cell is not a whole number or a real.
  [[nodiscard]] std::int64_t integer(const std::string& column) const;
  [[nodiscard]] double number(const std::string& column) const;

 private:
  std::shared_ptr<const std::vector<std::string>> names_;
  std::vector<std::string> cells_;
};

/// Quotes as in RFC 4180; a byte-order mark and carriage returns are dropped. Throws InputError
/// when there is no first line with names.
[[nodiscard]] std::vector<CsvRow> csv_rows(const std::string& text);

/// The folder `name` of the data that is not part of the project, which is named by
/// TIDEMARK_SHARED_DATA or lies beside the source; empty when it is absent.
[[nodiscard]] std::string shared_data(const std::string& name);

}  // namespace tidemark::test
