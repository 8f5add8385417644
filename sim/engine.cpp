#include "sim/engine.h"

#include <algorithm>

#include "sim/anneal.h"
#include "sim/exact.h"
#include "sim/milp.h"
#include "sim/timer.h"
#include "sim/windows.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

constexpr double k_first_bound_share = 0.1;  // of the time
constexpr double k_search_until = 0.8;
constexpr std::int64_t k_bound_nodes = 100;  // of the solver's tree, without a limit on time
// The full program: what can be solved in seconds, and in minutes when there is a limit on time.
constexpr std::int64_t k_exact_nodes = 1000;
constexpr std::size_t k_exact_columns = 8000;
constexpr std::size_t k_exact_columns_timed = 40000;
constexpr std::size_t k_cuts[] = {1, 2, 4, 8, 16};

WindowLimits limits_of(const Timer& timer) {
  return {.timer = &timer, .nodes = timer.limit_s() > 0 ? 1 << 30 : k_bound_nodes};
}

AnnealResult search(const Dataflow& flow, const EngineRequest& request, const Timer& timer,
                    std::int64_t bound_ns) {
  AnnealRequest wish;
  wish.limit_bytes = request.limit_bytes;
  wish.nodes = request.nodes;
  wish.seed = request.seed;
  wish.start = request.start;
  wish.bound_ns = bound_ns;
  wish.cpu_time = request.cpu_time;
  if (request.time_limit_s > 0) {
    const bool prove = request.bound_cost_ns < 0 && milp_available();
    const double until_s = (prove ? k_search_until : 1) * request.time_limit_s;
    wish.time_limit_s = std::max(0.01, until_s - timer.spent_s());
  }
  if (request.progress) {
    wish.progress = [&request, bound_ns](std::int64_t nodes, std::int64_t best_cost_ns) {
      return request.progress({nodes, best_cost_ns, bound_ns});
    };
  }
  return anneal(flow, wish);
}

/// More cuts say more and take longer.
void improve_bound(const Dataflow& flow, const EngineRequest& request, const Timer& timer,
                   EngineResult& result) {
  for (const std::size_t cuts : k_cuts) {
    if (timer.over() || result.proven_optimal()) return;
    if (request.time_limit_s <= 0 && cuts > 2) return;
    WindowLimits limits = limits_of(timer);
    limits.cuts = cuts;
    limits.upper_ns = result.cost_ns;
    result.bound_cost_ns =
        std::max(result.bound_cost_ns, window_bound(flow, request.limit_bytes, limits).cost_ns);
  }
}

void solve_rest(const Dataflow& flow, const EngineRequest& request, const Timer& timer,
                EngineResult& result) {
  ExactRequest wish{.limit_bytes = request.limit_bytes};
  if (result.fits) wish.upper_ns = result.cost_ns;
  wish.nodes = k_exact_nodes;
  wish.most_columns = k_exact_columns;
  if (request.time_limit_s > 0) {
    wish.nodes = 0;
    wish.most_columns = k_exact_columns_timed;
  }
  wish.timer = &timer;
  ExactResult exact = solve_exactly(flow, wish);
  result.refused = std::move(exact.refused);
  if (!result.refused.empty()) return;
  result.bound_cost_ns = std::max(result.bound_cost_ns, exact.bound_ns);
  if (!exact.found || (result.fits && exact.cost_ns >= result.cost_ns)) return;
  result.fits = true;
  result.cost_ns = exact.cost_ns;
  result.schedule = std::move(exact.schedule);
}

}  // namespace

EngineResult run_engine(const Dataflow& flow, const EngineRequest& request) {
  const Timer timer(request.time_limit_s, request.cpu_time);
  EngineResult result;
  RecomputeBound bound{.cost_ns = request.bound_cost_ns};
  const bool prove = request.bound_cost_ns < 0;
  if (prove) {
    const Timer first(k_first_bound_share * request.time_limit_s, request.cpu_time);
    bound = window_bound(flow, request.limit_bytes, limits_of(first));
  }
  if (!bound.possible || least_peak(flow).bytes > request.limit_bytes) {
    result.proven_infeasible = true;
    return result;
  }
  AnnealResult found = search(flow, request, timer, bound.cost_ns);
  result.fits = found.fits;
  result.cut = found.cut;
  result.schedule = std::move(found.schedule);
  result.cost_ns = found.cost_ns;
  result.bound_cost_ns = bound.cost_ns;
  result.nodes = found.nodes;
  if (prove && result.fits && !result.proven_optimal()) {
    improve_bound(flow, request, timer, result);
  }
  if (request.exact && !result.proven_optimal()) solve_rest(flow, request, timer, result);
  return result;
}

LeastPeak least_peak(const Dataflow& flow) {
  std::vector<std::int64_t> live = keep_all_bytes(flow);
  std::vector<std::int64_t> change(live.size() + 1, 0);
  for (const Value& value : flow.values) {
    if (!value.recomputable) continue;
    for (std::size_t i = 0; i + 1 < value.uses.size(); ++i) {
      const Position begin = value.uses[i] + 1;
      const Position end = std::min(value.uses[i + 1], value.valid_until);
      if (begin >= end) continue;
      change[at(begin)] -= value.bytes;
      change[at(end)] += value.bytes;
    }
  }
  LeastPeak least;
  std::int64_t removed = 0;
  for (std::size_t i = 0; i < live.size(); ++i) {
    removed += change[i];
    if (least.op >= 0 && live[i] + removed <= least.bytes) continue;
    least = {live[i] + removed, static_cast<Position>(i)};
  }
  return least;
}

}  // namespace tidemark
