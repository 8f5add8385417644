#include "sim/document.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <set>
#include <sstream>
#include <vector>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

constexpr int k_most_levels = 64;
constexpr std::int64_t k_most_values = 100'000;

[[noreturn]] void refuse(const std::string& file, std::int64_t line, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.file = file,
                                     .place = line > 0 ? fmt::format("line {}", line) : "",
                                     .expected = expected,
                                     .found = found});
}

std::string path_of(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "." + name;
}

/// Counts what a reader makes, so that no input makes too much.
class Limits {
 public:
  explicit Limits(const std::string& file) : file_(file) {}
  void enter(int level, std::int64_t line) {
    if (level > k_most_levels) {
      refuse(file_, line, fmt::format("at most {} levels", k_most_levels), "more");
    }
    if (++values_ > k_most_values) {
      refuse(file_, line, fmt::format("at most {} values", k_most_values), "more");
    }
  }

 private:
  const std::string& file_;
  std::int64_t values_ = 0;
};

/// A plain scalar: null, boolean, integer, real, or text.
Json scalar_of(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto r = std::from_chars(begin, end, whole); r.ec == std::errc{} && r.ptr == end) {
    return whole;
  }
  double real = 0;
  const bool number = text.find_first_not_of("+-.0123456789eE") == std::string::npos;
  if (const auto r = std::from_chars(begin, end, real);
      number && r.ec == std::errc{} && r.ptr == end) {
    return real;
  }
  return text;
}

class YamlReader {
 public:
  explicit YamlReader(Document& out) : out_(out), limits_(out.file) {}

  Json value(const YAML::Node& node, const std::string& path, int level) {
    const std::int64_t line = node.Mark().line + 1;
    limits_.enter(level, line);
    out_.lines.emplace(path, line);
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return node.Tag() == "!" ? Json(node.Scalar()) : scalar_of(node.Scalar());
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const YAML::Node& item : node) {
          list.push_back(value(item, fmt::format("{}[{}]", path, list.size()), level + 1));
        }
        return list;
      }
      case YAML::NodeType::Map:
        return table(node, path, level);
      default:
        return nullptr;
    }
  }

 private:
  Json table(const YAML::Node& node, const std::string& path, int level) {
    Json out = Json::object();
    for (const auto& field : node) {
      const std::int64_t line = field.first.Mark().line + 1;
      if (!field.first.IsScalar()) {
        refuse(out_.file, line, "the name of a field", "a list or table");
      }
      const std::string& name = field.first.Scalar();
      if (out.contains(name)) refuse(out_.file, line, "each field once", "'" + name + "' again");
      out[name] = value(field.second, path_of(path, name), level + 1);
    }
    return out;
  }

  Document& out_;
  Limits limits_;
};

class TomlReader {
 public:
  explicit TomlReader(Document& out) : out_(out), limits_(out.file) {}

  Json value(const toml::node& node, const std::string& path, int level) {
    const std::int64_t line = node.source().begin.line;
    limits_.enter(level, line);
    out_.lines.emplace(path, line);
    if (const auto* table = node.as_table()) {
      Json out = Json::object();
      for (const auto& [key, field] : *table) {
        const std::string name(key.str());
        out[name] = value(field, path_of(path, name), level + 1);
      }
      return out;
    }
    if (const auto* array = node.as_array()) {
      Json out = Json::array();
      for (const toml::node& item : *array) {
        out.push_back(value(item, fmt::format("{}[{}]", path, out.size()), level + 1));
      }
      return out;
    }
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* whole = node.as_integer()) return whole->get();
    if (const auto* real = node.as_floating_point()) return real->get();
    if (const auto* flag = node.as_boolean()) return flag->get();
    std::ostringstream date;
    node.visit([&date](const auto& n) {
      if constexpr (toml::is_chronological<decltype(n)>) date << n;
    });
    return date.str();
  }

 private:
  Document& out_;
  Limits limits_;
};

}  // namespace

std::string Document::place(const std::string& path) const {
  const auto at = lines.find(path);
  const std::string line = at == lines.end() ? "" : fmt::format("line {}: ", at->second);
  return fmt::format("{}: {}{}", file, line, path);
}

Document json_document(const std::string& text, const std::string& file) {
  std::vector<std::set<std::string>> names;
  std::string twice;
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    if (depth > k_most_levels) too_deep = true;
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      const auto name = parsed.get<std::string>();
      if (!names.back().insert(name).second) twice = name;
    }
    return !too_deep;
  };
  Document out{.file = file};
  try {
    out.root = Json::parse(text, watch);
  } catch (const Json::exception& e) {
    refuse(file, 0, "JSON", std::string(e.what()).substr(0, 160));
  }
  if (too_deep) refuse(file, 0, fmt::format("at most {} levels", k_most_levels), "more");
  if (!twice.empty()) refuse(file, 0, "each field once", "'" + twice + "' again");
  return out;
}

Document yaml_document(const std::string& text, const std::string& file) {
  Document out{.file = file};
  try {
    out.root = YamlReader(out).value(YAML::Load(text), "", 0);
  } catch (const YAML::Exception& e) {
    refuse(file, e.mark.line + 1, "YAML", e.msg.substr(0, 160));
  }
  return out;
}

Document toml_document(const std::string& text, const std::string& file) {
  Document out{.file = file};
  try {
    out.root = TomlReader(out).value(toml::parse(text, file), "", 0);
  } catch (const toml::parse_error& e) {
    refuse(file, e.source().begin.line, "TOML", std::string(e.description()).substr(0, 160));
  }
  return out;
}

Document document(const std::string& text, const std::string& file) {
  const auto ends = [&file](const char* ending) { return file.ends_with(ending); };
  if (ends(".yaml") || ends(".yml")) return yaml_document(text, file);
  if (ends(".toml")) return toml_document(text, file);
  return json_document(text, file);
}

}  // namespace tidemark
