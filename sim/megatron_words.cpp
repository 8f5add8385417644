#include "sim/megatron_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "sim/document.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_text = 4096;  // of one word after substitution

struct Word {
  std::string text;
  std::int64_t line = 0;
};

bool is_name(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Words of a shell script; quotes are taken off, parentheses of arrays dropped.
std::vector<Word> words_of(const std::string& text) {
  std::vector<Word> words;
  std::string word;
  bool open = false;  // a word has begun, perhaps an empty one in quotes
  char quote = 0;
  std::int64_t line = 1;
  int arithmetic = 0;  // open parentheses of $((
  const auto close = [&] {
    if (open) words.push_back({word.substr(0, k_most_text), line});
    word.clear();
    open = false;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (c == '\\' && (next == '\n' || next == '\r')) {
      close();
      i += next == '\r' && i + 2 < text.size() && text[i + 2] == '\n' ? 2 : 1;
      ++line;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      open = true;
    } else if (quote == 0 && arithmetic == 0 && c == '#' && !open) {
      while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
    } else if (c == '$' && text.compare(i, 3, "$((") == 0) {
      word += "$((";
      open = true;
      arithmetic = 2;
      i += 2;
    } else if (arithmetic > 0) {
      arithmetic += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c != ' ') word += c;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      // "--a 1 --b 2" in quotes is how scripts keep lists of arguments.
      close();
    } else if (quote == 0 && (c == '(' || c == ')' || c == ';')) {
      close();
    } else {
      word += c;
      open = true;
    }
    if (c == '\n') ++line;
  }
  close();
  return words;
}

/// NAME=value, the variables of a script.
class Variables {
 public:
  /// Whether `word` is an assignment; then it is kept.
  bool assign(const std::string& word) {
    std::size_t at = 0;
    while (at < word.size() && is_name(word[at])) ++at;
    const bool append = at < word.size() && word[at] == '+';
    const std::size_t equals = at + (append ? 1 : 0);
    if (at == 0 || equals >= word.size() || word[equals] != '=') return false;
    values_[word.substr(0, at)] = substituted(word.substr(equals + 1));
    return true;
  }

  /// With every known $NAME, ${NAME}, ${NAME:-default} and product replaced.
  [[nodiscard]] std::string substituted(const std::string& word) const {
    std::string out;
    for (std::size_t i = 0; i < word.size() && out.size() < k_most_text; ++i) {
      if (word.compare(i, 3, "$((") == 0) {
        const std::size_t end = std::min(word.find("))", i), word.size());
        out += product(word.substr(i + 3, end - i - 3));
        i = end + 1;
      } else if (word[i] == '$' && i + 1 < word.size()) {
        out += variable(word, i);
      } else {
        out += word[i];
      }
    }
    return out.substr(0, k_most_text);
  }

 private:
  /// The value of the variable at `i`, which moves to its last character.
  std::string variable(const std::string& word, std::size_t& i) const {
    const bool braces = word[i + 1] == '{';
    const std::size_t begin = i + (braces ? 2 : 1);
    std::size_t end = begin;
    while (end < word.size() && is_name(word[end])) ++end;
    const auto known = values_.find(word.substr(begin, end - begin));
    std::string otherwise;
    if (braces) {
      const std::size_t closing = std::min(word.find('}', end), word.size());
      const std::string rest = word.substr(end, closing - end);
      if (rest.starts_with(":-")) otherwise = rest.substr(2);
      end = std::min(closing + 1, word.size());
    }
    const std::string whole = word.substr(i, end - i);
    i = std::max(end, i + 1) - 1;
    if (known != values_.end()) return known->second;
    return otherwise.empty() ? whole : otherwise;
  }

  /// "8 * $NNODES"; what is no product of integers stays as it is.
  [[nodiscard]] std::string product(const std::string& text) const {
    std::int64_t value = 1;
    std::size_t begin = 0;
    while (begin <= text.size()) {
      const std::size_t end = std::min(text.find('*', begin), text.size());
      std::string factor = text.substr(begin, end - begin);
      if (const auto at = values_.find(factor); at != values_.end()) factor = at->second;
      if (factor.starts_with('$') && !factor.starts_with("$((")) factor = substituted(factor);
      std::int64_t number = 0;
      const char* last = factor.data() + factor.size();
      const auto read = std::from_chars(factor.data(), last, number);
      if (factor.empty() || read.ec != std::errc{} || read.ptr != last ||
          __builtin_mul_overflow(value, number, &value)) {
        return "$((" + text + "))";
      }
      begin = end + 1;
    }
    return std::to_string(value);
  }

  std::map<std::string, std::string> values_;
};

std::string option_name(std::string name) {
  name.erase(0, name.find_first_not_of('-') == std::string::npos ? name.size()
                                                                 : name.find_first_not_of('-'));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

}  // namespace

MegatronWords::MegatronWords(const std::string& text, const std::string& file) : file_(file) {
  if (file.ends_with(".yaml") || file.ends_with(".yml")) {
    read_yaml(text);
  } else {
    read_shell(text);
  }
}

void MegatronWords::add(const std::string& name, Option option) {
  if (name.empty()) return;
  const auto [at, added] = options_.emplace(name, option);
  if (added) {
    order_.push_back(name);
  } else if (at->second.values != option.values) {
    problems_.push_back(fmt::format(
        "{}: line {}: --{}: expected once, found '{}' here and '{}' in line {}", file_, option.line,
        name, fmt::join(option.values, " "), fmt::join(at->second.values, " "), at->second.line));
  }
}

void MegatronWords::read_shell(const std::string& text) {
  Variables variables;
  std::string name;
  Option option;
  for (Word word : words_of(text)) {
    // ARGS="--a 1 --b 2"
    if (const std::size_t at = word.text.find("=--");
        at != std::string::npos && at > 0 &&
        std::all_of(word.text.begin(), word.text.begin() + static_cast<std::ptrdiff_t>(at),
                    is_name)) {
      word.text.erase(0, at + 1);
    }
    if (word.text.starts_with("--") && word.text.size() > 2) {
      add(name, option);
      const std::size_t equals = std::min(word.text.find('='), word.text.size());
      name = option_name(word.text.substr(0, equals));
      option = {.values = {}, .line = word.line};
      if (equals < word.text.size()) {
        option.values.push_back(variables.substituted(word.text.substr(equals + 1)));
      }
    } else if (variables.assign(word.text) || word.text.starts_with("${") ||
               word.text.ends_with(".py")) {
      // An assignment, a list of arguments or the program ends what came before.
      if (word.text.starts_with("${") && !word.text.ends_with("[@]}") && option.values.empty()) {
        option.values.push_back(variables.substituted(word.text));
        continue;
      }
      add(name, option);
      name.clear();
    } else {
      option.values.push_back(variables.substituted(word.text));
    }
  }
  add(name, option);
}

void MegatronWords::read_yaml(const std::string& text) {
  using Json = nlohmann::ordered_json;
  const Document source = yaml_document(text, file_);
  const auto word_of = [](const Json& json) {
    return json.is_string() ? json.get<std::string>()
                            : json.dump(-1, ' ', true, Json::error_handler_t::replace);
  };
  const auto walk = [&](const auto& self, const Json& table, const std::string& path) -> void {
    for (const auto& field : table.items()) {
      const std::string below = path.empty() ? field.key() : path + "." + field.key();
      const Json& value = field.value();
      if (value.is_object()) {
        self(self, value, below);
        continue;
      }
      if (value.is_null() || value == false) continue;
      Option option{.values = {}, .line = source.lines.at(below)};
      for (const Json& item : value.is_array() ? value : Json::array({value})) {
        if (item != true) option.values.push_back(word_of(item).substr(0, k_most_text));
      }
      add(option_name(field.key()), option);
    }
  };
  if (source.root.is_object()) walk(walk, source.root, "");
}

bool MegatronWords::has(const std::string& name) const {
  return options_.contains(name);
}

std::string MegatronWords::place(const std::string& name) const {
  const auto at = options_.find(name);
  return at == options_.end() ? fmt::format("{}: --{}", file_, name)
                              : fmt::format("{}: line {}: --{}", file_, at->second.line, name);
}

void MegatronWords::expected(const std::string& name, const std::string& what) {
  const auto at = options_.find(name);
  std::string found = "nothing";
  if (at != options_.end()) {
    found = at->second.values.empty()
                ? "it"
                : fmt::format("'{:.40}'", fmt::format("{}", fmt::join(at->second.values, " ")));
  }
  problems_.push_back(fmt::format("{}: expected {}, found {}", place(name), what, found));
}

const MegatronWords::Option* MegatronWords::take(const std::string& name) {
  read_.insert(name);
  const auto at = options_.find(name);
  return at == options_.end() ? nullptr : &at->second;
}

bool MegatronWords::flag(const std::string& name) {
  const Option* option = take(name);
  if (option == nullptr) return false;
  if (option->values.empty()) return true;
  std::string word = option->values[0];
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  // A word after a flag is the next argument of the script, unless it says no.
  return word != "false" && word != "0";
}

std::string MegatronWords::text_or(const std::string& name, const std::string& otherwise) {
  const Option* option = take(name);
  if (option == nullptr) return otherwise;
  if (!option->values.empty()) return option->values[0];
  expected(name, "a value");
  return otherwise;
}

std::vector<std::string> MegatronWords::list(const std::string& name) {
  const Option* option = take(name);
  return option == nullptr ? std::vector<std::string>{} : option->values;
}

std::int64_t MegatronWords::integer(const std::string& name) {
  if (!has(name)) expected(name, "an integer");
  return integer_or(name, 0);
}

std::int64_t MegatronWords::integer_or(const std::string& name, std::int64_t otherwise) {
  const Option* option = take(name);
  if (option == nullptr) return otherwise;
  std::int64_t value = 0;
  const std::string word = option->values.empty() ? "" : option->values[0];
  const char* last = word.data() + word.size();
  const auto read = std::from_chars(word.data(), last, value);
  if (!word.empty() && read.ec == std::errc{} && read.ptr == last) return value;
  expected(name, "an integer");
  return otherwise;
}

double MegatronWords::real_or(const std::string& name, double otherwise) {
  const Option* option = take(name);
  if (option == nullptr) return otherwise;
  double value = 0;
  const std::string word = option->values.empty() ? "" : option->values[0];
  const char* last = word.data() + word.size();
  const auto read = std::from_chars(word.data(), last, value);
  if (!word.empty() && read.ec == std::errc{} && read.ptr == last && std::isfinite(value)) {
    return value;
  }
  expected(name, "a number");
  return otherwise;
}

void MegatronWords::pass(std::initializer_list<const char*> names) {
  for (const char* name : names) read_.insert(name);
}

std::vector<std::string> MegatronWords::unread() const {
  std::vector<std::string> out;
  for (const std::string& name : order_) {
    if (!read_.contains(name)) out.push_back("--" + name);
  }
  return out;
}

}  // namespace tidemark
