// The arguments of Megatron-LM in a shell script, a file of arguments, or YAML: options by name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace tidemark {

/// Shell is read word by word: comments, quotes, continued lines, and NAME=value with its $NAME and
/// ${NAME} are understood, and products of integers in $((...)). Every word that begins with "--"
/// is an option, wherever it stands; what follows, up to the next one, is its value. Names have
/// dashes; `--a_b` is `--a-b`.
class MegatronWords {
 public:
  /// YAML by the ending of `file`; its names may stand in tables, with or without dashes before.
  MegatronWords(const std::string& text, const std::string& file);

  [[nodiscard]] bool has(const std::string& name) const;
  /// Without a value, or with "true".
  bool flag(const std::string& name);
  std::string text_or(const std::string& name, const std::string& otherwise);
  std::vector<std::string> list(const std::string& name);
  std::int64_t integer(const std::string& name);  // a problem when it is absent
  std::int64_t integer_or(const std::string& name, std::int64_t otherwise);
  double real_or(const std::string& name, double otherwise);

  /// Adds "FILE: line N: --NAME: expected ..., found ...".
  void expected(const std::string& name, const std::string& what);
  void pass(std::initializer_list<const char*> names);
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  /// Options that were not asked for, in the order of the file.
  [[nodiscard]] std::vector<std::string> unread() const;

 private:
  struct Option {
    std::vector<std::string> values;
    std::int64_t line = 0;
  };
  void read_shell(const std::string& text);
  void read_yaml(const std::string& text);
  void add(const std::string& name, Option option);
  [[nodiscard]] std::string place(const std::string& name) const;
  const Option* take(const std::string& name);

  std::string file_;
  std::map<std::string, Option> options_;
  std::vector<std::string> order_;
  std::set<std::string> read_;
  std::vector<std::string> problems_;
};

}  // namespace tidemark
