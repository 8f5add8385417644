#include "sim/engine.h"

#include <algorithm>

#include "sim/anneal.h"
#include "sim/cover.h"
#include "sim/timer.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// The share of the time that a proof may take before the search begins.
constexpr double k_bound_share = 0.1;
constexpr std::int64_t k_bound_nodes = 100;  // of the solver's tree, without a limit on time

CoverLimits limits_of(const EngineRequest& request) {
  if (request.time_limit_s <= 0) return {.seconds = 0, .nodes = k_bound_nodes};
  return {.seconds = k_bound_share * request.time_limit_s, .nodes = 100000};
}

}  // namespace

EngineResult run_engine(const Dataflow& flow, const EngineRequest& request) {
  const Timer timer(request.time_limit_s, request.cpu_time);
  EngineResult result;
  RecomputeBound bound{.cost_ns = request.bound_cost_ns};
  if (request.bound_cost_ns < 0) bound = cover_bound(flow, request.limit_bytes, limits_of(request));
  if (!bound.possible || least_peak(flow).bytes > request.limit_bytes) {
    result.proven_infeasible = true;
    return result;
  }
  AnnealRequest search;
  search.limit_bytes = request.limit_bytes;
  search.nodes = request.nodes;
  search.seed = request.seed;
  search.start = request.start;
  search.bound_ns = bound.cost_ns;
  search.cpu_time = request.cpu_time;
  if (request.time_limit_s > 0) {
    search.time_limit_s = std::max(0.01, request.time_limit_s - timer.spent_s());
  }
  if (request.progress) {
    search.progress = [&](std::int64_t nodes, std::int64_t best_cost_ns) {
      return request.progress({nodes, best_cost_ns, bound.cost_ns});
    };
  }
  AnnealResult found = anneal(flow, search);
  result.fits = found.fits;
  result.cut = found.cut;
  result.schedule = std::move(found.schedule);
  result.cost_ns = found.cost_ns;
  result.bound_cost_ns = bound.cost_ns;
  result.nodes = found.nodes;
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
