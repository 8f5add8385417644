#include <Cbc_C_Interface.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include "sim/milp.h"

namespace tidemark {
namespace {

struct Free {
  void operator()(Cbc_Model* model) const { Cbc_deleteModel(model); }
};
using Model = std::unique_ptr<Cbc_Model, Free>;

/// The rows as CBC wants them: by column.
void load(Cbc_Model* model, const Milp& problem) {
  std::vector<CoinBigIndex> starts(problem.columns.size() + 1, 0);
  for (const Milp::Row& row : problem.rows) {
    for (const auto& entry : row.entries) ++starts[static_cast<std::size_t>(entry.first) + 1];
  }
  for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  std::vector<int> indices(static_cast<std::size_t>(starts.back()));
  std::vector<double> factors(indices.size());
  std::vector<CoinBigIndex> next = starts;
  std::vector<double> lower;
  std::vector<double> upper;
  for (std::size_t r = 0; r < problem.rows.size(); ++r) {
    for (const auto& [column, factor] : problem.rows[r].entries) {
      const auto slot = static_cast<std::size_t>(next[static_cast<std::size_t>(column)]++);
      indices[slot] = static_cast<int>(r);
      factors[slot] = factor;
    }
    lower.push_back(problem.rows[r].at_least);
    upper.push_back(problem.rows[r].at_most);
  }
  std::vector<double> costs;
  std::vector<double> least(problem.columns.size(), 0);
  std::vector<double> most;
  for (const Milp::Column& column : problem.columns) {
    costs.push_back(column.cost);
    most.push_back(column.upper);
  }
  Cbc_loadProblem(model, static_cast<int>(costs.size()), static_cast<int>(lower.size()),
                  starts.data(), indices.data(), factors.data(), least.data(), most.data(),
                  costs.data(), lower.data(), upper.data());
  for (std::size_t i = 0; i < problem.columns.size(); ++i) {
    if (problem.columns[i].integer) Cbc_setInteger(model, static_cast<int>(i));
  }
}

void read_solved(Cbc_Model* model, const MilpLimits& limits, MilpAnswer& answer) {
  const bool impossible = Cbc_isProvenInfeasible(model) != 0;
  answer.finished = impossible || Cbc_isProvenOptimal(model) != 0;
  answer.infeasible = impossible;
  answer.bound = impossible ? limits.cutoff : Cbc_getBestPossibleObjValue(model);
  const double* best = Cbc_bestSolution(model);
  if (best == nullptr || impossible) return;
  answer.columns.assign(best, best + Cbc_getNumCols(model));
}

/// Without integer columns CBC stops after its first linear program.
void read_relaxed(Cbc_Model* model, MilpAnswer& answer) {
  answer.infeasible = Cbc_isInitialSolveProvenPrimalInfeasible(model) != 0;
  answer.finished = answer.infeasible || Cbc_isInitialSolveProvenOptimal(model) != 0;
  if (answer.infeasible || !answer.finished) return;
  answer.bound = Cbc_getObjValue(model);
  const int count = Cbc_getNumCols(model);
  const double* columns = Cbc_getColSolution(model);
  const double* reduced = Cbc_getReducedCost(model);
  answer.columns.assign(columns, columns + count);
  answer.reduced_costs.assign(reduced, reduced + count);
}

}  // namespace

bool milp_available() {
  return true;
}

MilpAnswer solve(const Milp& problem, const MilpLimits& limits) {
  static std::mutex one_at_a_time;  // CBC's driver keeps state between calls
  const std::lock_guard lock(one_at_a_time);
  MilpAnswer answer;
  answer.ran = true;
  const double left_s = limits.timer != nullptr ? limits.timer->left_s() : Milp::k_infinity;
  if (problem.columns.empty() || left_s <= 0) return answer;
  const Model model(Cbc_newModel());
  load(model.get(), problem);
  Cbc_setLogLevel(model.get(), 0);
  Cbc_setParameter(model.get(), "logLevel", "0");
  Cbc_setParameter(model.get(), "slogLevel", "0");
  if (left_s < Milp::k_infinity) {
    Cbc_setMaximumSeconds(model.get(), left_s);
    if (!limits.timer->is_cpu_time()) Cbc_setParameter(model.get(), "timeMode", "elapsed");
  }
  if (limits.nodes > 0) {
    const auto nodes = std::min<std::int64_t>(limits.nodes, 1 << 30);
    Cbc_setMaximumNodes(model.get(), static_cast<int>(nodes));
  }
  Cbc_setAllowableFractionGap(model.get(), 0);
  Cbc_setAllowableGap(model.get(), 0);
  if (limits.cutoff < Milp::k_infinity) Cbc_setCutoff(model.get(), limits.cutoff);
  Cbc_solve(model.get());
  const bool relaxed = std::none_of(problem.columns.begin(), problem.columns.end(),
                                    [](const Milp::Column& column) { return column.integer; });
  relaxed ? read_relaxed(model.get(), answer) : read_solved(model.get(), limits, answer);
  return answer;
}

}  // namespace tidemark
