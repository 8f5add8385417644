// The one error type for bad input (file, flags). Caught in `main` only: stderr, exit code 2.
#pragma once

#include <stdexcept>
#include <string>

namespace tidemark {

/// Bad input from outside: says which file, where in it, what was expected and what was found.
/// Any part may be empty when it does not apply.
class InputError : public std::runtime_error {
 public:
  struct Parts {
    std::string file{};
    std::string place{};  // "line 3", "byte 1024", "op 12 'block0.ln1'", "--budget"
    std::string expected{};
    std::string found{};
  };

  explicit InputError(Parts parts) : std::runtime_error(text(parts)), parts_(std::move(parts)) {}
  explicit InputError(const std::string& message) : std::runtime_error(message) {}

  [[nodiscard]] const Parts& parts() const { return parts_; }

  /// The same error with the file named, for readers that know only the content.
  [[nodiscard]] InputError in_file(const std::string& file) const {
    Parts named = parts_;
    if (named.expected.empty() && named.found.empty()) return InputError(file + ": " + what());
    named.file = file;
    return InputError(named);
  }

 private:
  static std::string text(const Parts& p) {
    std::string out;
    const auto part = [&out](const std::string& s, const char* before) {
      if (!s.empty()) out += (out.empty() ? "" : before) + s;
    };
    part(p.file, "");
    part(p.place, ": ");
    part(p.expected.empty() ? "" : "expected " + p.expected, ": ");
    part(p.found.empty() ? "" : "found " + p.found, ", ");
    return out;
  }

  Parts parts_;
};

}  // namespace tidemark
