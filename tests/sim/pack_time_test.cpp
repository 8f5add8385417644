// Best fit in the order of time: legal on any problem, and as low as the bound on steps whose sizes
// come again.
#include <random>

#include "sim/pack.h"
#include "tests/catch.h"
#include "tests/sim/pack_validator.h"

using namespace tidemark;

namespace {

PackProblem random_problem(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&random](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
  PackProblem problem;
  for (std::int64_t i = 1 + below(60); i > 0; --i) {
    const std::int64_t begin = below(40);
    problem.push_back({.size_bytes = 256 * below(20),
                       .begin = begin,
                       .end = begin + below(20),
                       .alignment_bytes = std::int64_t{256} << below(4)});
  }
  return problem;
}

/// `layers` values that are made one after the other and freed the other way round; every third is
/// away between, as if on the host, and comes back just before its use.
PackProblem step_of(std::int64_t layers) {
  PackProblem problem;
  const std::int64_t end = 4 * layers;
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::int64_t size = 4096 * (1 + i % 2);
    if (i % 3 != 0) {
      problem.push_back({.size_bytes = size, .begin = 2 * i, .end = end - 2 * i});
      continue;
    }
    problem.push_back({.size_bytes = size, .begin = 2 * i, .end = 2 * i + 8});
    problem.push_back({.size_bytes = size, .begin = end - 2 * i - 8, .end = end - 2 * i});
  }
  return problem;
}

}  // namespace

TEST_CASE("pack by time: legal whatever the problem, with its alignments") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const PackProblem problem = random_problem(seed);
    const Packing packing = pack_by_time(problem);
    INFO("seed " << seed);
    CHECK(test::packing_is_valid(problem, packing));
    CHECK(packing.height_bytes >= pack_bound(problem));
    CHECK(packing == pack_by_time(problem));
  }
  CHECK(pack_by_time({}) == Packing{});
}

TEST_CASE("pack by time: holes of what left are filled by what comes") {
  for (const std::int64_t layers : {12, 90, 600}) {
    const PackProblem problem = step_of(layers);
    const Packing packing = pack_by_time(problem);
    CHECK(test::packing_is_valid(problem, packing));
    CHECK(static_cast<double>(packing.height_bytes) <=
          1.02 * static_cast<double>(pack_bound(problem)));
  }
}
