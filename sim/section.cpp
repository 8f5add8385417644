#include "sim/section.h"

#include <cmath>

#include "traces/error.h"

namespace tidemark {
namespace {

const Section::Json& empty_table() {
  static const Section::Json table = Section::Json::object();
  return table;
}

/// What an error says was found; never more than a few words.
std::string found_text(const Section::Json& json) {
  if (json.is_structured()) return json.is_array() ? "a list" : "a table";
  return json.dump(-1, ' ', true, Section::Json::error_handler_t::replace).substr(0, 40);
}

}  // namespace

Section::Section(const Document& document, std::vector<std::string>& problems)
    : document_(&document),
      problems_(&problems),
      table_(&document.root),
      read_(std::make_shared<std::set<std::string>>()) {
  if (table_->is_object()) return;
  problems.push_back(document.file + ": expected a table of fields, found " + found_text(*table_));
  table_ = &empty_table();
}

Section::Section(const Section& parent, const Json* table, std::string path)
    : document_(parent.document_),
      problems_(parent.problems_),
      table_(table),
      path_(std::move(path)),
      read_(parent.read_) {}

std::string Section::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

std::string Section::place(const std::string& name) const {
  return document_->place(name.empty() ? path_ : path_of(name));
}

const Section::Json* Section::find(const std::string& name) const {
  const auto at = table_->find(name);
  return at == table_->end() || at->is_null() ? nullptr : &*at;
}

const Section::Json* Section::take(const std::string& name) {
  read_->insert(path_of(name));
  return find(name);
}

void Section::expected(const std::string& name, const std::string& what) {
  const Json* json = find(name);
  problems_->push_back(fmt::format("{}: expected {}, found {}", place(name), what,
                                   json == nullptr ? "nothing" : found_text(*json)));
}

std::int64_t Section::integer_of(const char* name, const Json& json) {
  if (json.is_number_integer() &&
      (!json.is_number_unsigned() || json.get<std::uint64_t>() <= INT64_MAX)) {
    return json.get<std::int64_t>();
  }
  expected(name, "an integer");
  return 0;
}

std::int64_t Section::integer(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const Json* json = take(name)) return integer_of(name, *json);
  }
  expected(*names.begin(), "an integer");
  return 0;
}

std::int64_t Section::integer_or(std::initializer_list<const char*> names, std::int64_t otherwise) {
  for (const char* name : names) {
    if (const Json* json = take(name)) return integer_of(name, *json);
  }
  return otherwise;
}

double Section::real_or(const char* name, double otherwise) {
  const Json* json = take(name);
  if (json == nullptr) return otherwise;
  if (json->is_number() && std::isfinite(json->get<double>())) return json->get<double>();
  expected(name, "a number");
  return otherwise;
}

bool Section::flag_or(const char* name, bool otherwise) {
  const Json* json = take(name);
  if (json == nullptr) return otherwise;
  if (json->is_boolean()) return json->get<bool>();
  expected(name, "true or false");
  return otherwise;
}

std::string Section::text_or(const char* name, const std::string& otherwise) {
  const Json* json = take(name);
  if (json == nullptr) return otherwise;
  if (json->is_string()) return json->get<std::string>();
  expected(name, "text");
  return otherwise;
}

std::string Section::text(const char* name) {
  if (!has(name)) expected(name, "text");
  return text_or(name, "");
}

Section Section::section(const std::string& name) {
  const Json* json = take(name);
  if (json != nullptr && !json->is_object()) {
    expected(name, "a table");
    json = nullptr;
  }
  return {*this, json == nullptr ? &empty_table() : json, path_of(name)};
}

std::vector<Section> Section::tables(const std::string& name) {
  std::vector<Section> out;
  const Json* json = take(name);
  for (std::size_t i = 0; json != nullptr && json->is_array() && i < json->size(); ++i) {
    if ((*json)[i].is_object()) {
      out.push_back({*this, &(*json)[i], fmt::format("{}[{}]", path_of(name), i)});
    }
  }
  return out;
}

std::vector<Section> Section::sections(const std::string& name) {
  const Json* json = take(name);
  if (json != nullptr && !json->is_array()) expected(name, "a list");
  for (std::size_t i = 0; json != nullptr && json->is_array() && i < json->size(); ++i) {
    if ((*json)[i].is_object()) continue;
    problems_->push_back(fmt::format("{}: expected a table, found {}",
                                     document_->place(fmt::format("{}[{}]", path_of(name), i)),
                                     found_text((*json)[i])));
  }
  return tables(name);
}

void Section::pass(std::initializer_list<const char*> names) {
  for (const char* name : names) read_->insert(path_of(name));
}

void Section::pass_all() {
  for (const auto& field : table_->items()) {
    read_->insert(path_of(field.key()));
    if (field.value().is_object()) section(field.key()).pass_all();
  }
}

void Section::list_unread(const Json& json, const std::string& path,
                          std::vector<std::string>& out) const {
  for (const auto& field : json.items()) {
    const std::string below = path.empty() ? field.key() : path + "." + field.key();
    const bool read = read_->contains(below);
    if (!read) out.push_back(below);
    if (!read || !field.value().is_structured()) continue;
    if (field.value().is_object()) list_unread(field.value(), below, out);
    if (!field.value().is_array()) continue;
    for (std::size_t i = 0; i < field.value().size(); ++i) {
      const Json& item = field.value()[i];
      if (item.is_object()) list_unread(item, fmt::format("{}[{}]", below, i), out);
    }
  }
}

std::vector<std::string> Section::unread() const {
  std::vector<std::string> out;
  list_unread(*table_, path_, out);
  return out;
}

void require_none(const std::vector<std::string>& problems) {
  if (!problems.empty()) throw InputError(fmt::format("{}", fmt::join(problems, "\n")));
}

}  // namespace tidemark
