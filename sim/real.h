// Counts in formulas of real numbers.
#pragma once

#include <cstdint>

namespace tidemark {

/// Exact up to 2^53.
[[nodiscard]] inline double real(std::int64_t n) {
  return static_cast<double>(n);
}

}  // namespace tidemark
