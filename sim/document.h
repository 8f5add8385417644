// A description file as one tree, whatever it is written in: JSON, YAML or TOML.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace tidemark {

struct Document {
  std::string file;  // names the source in errors
  nlohmann::ordered_json root{};
  /// Of YAML and TOML: path of a field ("devices[1].memory") -> its line, from 1.
  std::map<std::string, std::int64_t> lines{};

  /// "spec.yaml: line 7: devices[1].memory"; without the line where it is not known.
  [[nodiscard]] std::string place(const std::string& path) const;
};

/// All three throw InputError for text that is not of the format, for a field that is given twice
/// in one table, and beyond 64 levels or 100,000 values (aliases of YAML counted as what they
/// stand for).
[[nodiscard]] Document json_document(const std::string& text, const std::string& file);
/// Plain scalars by the core schema of YAML 1.2 (null, booleans, numbers); quoted ones are text.
[[nodiscard]] Document yaml_document(const std::string& text, const std::string& file);
/// Dates and times become text.
[[nodiscard]] Document toml_document(const std::string& text, const std::string& file);

/// By the ending of `file`: .yaml and .yml, .toml, else JSON.
[[nodiscard]] Document document(const std::string& text, const std::string& file);

}  // namespace tidemark
