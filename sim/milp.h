// Mixed-integer linear programs, solved by CBC (Forrest et al.) where it was there when Tidemark
// was built. All callers go on without it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "sim/timer.h"

namespace tidemark {

/// Minimise the sum of cost x column over columns in [0, upper].
struct Milp {
  static constexpr double k_infinity = std::numeric_limits<double>::infinity();
  struct Column {
    double cost = 0;
    double upper = 1;
    bool integer = true;
  };
  struct Row {
    std::vector<std::pair<std::int32_t, double>> entries;  // column, factor
    double at_least = -k_infinity;
    double at_most = k_infinity;
  };
  std::vector<Column> columns;
  std::vector<Row> rows;

  std::int32_t add(const Column& column) {
    columns.push_back(column);
    return static_cast<std::int32_t>(columns.size()) - 1;
  }
};

/// Costs as the solver likes them, around 1, and back again without promising too much.
class CostScale {
 public:
  /// Takes a cost into account that may be a part of the objective.
  void add(std::int64_t cost_ns) {
    scale_ns_ = std::max(scale_ns_, static_cast<double>(cost_ns));
    unit_ns_ = std::gcd(unit_ns_, cost_ns);
  }
  [[nodiscard]] double scaled(std::int64_t cost_ns) const {
    return static_cast<double>(cost_ns) / scale_ns_;
  }
  /// A bound on the objective as a bound on the cost: rounded up to what costs can add up to, but
  /// for the solver's tolerance.
  [[nodiscard]] std::int64_t cost_ns(double objective) const {
    const double slack = 1e-7 * std::max(1.0, objective) * scale_ns_;
    return static_cast<std::int64_t>(std::ceil((objective * scale_ns_ - slack) / unit_ns() - 1e-9) *
                                     unit_ns());
  }
  /// Objective from which on a solution costs `cost_ns` or more.
  [[nodiscard]] double cutoff(std::int64_t cost_ns) const {
    return (static_cast<double>(cost_ns) - 0.5 * unit_ns()) / scale_ns_;
  }

 private:
  [[nodiscard]] double unit_ns() const {
    return static_cast<double>(std::max<std::int64_t>(unit_ns_, 1));
  }
  double scale_ns_ = 1;
  std::int64_t unit_ns_ = 0;  // all costs are multiples of it
};

struct MilpLimits {
  const Timer* timer = nullptr;  // the solver ends with it; null = no limit
  std::int64_t nodes = 0;  // of the solver's tree; 0 = none. The answer is a function of these.
  double cutoff = Milp::k_infinity;  // solutions from here on are of no interest
};

struct MilpAnswer {
  bool ran = false;                     // false: no solver
  bool finished = false;                // the tree was searched to its end
  bool infeasible = false;              // finished, and nothing below the cutoff exists
  double bound = -Milp::k_infinity;     // no solution has less, as far as below the cutoff
  std::vector<double> columns{};        // the best solution; empty = none was found
  std::vector<double> reduced_costs{};  // of a problem without integer columns, when finished
};

[[nodiscard]] bool milp_available();
[[nodiscard]] MilpAnswer solve(const Milp& problem, const MilpLimits& limits);

}  // namespace tidemark
