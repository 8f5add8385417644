// The text form of a plan.
#include "sim/plan.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>
#include <sstream>

#include "sim/decisions.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// Names of one table: -2 marks a name that more than one row has.
class Names {
 public:
  template <class Rows>
  explicit Names(const Rows& rows) : count_(rows.size()) {
    std::int32_t next = 0;
    for (const auto& row : rows) {
      const auto [entry, fresh] = rows_.emplace(row.name, next++);
      if (!fresh) entry->second = k_several;
    }
  }

  [[nodiscard]] std::string print(const std::string& name, std::int32_t row) const {
    const bool plain = !name.empty() && name.find_first_of(" \t\r\n#") == std::string::npos;
    return plain && rows_.at(name) == row ? name : fmt::format("#{}", row);
  }

  /// Row of "name" or "#7"; none when there is no such row, k_several when there are several.
  [[nodiscard]] std::optional<std::int32_t> find(const std::string& word) const {
    if (word.starts_with('#')) return number(word);
    const auto entry = rows_.find(word);
    if (entry == rows_.end()) return std::nullopt;
    return entry->second;
  }

  static constexpr std::int32_t k_several = -2;

 private:
  [[nodiscard]] std::optional<std::int32_t> number(const std::string& word) const {
    std::int32_t row = -1;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data() + 1, end, row);
    const bool good = error == std::errc{} && stop == end && row >= 0;
    if (!good || static_cast<std::size_t>(row) >= count_) return std::nullopt;
    return row;
  }

  std::map<std::string, std::int32_t> rows_;
  std::size_t count_ = 0;
};

/// Words of one line; the comment begins at a '#' that a space follows or that starts the line.
/// "#12" with a digit is a row number.
struct Line {
  std::vector<std::string> words;
  std::string comment;
};

Line split(const std::string& text) {
  Line line;
  std::istringstream in(text);
  std::string word;
  while (in >> word) {
    const bool is_row = word.size() > 1 && word[1] >= '0' && word[1] <= '9';
    if (word.starts_with('#') && (!is_row || line.words.empty())) {
      std::getline(in, line.comment);
      line.comment = word.substr(1) + line.comment;
      break;
    }
    line.words.push_back(word);
  }
  if (line.comment.starts_with(' ')) line.comment.erase(0, 1);
  return line;
}

class Parser {
 public:
  Parser(const Trace& source, const std::string& file)
      : buffers_(source.buffers), ops_(source.ops), file_(file) {}

  void read(int number, const std::string& text) {
    number_ = number;
    const Line line = split(text);
    if (line.words.empty()) return;
    Decision decision;
    decision.reason = line.comment;
    const auto kind = parse_enum<DecisionKind>(line.words[0]);
    if (!kind) fail("'recompute' or 'offload'", line.words[0]);
    decision.kind = *kind;
    if (line.words.size() < 2) fail("a buffer", "the end of the line");
    decision.buffer = BufferId{row(buffers_, "buffer", line.words[1])};
    for (std::size_t i = 2; i < line.words.size(); i += 2) {
      OpId& target = slot(decision, line.words[i]);
      if (i + 1 == line.words.size()) fail("an op", "the end of the line");
      if (target.valid()) fail("'" + line.words[i] + "' once", "it twice");
      target = OpId{row(ops_, "op", line.words[i + 1])};
    }
    if (!decision.until.valid()) fail("until OP", "the end of the line");
    decisions.push_back(decision);
    lines.push_back(number);
  }

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw InputError(InputError::Parts{.file = file_,
                                       .place = fmt::format("line {}", number_),
                                       .expected = expected,
                                       .found = found});
  }

  std::vector<Decision> decisions;
  std::vector<int> lines;  // of each decision

 private:
  OpId& slot(Decision& decision, const std::string& word) const {
    const bool offload = decision.kind == DecisionKind::offload;
    if (word == "until") return decision.until;
    if (offload && word == "release") return decision.release_before;
    if (offload && word == "fetch") return decision.fetch_before;
    fail(offload ? "until, release or fetch" : "until", "'" + word + "'");
  }

  std::size_t row(const Names& names, const char* what, const std::string& word) const {
    const auto found = names.find(word);
    if (!found) fail(fmt::format("the name or #row of a {}", what), "'" + word + "'");
    if (*found == Names::k_several) {
      fail(fmt::format("the #row of one {}", what), fmt::format("several named '{}'", word));
    }
    return static_cast<std::size_t>(*found);
  }

  Names buffers_;
  Names ops_;
  std::string file_;
  int number_ = 0;
};

/// The decisions must be legal together; a fault is reported at the line of its decision.
void require_applicable(const Trace& source, const Parser& parser, const std::string& file) {
  std::vector<Decision> decisions = parser.decisions;
  try {
    static_cast<void>(order_decisions(source, dataflow_of(source), decisions));
  } catch (const InputError& error) {
    InputError::Parts parts = error.parts();
    std::size_t row = 0;
    std::sscanf(parts.place.c_str(), "decision %zu", &row);
    parts.file = file;
    parts.place = fmt::format("line {}", parser.lines[row]);
    throw InputError(parts);
  }
}

}  // namespace

std::string print_plan(const Trace& source, const std::vector<Decision>& decisions) {
  const Names buffers(source.buffers);
  const Names ops(source.ops);
  const auto op = [&](OpId id) { return ops.print(source[id].name, id.value); };
  std::string out;
  for (const Decision& d : decisions) {
    out += fmt::format("{} {} until {}", to_string(d.kind),
                       buffers.print(source[d.buffer].name, d.buffer.value), op(d.until));
    if (d.release_before.valid()) out += " release " + op(d.release_before);
    if (d.fetch_before.valid()) out += " fetch " + op(d.fetch_before);
    out += d.reason.empty() ? "\n" : "  # " + d.reason + "\n";
  }
  return out;
}

std::vector<Decision> parse_plan(const Trace& source, const std::string& text,
                                 const std::string& file) {
  Parser parser(source, file);
  std::istringstream in(text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) parser.read(number, line);
  require_applicable(source, parser, file);
  return parser.decisions;
}

}  // namespace tidemark
