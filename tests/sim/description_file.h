// The sample descriptions of tests/golden/descriptions.
#pragma once

#include <string>

#include "traces/file.h"

namespace tidemark::test {

inline std::string description_file(const std::string& name) {
  return read_file(TIDEMARK_SOURCE_DIR "/tests/golden/descriptions/" + name);
}

/// `text` with its only occurrence of `from` replaced.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("not in the text: " + from);
  return text.replace(at, from.size(), to);
}

}  // namespace tidemark::test
