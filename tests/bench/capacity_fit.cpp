// bench_capacity calibrate: the constants of sim/framework.cpp from published iteration times.
//
// Levenberg-Marquardt on logarithms, with weights that turn squares into absolute values, so that
// rows that are off by themselves do not pull. Where the rows say little, a prior does.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/bench/capacity_times.h"

namespace tidemark::bench {
namespace {

/// A constant: where it is, what is expected of it, and by what factor (e^spread) it may be off;
/// 0 = nothing is known.
struct Knob {
  const char* name;
  double& (*at)(Setting&);
  double expected = 0;
  double spread = 0;
};

const std::vector<Knob> k_knobs{
    {"products", [](Setting& s) -> double& { return s.framework.kernels.products; }, 1, 0.1},
    {"half_inner", [](Setting& s) -> double& { return s.framework.kernels.half_inner; }},
    {"half_tiles", [](Setting& s) -> double& { return s.framework.kernels.half_tiles; }},
    {"memory", [](Setting& s) -> double& { return s.framework.kernels.memory; }, 0.85, 0.1},
    {"logit_bytes", [](Setting& s) -> double& { return s.framework.kernels.logit_bytes; }, 80, 0.5},
    {"optimizer_passes", [](Setting& s) -> double& { return s.framework.kernels.optimizer_passes; },
     1.5, 0.5},
    {"layer_ns", [](Setting& s) -> double& { return s.framework.host.layer_ns; }},
    {"collectives_ns 2", [](Setting& s) -> double& { return s.framework.host.collectives_ns[0]; }},
    {"collectives_ns 4", [](Setting& s) -> double& { return s.framework.host.collectives_ns[1]; }},
    {"collectives_ns 8", [](Setting& s) -> double& { return s.framework.host.collectives_ns[2]; }},
    {"micro_batch_ns", [](Setting& s) -> double& { return s.framework.host.micro_batch_ns; }},
    {"step_ns", [](Setting& s) -> double& { return s.framework.host.step_ns; }, 3e6, 1},
    {"stage_ns", [](Setting& s) -> double& { return s.framework.host.stage_ns; }, 0.5e6, 1},
    {"optimizer_layer_ns",
     [](Setting& s) -> double& { return s.framework.host.optimizer_layer_ns; }, 0.1e6, 1},
    {"hiding", [](Setting& s) -> double& { return s.framework.host.hiding; }, 6, 0.5},
    {"share", [](Setting& s) -> double& { return s.framework.collectives.share; }},
    {"message_ns", [](Setting& s) -> double& { return s.framework.collectives.message_ns; }, 0.2e6,
     1},
    {"message_share", [](Setting& s) -> double& { return s.framework.collectives.message_share; },
     1, 0.7},
    {"between.bytes_per_ns", [](Setting& s) -> double& { return s.topology.between.bytes_per_ns; },
     12.5, 0.5},
};

constexpr double k_prior_weight = 0.3;
constexpr double k_many_nodes_weight = 6;  // as there are few of these rows
constexpr double k_smooth = 1e-4;          // of squared errors: within 1 % all are alike
constexpr double k_step = 1e-4;
constexpr int k_most_rounds = 40;

struct Problem {
  std::vector<TimedRow> rows;
  std::vector<double> weights;
};

/// Logarithms: of the rows, then of the priors.
std::vector<double> residuals(const Problem& problem, Setting& setting) {
  std::vector<double> out;
  for (const TimedRow& row : problem.rows) {
    out.push_back(std::log(modelled_step_ns(row, setting) / row.measured_ns));
  }
  for (const Knob& knob : k_knobs) {
    if (knob.spread > 0) out.push_back(std::log(knob.at(setting) / knob.expected) / knob.spread);
  }
  return out;
}

double weight(const Problem& problem, const std::vector<double>& r, std::size_t i) {
  if (i >= problem.rows.size()) return k_prior_weight;
  return problem.weights[i] / std::sqrt(r[i] * r[i] + k_smooth);
}

double cost(const Problem& problem, const std::vector<double>& r) {
  double sum = 0;
  for (std::size_t i = 0; i < r.size(); ++i) {
    sum += i >= problem.rows.size() ? k_prior_weight * r[i] * r[i] / 2
                                    : problem.weights[i] * std::sqrt(r[i] * r[i] + k_smooth);
  }
  return sum;
}

/// Gauss with row exchange; `a` is square.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t most = k;
    for (std::size_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i][k]) > std::abs(a[most][k])) most = i;
    }
    std::swap(a[k], a[most]);
    std::swap(b[k], b[most]);
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (std::size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t j = k + 1; j < n; ++j) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
  return b;
}

/// The normal equations at `setting`: matrix and right side.
struct Normal {
  std::vector<std::vector<double>> matrix;
  std::vector<double> side;
};

Normal normal(const Problem& problem, const Setting& setting, const std::vector<double>& r) {
  const std::size_t n = k_knobs.size();
  std::vector<std::vector<double>> slopes;
  for (const Knob& knob : k_knobs) {
    Setting moved = setting;
    knob.at(moved) *= std::exp(k_step);
    std::vector<double> slope = residuals(problem, moved);
    for (std::size_t i = 0; i < r.size(); ++i) slope[i] = (slope[i] - r[i]) / k_step;
    slopes.push_back(std::move(slope));
  }
  Normal out{std::vector<std::vector<double>>(n, std::vector<double>(n)), std::vector<double>(n)};
  for (std::size_t i = 0; i < r.size(); ++i) {
    const double w = weight(problem, r, i);
    for (std::size_t k = 0; k < n; ++k) {
      for (std::size_t l = 0; l < n; ++l) out.matrix[k][l] += w * slopes[k][i] * slopes[l][i];
      out.side[k] -= w * slopes[k][i] * r[i];
    }
  }
  return out;
}

/// One accepted step, or false. `damping` is kept between rounds.
bool improve(const Problem& problem, Setting& setting, double& damping) {
  const std::vector<double> r = residuals(problem, setting);
  const double before = cost(problem, r);
  const Normal equations = normal(problem, setting, r);
  for (int attempt = 0; attempt < 12; ++attempt, damping *= 4) {
    Normal damped = equations;
    for (std::size_t k = 0; k < damped.side.size(); ++k) {
      damped.matrix[k][k] += damping * (equations.matrix[k][k] + 1e-3);
    }
    const std::vector<double> step = solve(damped.matrix, damped.side);
    Setting moved = setting;
    for (std::size_t k = 0; k < step.size(); ++k) {
      k_knobs[k].at(moved) *= std::exp(std::clamp(step[k], -0.5, 0.5));
    }
    const double after = cost(problem, residuals(problem, moved));
    if (after >= before) continue;
    setting = moved;
    damping = std::max(damping / 4, 1e-9);
    return before - after > 1e-6 * before;
  }
  return false;
}

}  // namespace

int calibrate(const Folders& folders) {
  Problem problem;
  for (const bool many_nodes : {false, true}) {
    std::int64_t used = 0;
    std::vector<TimedRow> rows = vtrain_rows(folders, many_nodes);
    for (TimedRow& row : rows) {
      if (!row.is_for_calibration || !row.not_described.empty()) continue;
      problem.rows.push_back(row);
      problem.weights.push_back(many_nodes ? k_many_nodes_weight : 1);
      ++used;
    }
    fmt::print("vTrain, {}: {} of {} rows used (those whose hash is even)\n",
               many_nodes ? "many nodes" : "one node", used, rows.size());
  }
  if (problem.rows.empty()) {
    fmt::print(stderr, "bench_capacity: no vtrain_ground_truth_*.csv in {}\n",
               fmt::join(folders, ", "));
    return 2;
  }
  Setting setting{find_framework("megatron-deepspeed"),
                  shipped_devices().cluster("vtrain-a100-80g").topology};
  double damping = 1e-2;
  for (int round = 0; round < k_most_rounds && improve(problem, setting, damping); ++round) {
  }
  for (const Knob& knob : k_knobs) fmt::print("  {:<22} {:.4g}\n", knob.name, knob.at(setting));
  std::vector<double> errors;
  for (const TimedRow& row : problem.rows) {
    errors.push_back(100 * std::abs(modelled_step_ns(row, setting) / row.measured_ns - 1));
  }
  fmt::print("  on these rows the error is {:.2f} % in the median\n", quantile(errors, 0.5));
  return 0;
}

}  // namespace tidemark::bench
