// One table of a Document: fields by name and type. It collects all that is wrong, and remembers
// what was asked for, so that what nobody asked for can be listed.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/document.h"
#include "traces/enums.h"

namespace tidemark {

class Section {
 public:
  using Json = nlohmann::ordered_json;

  /// The whole of `document`; both must outlive the section. A line for each thing that is wrong
  /// is appended to `problems`, the root being no table among them.
  Section(const Document& document, std::vector<std::string>& problems);

  /// Present and not null.
  [[nodiscard]] bool has(const std::string& name) const { return find(name) != nullptr; }
  /// Marks the field as read; nullptr when it is absent or null.
  const Json* take(const std::string& name);

  /// A problem, and 0, when there is none of the names (the first is named).
  std::int64_t integer(std::initializer_list<const char*> names);
  std::int64_t integer(const char* name) { return integer({name}); }
  std::int64_t integer_or(std::initializer_list<const char*> names, std::int64_t otherwise);
  std::int64_t integer_or(const char* name, std::int64_t otherwise) {
    return integer_or({name}, otherwise);
  }
  double real_or(const char* name, double otherwise);  // finite
  bool flag_or(const char* name, bool otherwise);
  std::string text_or(const char* name, const std::string& otherwise);
  std::string text(const char* name);
  /// One of the names of an enumeration.
  template <class Enum>
  Enum one_of(const char* name, Enum otherwise) {
    const std::string word = text_or(name, std::string(to_string(otherwise)));
    if (const auto found = parse_enum<Enum>(word)) return *found;
    expected(name, fmt::format("one of {}", fmt::join(EnumNames<Enum>::k_names, ", ")));
    return otherwise;
  }

  /// A table within; empty when absent, and then nothing is in it.
  [[nodiscard]] Section section(const std::string& name);
  /// The tables of a list; none when absent.
  [[nodiscard]] std::vector<Section> sections(const std::string& name);
  /// As sections(), for a list that may have other things than tables, which are passed over.
  [[nodiscard]] std::vector<Section> tables(const std::string& name);
  /// Marks fields as read that are known and change nothing here.
  void pass(std::initializer_list<const char*> names);
  /// Marks the whole table as read.
  void pass_all();

  /// Adds the line "FILE: line N: FIELD: expected ..., found ...".
  void expected(const std::string& name, const std::string& what);
  /// Paths of all fields that were not asked for, in the order of the file.
  [[nodiscard]] std::vector<std::string> unread() const;
  /// "FILE: line N: FIELD"
  [[nodiscard]] std::string place(const std::string& name) const;
  [[nodiscard]] const Json& json() const { return *table_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Section(const Section& parent, const Json* table, std::string path);
  [[nodiscard]] const Json* find(const std::string& name) const;
  [[nodiscard]] std::string path_of(const std::string& name) const;
  std::int64_t integer_of(const char* name, const Json& json);
  void list_unread(const Json& json, const std::string& path, std::vector<std::string>& out) const;

  const Document* document_;
  std::vector<std::string>* problems_;
  const Json* table_;
  std::string path_;
  std::shared_ptr<std::set<std::string>> read_;  // paths; shared by all sections of the document
};

/// Throws InputError with all lines, if there are any.
void require_none(const std::vector<std::string>& problems);

}  // namespace tidemark
