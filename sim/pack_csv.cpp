#include "sim/pack_csv.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_most_bytes = std::int64_t{1} << 62;

enum Column : std::size_t { id, lower, upper, size, alignment, hint, gaps, offset, k_columns };
constexpr std::array<std::string_view, k_columns> k_names{"id",        "lower", "upper", "size",
                                                          "alignment", "hint",  "gaps",  "offset"};

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  while (true) {
    const std::size_t comma = line.find(',');
    std::string_view cell = line.substr(0, comma);
    while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
    while (!cell.empty() && (cell.back() == ' ' || cell.back() == '\r')) cell.remove_suffix(1);
    cells.push_back(cell);
    if (comma == std::string_view::npos) return cells;
    line.remove_prefix(comma + 1);
  }
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  NamedProblem read(std::string_view text) {
    NamedProblem problem;
    bool has_header = false;
    for (line_ = 1; !text.empty(); ++line_) {
      const std::size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.empty() || line == "\r") continue;
      const std::vector<std::string_view> cells = cells_of(line);
      if (has_header) {
        add(problem, cells);
      } else {
        read_header(cells);
      }
      has_header = true;
    }
    if (!has_header) throw error("", "a first line with id,lower,upper,size", "nothing");
    return problem;
  }

 private:
  [[nodiscard]] InputError error(std::string_view column, std::string expected,
                                 std::string found) const {
    std::string place = fmt::format("line {}", line_);
    if (!column.empty()) place += fmt::format(", column {}", column);
    return InputError(InputError::Parts{.file = file_,
                                        .place = std::move(place),
                                        .expected = std::move(expected),
                                        .found = std::move(found)});
  }

  void read_header(const std::vector<std::string_view>& cells) {
    columns_ = cells.size();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      std::size_t column = 0;
      while (column < k_columns && k_names[column] != cells[i]) ++column;
      if (column == k_columns) {
        throw error("", "a column of " + fmt::format("{}", fmt::join(k_names, ", ")),
                    fmt::format("'{}'", cells[i]));
      }
      if (at_[column]) throw error(cells[i], "each column once", "it twice");
      at_[column] = i;
    }
    for (const Column needed : {id, lower, upper, size}) {
      if (!at_[needed]) {
        throw error("", fmt::format("a column '{}'", k_names[needed]), "no such column");
      }
    }
  }

  [[nodiscard]] std::int64_t number(const std::vector<std::string_view>& cells, Column column,
                                    std::int64_t least) const {
    const std::string_view cell = cells[*at_[column]];
    std::int64_t value = 0;
    const auto [end, fault] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (fault != std::errc{} || end != cell.data() + cell.size() || value < least ||
        value >= k_most_bytes) {
      throw error(k_names[column], fmt::format("a whole number from {} to below 2^62", least),
                  fmt::format("'{}'", cell));
    }
    return value;
  }

  void add(NamedProblem& problem, const std::vector<std::string_view>& cells) {
    if (cells.size() != columns_) {
      throw error("", fmt::format("{} cells", columns_), std::to_string(cells.size()));
    }
    for (const Column column : {hint, gaps, offset}) {
      if (!at_[column] || cells[*at_[column]].empty() || cells[*at_[column]] == "-1") continue;
      throw error(k_names[column],
                  "an empty cell (hints, gaps and fixed offsets are not supported)",
                  fmt::format("'{}'", cells[*at_[column]]));
    }
    PackBlock block{.size_bytes = number(cells, size, 0),
                    .begin = number(cells, lower, -k_most_bytes),
                    .end = number(cells, upper, -k_most_bytes)};
    if (block.end < block.begin) {
      throw error("upper", fmt::format("at least lower ({})", block.begin),
                  std::to_string(block.end));
    }
    if (at_[alignment] && !cells[*at_[alignment]].empty()) {
      block.alignment_bytes = number(cells, alignment, 1);
    }
    // One on the other, each at its alignment, is the highest that a packing can be.
    const std::int64_t room = k_most_bytes - total_bytes_;
    if (block.size_bytes >= room || block.alignment_bytes >= room - block.size_bytes) {
      throw error("size", "all blocks together below 2^62 bytes", "more");
    }
    total_bytes_ += block.size_bytes + block.alignment_bytes - 1;
    problem.names.emplace_back(cells[*at_[id]]);
    problem.blocks.push_back(block);
  }

  std::string file_;
  std::int64_t line_ = 1;
  std::size_t columns_ = 0;
  std::int64_t total_bytes_ = 0;
  std::array<std::optional<std::size_t>, k_columns> at_;
};

}  // namespace

NamedProblem pack_problem_from_csv(const std::string& text, const std::string& file) {
  return Reader(file).read(text);
}

std::string packing_to_csv(const NamedProblem& problem, const Packing& packing) {
  std::string out = "id,lower,upper,size,alignment,offset\n";
  for (std::size_t i = 0; i < problem.blocks.size(); ++i) {
    const PackBlock& b = problem.blocks[i];
    out += fmt::format("{},{},{},{},{},{}\n", problem.names[i], b.begin, b.end, b.size_bytes,
                       b.alignment_bytes, packing.offset_bytes[i]);
  }
  return out;
}

std::int64_t capacity_in_name(const std::string& path) {
  std::string_view name = path;
  if (const std::size_t slash = name.rfind('/'); slash != std::string_view::npos) {
    name.remove_prefix(slash + 1);
  }
  const std::size_t end = name.rfind(".csv");
  if (end == std::string_view::npos || end == 0) return 0;
  const std::size_t dot = name.rfind('.', end - 1);
  if (dot == std::string_view::npos) return 0;
  std::int64_t value = 0;
  const auto [stop, fault] = std::from_chars(name.data() + dot + 1, name.data() + end, value);
  return fault == std::errc{} && stop == name.data() + end && value > 0 ? value : 0;
}

}  // namespace tidemark
