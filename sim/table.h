// Plain text tables: columns padded to their widest cell, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace tidemark {

class Table {
 public:
  /// A heading that begins with '>' aligns its column to the right.
  explicit Table(std::vector<std::string> headings);
  /// Throws std::logic_error when the number of cells differs from the headings.
  void add(std::vector<std::string> cells);
  /// Every line indented by two blanks and ended by a newline; heading first when it has text.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<char> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tidemark
