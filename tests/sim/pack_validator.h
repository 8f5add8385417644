// Judges of packings by brute force; they share no code with the packer.
#pragma once

#include <optional>

#include "sim/pack.h"

namespace tidemark::test {

/// Every pair of blocks is compared; alignment, range and height as well.
[[nodiscard]] bool packing_is_valid(const PackProblem& problem, const Packing& packing);

/// Whether any packing of at most `capacity_bytes` exists: tries every offset of every block. Only
/// for a few blocks of a few bytes.
[[nodiscard]] bool any_packing_fits(const PackProblem& problem, std::int64_t capacity_bytes);

}  // namespace tidemark::test
