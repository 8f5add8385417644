// A token as the row of a table.
#pragma once

#include <cstdint>
#include <string>

#include "traces/error.h"

namespace tidemark::kernels {

/// tokens[i]; InputError unless it is in [0, vocabulary).
inline std::int64_t token_at(const std::int32_t* tokens, std::int64_t i, std::int64_t vocabulary) {
  const std::int64_t token = tokens[i];
  if (token >= 0 && token < vocabulary) return token;
  throw InputError({.file = {},
                    .place = "token " + std::to_string(i),
                    .expected = "a value in [0, " + std::to_string(vocabulary) + ")",
                    .found = std::to_string(token)});
}

}  // namespace tidemark::kernels
