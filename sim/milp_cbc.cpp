#include <Cbc_C_Interface.h>

#include <dlfcn.h>
#include <CbcHeuristic.hpp>
#include <CbcHeuristicDiveVectorLength.hpp>
#include <CbcModel.hpp>
#include <CglClique.hpp>
#include <CglGomory.hpp>
#include <CglKnapsackCover.hpp>
#include <CglMixedIntegerRounding2.hpp>
#include <OsiClpSolverInterface.hpp>

#include <algorithm>
#include <memory>
#include <mutex>

#include "sim/milp.h"
#include "sim/milp_small.h"

namespace tidemark {
namespace {

struct Free {
  void operator()(Cbc_Model* model) const { Cbc_deleteModel(model); }
};
using Model = std::unique_ptr<Cbc_Model, Free>;

/// The problem as CBC wants it: by column.
struct Columns {
  std::vector<CoinBigIndex> starts;
  std::vector<int> indices;  // of rows
  std::vector<double> factors;
  std::vector<double> lower;  // of rows
  std::vector<double> upper;
  std::vector<double> costs;
  std::vector<double> least;  // of columns
  std::vector<double> most;
};

/// Clp's own checks end the program on problems of less rows (coin-or/Clp, issue 288).
constexpr std::size_t k_fewest_rows = 4;

Columns columns_of(const Milp& problem) {
  Columns c;
  c.starts.assign(problem.columns.size() + 1, 0);
  for (const Milp::Row& row : problem.rows) {
    for (const auto& entry : row.entries) ++c.starts[static_cast<std::size_t>(entry.first) + 1];
  }
  for (std::size_t i = 1; i < c.starts.size(); ++i) c.starts[i] += c.starts[i - 1];
  c.indices.resize(static_cast<std::size_t>(c.starts.back()));
  c.factors.resize(c.indices.size());
  std::vector<CoinBigIndex> next = c.starts;
  for (std::size_t r = 0; r < problem.rows.size(); ++r) {
    for (const auto& [column, factor] : problem.rows[r].entries) {
      const auto slot = static_cast<std::size_t>(next[static_cast<std::size_t>(column)]++);
      c.indices[slot] = static_cast<int>(r);
      c.factors[slot] = factor;
    }
    c.lower.push_back(problem.rows[r].at_least);
    c.upper.push_back(problem.rows[r].at_most);
  }
  c.lower.resize(std::max(c.lower.size(), k_fewest_rows), -Milp::k_infinity);
  c.upper.resize(c.lower.size(), Milp::k_infinity);
  c.least.assign(problem.columns.size(), 0);
  for (const Milp::Column& column : problem.columns) {
    c.costs.push_back(column.cost);
    c.most.push_back(column.upper);
  }
  return c;
}

bool is_relaxed(const Milp& problem) {
  return std::none_of(problem.columns.begin(), problem.columns.end(),
                      [](const Milp::Column& column) { return column.integer; });
}

void load(Cbc_Model* model, const Milp& problem) {
  const Columns c = columns_of(problem);
  Cbc_loadProblem(model, static_cast<int>(c.costs.size()), static_cast<int>(c.lower.size()),
                  c.starts.data(), c.indices.data(), c.factors.data(), c.least.data(),
                  c.most.data(), c.costs.data(), c.lower.data(), c.upper.data());
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

double seconds_left(const MilpLimits& limits) {
  return limits.timer != nullptr ? limits.timer->left_s() : Milp::k_infinity;
}

int node_limit(const MilpLimits& limits) {
  return static_cast<int>(std::min<std::int64_t>(limits.nodes, 1 << 30));
}

/// By CBC's driver: it tries every cut and heuristic there is, but keeps state between calls, so
/// that there is one at a time. Not what probes, nor its preprocessing, which does so too: with
/// Cgl 0.60 of Debian they lose the optimum of one covering problem in 250 (milp_test).
MilpAnswer solve_alone(const Milp& problem, const MilpLimits& limits, double left_s) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  MilpAnswer answer{.ran = true};
  const Model model(Cbc_newModel());
  load(model.get(), problem);
  Cbc_setLogLevel(model.get(), 0);
  Cbc_setParameter(model.get(), "logLevel", "0");
  Cbc_setParameter(model.get(), "slogLevel", "0");
  Cbc_setParameter(model.get(), "preprocess", "off");
  Cbc_setParameter(model.get(), "probingCuts", "off");
  if (left_s < Milp::k_infinity) {
    Cbc_setMaximumSeconds(model.get(), left_s);
    if (!limits.timer->is_cpu_time()) Cbc_setParameter(model.get(), "timeMode", "elapsed");
  }
  if (limits.nodes > 0) Cbc_setMaximumNodes(model.get(), node_limit(limits));
  Cbc_setAllowableFractionGap(model.get(), 0);
  Cbc_setAllowableGap(model.get(), 0);
  if (limits.cutoff < Milp::k_infinity) Cbc_setCutoff(model.get(), limits.cutoff);
  Cbc_solve(model.get());
  is_relaxed(problem) ? read_relaxed(model.get(), answer)
                      : read_solved(model.get(), limits, answer);
  return answer;
}

MilpAnswer answer_of(const OsiClpSolverInterface& solver) {
  MilpAnswer answer{.ran = true};
  answer.infeasible = solver.isProvenPrimalInfeasible();
  answer.finished = answer.infeasible || solver.isProvenOptimal();
  if (answer.infeasible || !answer.finished) return answer;
  answer.bound = solver.getObjValue();
  const int count = solver.getNumCols();
  answer.columns.assign(solver.getColSolution(), solver.getColSolution() + count);
  answer.reduced_costs.assign(solver.getReducedCost(), solver.getReducedCost() + count);
  return answer;
}

MilpAnswer answer_of(const CbcModel& model, const MilpLimits& limits) {
  MilpAnswer answer{.ran = true};
  answer.infeasible = model.isProvenInfeasible();
  answer.finished = answer.infeasible || model.isProvenOptimal();
  answer.bound = answer.infeasible ? limits.cutoff : model.getBestPossibleObjValue();
  const double* best = model.bestSolution();
  if (best != nullptr && !answer.infeasible) {
    answer.columns.assign(best, best + model.getNumCols());
  }
  return answer;
}

/// The cuts and heuristics that matter for knapsack rows; none that probes, see solve_alone().
void add_cuts(CbcModel& model) {
  constexpr int k_while_they_help = -1;
  CglClique clique;
  clique.setStarCliqueReport(false);
  clique.setRowCliqueReport(false);
  CglKnapsackCover cover;
  CglGomory gomory;
  CglMixedIntegerRounding2 rounding;
  model.addCutGenerator(&cover, k_while_they_help, "KnapsackCover");
  model.addCutGenerator(&gomory, k_while_they_help, "Gomory");
  model.addCutGenerator(&clique, k_while_they_help, "Clique");
  model.addCutGenerator(&rounding, k_while_they_help, "MixedIntegerRounding2");
  CbcRounding round(model);
  CbcHeuristicDiveVectorLength dive(model);
  model.addHeuristic(&round);
  model.addHeuristic(&dive);
}

/// CBC factorises matrices of some dozen rows by LAPACK. Where that is OpenBLAS, its threads wait
/// for each other by spinning, which costs more than they share, and stands still on a busy
/// machine.
void use_one_blas_thread() {
  static const bool done = [] {
    void* const found = ::dlsym(RTLD_DEFAULT, "openblas_set_num_threads");
    if (found != nullptr) reinterpret_cast<void (*)(int)>(found)(1);
    return true;
  }();
  static_cast<void>(done);
}

/// By branch and cut from the library, which keeps no state.
MilpAnswer solve_beside(const Milp& problem, const MilpLimits& limits, double left_s) {
  const Columns c = columns_of(problem);
  OsiClpSolverInterface solver;
  solver.messageHandler()->setLogLevel(0);
  solver.loadProblem(static_cast<int>(c.costs.size()), static_cast<int>(c.lower.size()),
                     c.starts.data(), c.indices.data(), c.factors.data(), c.least.data(),
                     c.most.data(), c.costs.data(), c.lower.data(), c.upper.data());
  if (is_relaxed(problem)) {
    solver.initialSolve();
    return answer_of(solver);
  }
  for (std::size_t i = 0; i < problem.columns.size(); ++i) {
    if (problem.columns[i].integer) solver.setInteger(static_cast<int>(i));
  }
  solver.setHintParam(OsiDoReducePrint, true, OsiHintTry);
  CbcModel model(solver);
  model.setLogLevel(0);
  model.solver()->messageHandler()->setLogLevel(0);
  constexpr int k_strong = 5;  // columns tried before a branch; as the driver has it
  model.setNumberStrong(k_strong);
  model.setNumberBeforeTrust(k_strong);
  model.setAllowableGap(0);
  model.setAllowableFractionGap(0);
  if (limits.nodes > 0) model.setMaximumNodes(node_limit(limits));
  if (limits.cutoff < Milp::k_infinity) model.setCutoff(limits.cutoff);
  if (left_s < Milp::k_infinity) {
    model.setMaximumSeconds(left_s);
    model.setUseElapsedTime(!limits.timer->is_cpu_time());
  }
  add_cuts(model);
  model.branchAndBound();
  return answer_of(model, limits);
}

}  // namespace

bool milp_available() {
  return true;
}

MilpAnswer solve(const Milp& problem, const MilpLimits& limits) {
  const double left_s = seconds_left(limits);
  if (problem.columns.empty() || left_s <= 0) return {.ran = true};
  use_one_blas_thread();
  return solve_alone(problem, limits, left_s);
}

MilpAnswer solve_small(const Milp& problem, const MilpLimits& limits) {
  const double left_s = seconds_left(limits);
  if (problem.columns.empty() || left_s <= 0) return {.ran = true};
  use_one_blas_thread();
  return solve_beside(problem, limits, left_s);
}

}  // namespace tidemark
