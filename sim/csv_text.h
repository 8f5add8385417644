// Text inside a CSV file.
#pragma once

#include <string>

namespace tidemark {

/// A field: quoted where it has to be (RFC 4180, section 2).
[[nodiscard]] inline std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace tidemark
