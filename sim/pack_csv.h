// Packing problems in the CSV format of minimalloc (github.com/google/minimalloc, README).
#pragma once

#include <string>
#include <vector>

#include "sim/pack.h"

namespace tidemark {

/// A problem with the names of its blocks, one per block.
struct NamedProblem {
  std::vector<std::string> names;
  PackProblem blocks;
  bool operator==(const NamedProblem&) const = default;
};

/// Reads `id,lower,upper,size` and optionally `alignment`, in any order of columns; the first line
/// names them. Lifetimes are [lower,upper). Empty cells of `hint`, `gaps` and `offset` are
/// accepted, others are refused: fixed places, wishes and holes in a lifetime are not supported.
/// The bytes of all blocks together must stay below 2^62. Throws InputError that names `file`, line
/// and column.
[[nodiscard]] NamedProblem pack_problem_from_csv(const std::string& text, const std::string& file);

/// The same columns with `offset`, one row per block.
[[nodiscard]] std::string packing_to_csv(const NamedProblem& problem, const Packing& packing);

/// The capacity in a file name as in "A.1048576.csv.gz" (also with a folder); 0 when there is none.
[[nodiscard]] std::int64_t capacity_in_name(const std::string& path);

}  // namespace tidemark
