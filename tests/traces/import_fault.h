// What the import of a recording says about bad bytes.
#pragma once

#include <string>

#include "traces/error.h"
#include "traces/import_recording.h"

namespace tidemark::test {

/// The text of the InputError; "" when the bytes are accepted.
inline std::string fault(const std::string& bytes) {
  try {
    (void)import_recording(bytes, "x");
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace tidemark::test
