#include "sim/milp.h"

#include <algorithm>
#include <cmath>

#include "sim/milp_small.h"
#include "sim/random.h"
#include "tests/catch.h"

namespace tidemark {
namespace {

/// The least cost over all values of integer columns in {0, 1}; infinity when no row set allows
/// any.
double least_cost(const Milp& problem) {
  double least = Milp::k_infinity;
  for (std::uint32_t bits = 0; bits < (1U << problem.columns.size()); ++bits) {
    const auto value = [bits](std::size_t column) {
      return (bits >> column & 1U) != 0 ? 1.0 : 0.0;
    };
    bool fits = true;
    for (const Milp::Row& row : problem.rows) {
      double sum = 0;
      for (const auto& [column, factor] : row.entries) {
        sum += factor * value(static_cast<std::size_t>(column));
      }
      fits = fits && sum >= row.at_least - 1e-9 && sum <= row.at_most + 1e-9;
    }
    double cost = 0;
    for (std::size_t i = 0; i < problem.columns.size(); ++i)
      cost += problem.columns[i].cost * value(i);
    if (fits) least = std::min(least, cost);
  }
  return least;
}

Milp random_problem(Random& random) {
  Milp problem;
  const std::int64_t columns = 2 + static_cast<std::int64_t>(random.below(6));
  for (std::int64_t i = 0; i < columns; ++i) {
    problem.add({.cost = 1 + static_cast<double>(random.below(100)) / 7});
  }
  const std::size_t rows = 1 + random.below(6);
  for (std::size_t r = 0; r < rows; ++r) {
    Milp::Row row;
    double sum = 0;
    for (std::int32_t i = 0; i < columns; ++i) {
      const double factor = static_cast<double>(random.below(1000)) / 3;
      if (random.below(4) == 0) continue;
      row.entries.emplace_back(i, factor);
      sum += factor;
    }
    row.at_least = sum * static_cast<double>(random.below(100)) / 110;
    problem.rows.push_back(row);
  }
  return problem;
}

TEST_CASE("milp: covering problems of any number of rows are solved as brute force does") {
  if (!milp_available()) return;
  Random random(7);
  for (int i = 0; i < 3000; ++i) {
    CAPTURE(i);
    const Milp problem = random_problem(random);
    const double least = least_cost(problem);
    for (const MilpAnswer& answer : {solve_small(problem, {}), solve(problem, {})}) {
      REQUIRE(answer.finished);
      CHECK_FALSE(answer.infeasible);
      CHECK(std::abs(answer.bound - least) <= 1e-6 * least);
    }
  }
}

}  // namespace
}  // namespace tidemark
