#include <Cbc_C_Interface.h>

#include <algorithm>
#include <memory>

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

}  // namespace

bool milp_available() {
  return true;
}

MilpAnswer solve(const Milp& problem, const MilpLimits& limits) {
  MilpAnswer answer;
  answer.ran = true;
  if (problem.columns.empty()) return answer;
  const Model model(Cbc_newModel());
  load(model.get(), problem);
  Cbc_setLogLevel(model.get(), 0);
  Cbc_setParameter(model.get(), "logLevel", "0");
  Cbc_setParameter(model.get(), "slogLevel", "0");
  if (limits.seconds > 0) Cbc_setMaximumSeconds(model.get(), limits.seconds);
  if (limits.nodes > 0) {
    const auto nodes = std::min<std::int64_t>(limits.nodes, 1 << 30);
    Cbc_setMaximumNodes(model.get(), static_cast<int>(nodes));
  }
  Cbc_setAllowableFractionGap(model.get(), 0);
  Cbc_setAllowableGap(model.get(), 0);
  if (limits.cutoff < Milp::k_infinity) Cbc_setCutoff(model.get(), limits.cutoff);
  Cbc_solve(model.get());
  const bool impossible = Cbc_isProvenInfeasible(model.get()) != 0;
  answer.finished = impossible || Cbc_isProvenOptimal(model.get()) != 0;
  answer.infeasible = impossible;
  answer.bound = impossible ? limits.cutoff : Cbc_getBestPossibleObjValue(model.get());
  const double* best = Cbc_bestSolution(model.get());
  if (best != nullptr && !impossible) {
    answer.columns.assign(best, best + problem.columns.size());
  }
  return answer;
}

}  // namespace tidemark
