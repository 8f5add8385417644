#include "tests/sim/pack_validator.h"

#include <algorithm>

namespace tidemark::test {
namespace {

bool lie_apart(const PackProblem& problem, const std::vector<std::int64_t>& at, std::size_t i,
               std::size_t j) {
  const PackBlock& a = problem[i];
  const PackBlock& b = problem[j];
  const bool by_time = a.end <= b.begin || b.end <= a.begin || a.begin == a.end || b.begin == b.end;
  return by_time || at[i] + a.size_bytes <= at[j] || at[j] + b.size_bytes <= at[i];
}

bool place_rest(const PackProblem& problem, std::vector<std::int64_t>& at, std::int64_t capacity) {
  const std::size_t i = at.size();
  if (i == problem.size()) return true;
  if (problem[i].size_bytes == 0 || problem[i].begin == problem[i].end) {
    at.push_back(capacity);  // in nobody's way
    if (place_rest(problem, at, capacity)) return true;
    at.pop_back();
    return false;
  }
  for (std::int64_t offset = 0; offset + problem[i].size_bytes <= capacity;
       offset += problem[i].alignment_bytes) {
    at.push_back(offset);
    bool apart = true;
    for (std::size_t j = 0; j < i && apart; ++j) apart = lie_apart(problem, at, i, j);
    if (apart && place_rest(problem, at, capacity)) return true;
    at.pop_back();
  }
  return false;
}

}  // namespace

bool packing_is_valid(const PackProblem& problem, const Packing& packing) {
  if (packing.offset_bytes.size() != problem.size()) return false;
  std::int64_t highest = 0;
  for (std::size_t i = 0; i < problem.size(); ++i) {
    const std::int64_t offset = packing.offset_bytes[i];
    if (problem[i].size_bytes == 0 || problem[i].begin == problem[i].end) continue;
    if (offset < 0 || offset % problem[i].alignment_bytes != 0) return false;
    highest = std::max(highest, offset + problem[i].size_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      if (problem[j].size_bytes == 0) continue;
      if (!lie_apart(problem, packing.offset_bytes, i, j)) return false;
    }
  }
  return highest <= packing.height_bytes;
}

bool any_packing_fits(const PackProblem& problem, std::int64_t capacity_bytes) {
  std::vector<std::int64_t> at;
  return place_rest(problem, at, capacity_bytes);
}

}  // namespace tidemark::test
