#include "traces/text.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "traces/columns.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

// ---- to JSON

template <RowType Row>
Json row_json(const Row& row);

template <class T>
Json value_json(const T& value) {
  if constexpr (RowType<T>) {
    return row_json(value);
  } else if constexpr (NamedEnum<T>) {
    return to_string(value);
  } else if constexpr (requires { value.value; }) {
    return value.value;
  } else if constexpr (column_type<T>() == ColumnType::list) {
    Json list = Json::array();
    for (const auto& item : value) list.push_back(value_json(item));
    return list;
  } else if constexpr (std::is_same_v<T, double>) {
    // JSON has no such numbers, but a loss may become one.
    if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    return value;
  } else {
    return value;
  }
}

/// As ==, but tells -0.0 from 0.0: a loss is kept bit by bit.
template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, double>) return a == b && std::signbit(a) == std::signbit(b);
  return a == b;
}

/// An instruction reads as "alloc 3", "free 3" or "run 5".
Json instruction_json(const Instruction& line) {
  return fmt::format("{} {}", to_string(line.kind), line.index);
}

template <RowType Row>
Json row_json(const Row& row) {
  if constexpr (std::is_same_v<Row, Instruction>) {
    return instruction_json(row);
  } else {
    static const Row k_default{};
    Json j = Json::object();
    Fields<Row>::each([&](const char* name, auto member) {
      if (!same(row.*member, k_default.*member)) j[name] = value_json(row.*member);
    });
    return j;
  }
}

std::string dump(const Json& j) {
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <RowType Row>
std::string table_text(const Row& row) {
  return dump(row_json(row));
}

template <RowType Row>
std::string table_text(const std::vector<Row>& rows) {
  std::string out = "[";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += (i > 0 ? ",\n    " : "\n    ") + dump(row_json(rows[i]));
  }
  return out + (rows.empty() ? "]" : "\n  ]");
}

// ---- from JSON

[[noreturn]] void bad(const std::string& place, const std::string& expected, const Json& found) {
  std::string text = dump(found);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = text});
}

template <RowType Row>
void take_row(const Json& j, const std::string& place, Row& row);

template <class T>
void take_integer(const Json& j, const std::string& place, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!j.is_boolean()) bad(place, "true or false", j);
    value = j.get<bool>();
  } else {
    if (!j.is_number_integer()) bad(place, "an integer", j);
    const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > INT64_MAX;
    if (huge ||
        static_cast<std::int64_t>(static_cast<T>(j.get<std::int64_t>())) != j.get<std::int64_t>()) {
      bad(place, fmt::format("a {}-bit integer", 8 * sizeof(T)), j);
    }
    value = static_cast<T>(j.get<std::int64_t>());
  }
}

template <class T>
void take_value(const Json& j, const std::string& place, T& value) {
  if constexpr (RowType<T>) {
    take_row(j, place, value);
  } else if constexpr (NamedEnum<T>) {
    const auto known = j.is_string() ? parse_enum<T>(j.get<std::string>()) : std::nullopt;
    if (!known) bad(place, fmt::format("one of {}", fmt::join(EnumNames<T>::k_names, ", ")), j);
    value = *known;
  } else if constexpr (requires { value.value; }) {
    take_integer(j, place, value.value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!j.is_string()) bad(place, "a string", j);
    value = j.get<std::string>();
  } else if constexpr (std::is_same_v<T, double>) {
    if (j.is_number()) {
      value = j.get<double>();
    } else if (j == "nan") {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (j == "inf" || j == "-inf") {
      value = (j == "inf" ? 1 : -1) * std::numeric_limits<double>::infinity();
    } else {
      bad(place, "a number", j);
    }
  } else if constexpr (column_type<T>() == ColumnType::list) {
    if (!j.is_array()) bad(place, "an array", j);
    value.resize(j.size());
    for (std::size_t i = 0; i < j.size(); ++i) {
      take_value(j[i], fmt::format("{}[{}]", place, i), value[i]);
    }
  } else {
    take_integer(j, place, value);
  }
}

void take_instruction(const Json& j, const std::string& place, Instruction& line) {
  const std::string text = j.is_string() ? j.get<std::string>() : "";
  const std::size_t space = text.find(' ');
  const auto kind = parse_enum<InstructionKind>(text.substr(0, space));
  const std::string digits = space == std::string::npos ? "" : text.substr(space + 1);
  const bool number = !digits.empty() && digits.size() < 10 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  if (!kind || !number) bad(place, "\"alloc N\", \"free N\" or \"run N\"", j);
  line = {*kind, std::stoi(digits)};
}

template <RowType Row>
void take_row(const Json& j, const std::string& place, Row& row) {
  if constexpr (std::is_same_v<Row, Instruction>) {
    take_instruction(j, place, row);
  } else {
    if (!j.is_object()) bad(place, "an object", j);
    std::size_t taken = 0;
    Fields<Row>::each([&](const char* name, auto member) {
      const auto it = j.find(name);
      if (it == j.end()) return;
      ++taken;
      take_value(*it, place + "." + name, row.*member);
    });
    if (taken == j.size()) return;
    std::string known;
    Fields<Row>::each(
        [&](const char* name, auto) { known += (known.empty() ? "" : ", ") + std::string(name); });
    for (const auto& [key, value] : j.items()) {
      if ((", " + known + ",").find(", " + key + ",") == std::string::npos) {
        bad(place, "only the fields " + known, key);
      }
    }
  }
}

}  // namespace

std::string to_text(const Trace& trace) {
  std::string out = "{\n  \"tidemark\": 1";
  each_table(trace, [&out](const char* name, const auto& table) {
    const std::string text = table_text(table);
    if (text != "[]" && text != "{}") out += fmt::format(",\n  \"{}\": {}", name, text);
  });
  return out + "\n}\n";
}

namespace {

/// Refuses what the parser would accept in silence: keys that come twice, and nesting so deep that
/// printing it would need an endless stack.
class Guard {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    constexpr int k_deepest = 16;
    if (depth > k_deepest) {
      throw InputError(InputError::Parts{
          .place = "document", .expected = "at most 16 levels of nesting", .found = "more"});
    }
    const auto level = static_cast<std::size_t>(depth);
    keys_.resize(std::max(keys_.size(), level + 1));
    if (event == Json::parse_event_t::object_start) keys_.resize(level + 1);
    if (event == Json::parse_event_t::object_end) keys_.resize(level + 1);
    if (event == Json::parse_event_t::key && !keys_[level].insert(parsed).second) {
      bad("document", "every key once", parsed);
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;  // by depth
};

}  // namespace

Trace from_text(const std::string& text) {
  Json j;
  try {
    j = Json::parse(text, Guard());
  } catch (const Json::exception& e) {
    throw InputError(InputError::Parts{.expected = "a trace in JSON", .found = e.what()});
  }
  if (!j.is_object() || !j.contains("tidemark") || j["tidemark"] != 1) {
    bad("document", "a key \"tidemark\" with the format version 1",
        j.is_object() ? j.value("tidemark", Json()) : j);
  }
  Trace trace;
  std::size_t taken = 1;
  each_table(trace, [&](const char* name, auto& table) {
    const auto it = j.find(name);
    if (it == j.end()) return;
    ++taken;
    take_value(*it, name, table);
  });
  if (taken != j.size()) {
    for (const auto& item : j.items()) {
      const std::string& key = item.key();
      bool known = key == "tidemark";
      each_table(trace, [&](const char* name, auto&) { known = known || key == name; });
      if (!known) bad("document", "only the tables of FORMAT.md", key);
    }
  }
  return trace;
}

}  // namespace tidemark
