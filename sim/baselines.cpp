#include "sim/baselines.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "sim/checkpoints.h"
#include "sim/dtr.h"
#include "sim/min_cut.h"

namespace tidemark {
namespace {

using Schedules = std::vector<Schedule>;

std::vector<BufferId> cuts_of(const Dataflow& flow, const BaselineRequest& request) {
  return articulation_values(flow, request.backward_begin);
}

Schedule keep_these(const Dataflow& flow, const BaselineRequest& request,
                    const std::vector<BufferId>& kept) {
  return keep_only(flow, request.backward_begin, {{request.backward_begin, kept}});
}

/// Chen et al. 2016: about sqrt(n) of the articulation values, evenly spaced.
Schedules chen_sqrt(const Dataflow& flow, const BaselineRequest& request) {
  const std::vector<BufferId> cuts = cuts_of(flow, request);
  const double root = std::sqrt(static_cast<double>(cuts.size()));
  std::set<std::size_t> counts;
  for (const double factor : {0.5, 0.75, 1.0, 1.5, 2.0}) {
    counts.insert(std::min(cuts.size(), static_cast<std::size_t>(std::ceil(root * factor))));
  }
  Schedules schedules;
  for (const std::size_t count : counts) {
    std::vector<BufferId> kept;
    for (std::size_t i = 0; i < count; ++i) {
      kept.push_back(cuts[(2 * i + 1) * cuts.size() / (2 * count)]);
    }
    schedules.push_back(keep_these(flow, request, kept));
  }
  return schedules;
}

/// Chen et al. 2016, algorithm 3: a checkpoint as soon as the values since the last one exceed b
/// bytes, at articulation values where there are some, else anywhere; searched over b.
Schedules chen_greedy(const Dataflow& flow, const BaselineRequest& request) {
  const std::vector<BufferId> cuts = cuts_of(flow, request);
  const std::set<BufferId> allowed(cuts.begin(), cuts.end());
  std::vector<BufferId> values;
  std::int64_t total_bytes = 0;
  for (Position t = 0; t < request.backward_begin; ++t) {
    for (const BufferId id : flow.body[static_cast<std::size_t>(t)].outputs) {
      if (!flow[id].recomputable || flow[id].last_use() < request.backward_begin) continue;
      values.push_back(id);
      total_bytes += flow[id].bytes;
    }
  }
  Schedules schedules;
  for (double parts = 1; parts < static_cast<double>(values.size()) + 1; parts *= 1.3) {
    if (request.stopped()) break;
    const auto most = static_cast<std::int64_t>(static_cast<double>(total_bytes) / parts);
    std::vector<BufferId> kept;
    std::int64_t since = 0;
    for (const BufferId id : values) {
      since += flow[id].bytes;
      if (since <= most || (cuts.size() > 2 && !allowed.contains(id))) continue;
      kept.push_back(id);
      since = 0;
    }
    schedules.push_back(keep_these(flow, request, kept));
  }
  return schedules;
}

Schedules revolve_chain(const Dataflow& flow, const BaselineRequest& request) {
  const Chain chain = chain_of(flow, request.backward_begin, 256);
  const auto steps = static_cast<std::int32_t>(chain.size());
  Schedules schedules;
  for (std::int32_t slots = 1; slots <= steps; slots = std::max(slots + 1, slots * 5 / 4)) {
    if (request.stopped()) break;
    schedules.push_back(reverse_chain(flow, request.backward_begin, chain, revolve(steps, slots)));
  }
  return schedules;
}

Schedules rotor_chain(const Dataflow& flow, const BaselineRequest& request) {
  constexpr std::int32_t k_slots = 96;
  const Chain chain = chain_of(flow, request.backward_begin, 96);
  ChainCosts costs{.forward_ns = chain.forward_ns, .cut_slots = {}, .whole_slots = {}};
  std::vector<std::int64_t> cut_bytes(chain.size(), 0);
  std::vector<std::int64_t> whole_bytes(chain.size(), 0);
  std::int64_t total_bytes = 1;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (i < chain.cuts.size()) cut_bytes[i] = flow[chain.cuts[i]].bytes;
    whole_bytes[i] = cut_bytes[i];
    for (const BufferId id : chain.interior[i]) whole_bytes[i] += flow[id].bytes;
    total_bytes += whole_bytes[i];
  }
  const double slot_bytes = static_cast<double>(total_bytes) / k_slots;
  const auto slots_of = [slot_bytes](std::int64_t bytes) {
    return static_cast<std::int32_t>(std::lround(static_cast<double>(bytes) / slot_bytes));
  };
  for (std::size_t i = 0; i < chain.size(); ++i) {
    costs.cut_slots.push_back(slots_of(cut_bytes[i]));
    costs.whole_slots.push_back(slots_of(whole_bytes[i]));
  }
  Schedules schedules;
  std::int64_t before_ns = -1;
  for (const RotorPlan& plan : rotor(costs, k_slots + 16)) {
    if (!plan.fits || plan.again_ns == before_ns) continue;
    before_ns = plan.again_ns;
    schedules.push_back(reverse_chain(flow, request.backward_begin, chain, plan.reversals));
  }
  return schedules;
}

/// The budget of the knapsack is swept, as a share of what could be saved: the partitioner bounds
/// saved bytes, we look at the peak of each answer.
Schedules min_cut_knapsack(const Dataflow& flow, const BaselineRequest& request) {
  std::vector<BufferId> candidates;
  std::vector<KnapsackItem> items;
  std::int64_t total_bytes = 0;
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const BufferId id{row};
    const Value& value = flow[id];
    if (!value.recomputable || value.producer >= request.backward_begin) continue;
    if (value.last_use() < request.backward_begin) continue;
    candidates.push_back(id);
    items.push_back({value.bytes, flow.producer_of(id).duration_ns});
    total_bytes += value.bytes;
  }
  constexpr int k_levels = 16;
  Schedules schedules;
  for (int level = 0; level <= k_levels && !request.stopped(); ++level) {
    std::vector<BufferId> dear;
    for (const std::size_t i : knapsack(items, total_bytes / k_levels * level)) {
      dear.push_back(candidates[i]);
    }
    schedules.push_back(keep_these(flow, request, min_cut(flow, request.backward_begin, dear)));
  }
  return schedules;
}

template <DtrScore Score>
Schedules dtr_with(const Dataflow& flow, const BaselineRequest& request) {
  return dtr(flow, request, Score);
}

}  // namespace

const std::vector<Baseline>& baselines() {
  static const std::vector<Baseline> all{
      {"chen-sqrt", "checkpoints at about sqrt(n) articulation values (Chen et al. 2016)", 5'000,
       chen_sqrt},
      {"chen-greedy", "checkpoints after b bytes, searched over b (Chen et al. 2016)", 5'000,
       chen_greedy},
      {"revolve", "binomial checkpoints on the chain of articulation values (Griewank, Walther)",
       5'000, revolve_chain},
      {"rotor", "dynamic programme for a heterogeneous chain (Beaumont et al. 2019)", 5'000,
       rotor_chain},
      {"min-cut", "fewest saved bytes and a knapsack of dear values (PyTorch's partitioner)", 5'000,
       min_cut_knapsack},
      {"dtr", "online eviction, cost of the absent neighbourhood (Kirisame et al. 2021)", 1'000,
       dtr_with<DtrScore::dtr>},
      {"dtr-eq", "the same with neighbourhoods joined by union-find", 2'000,
       dtr_with<DtrScore::eq>},
      {"dtr-local", "online eviction, own cost per byte and staleness", 2'000,
       dtr_with<DtrScore::local>},
      {"msps", "online eviction, recompute time per byte (Capuchin, Peng et al. 2020)", 1'000,
       dtr_with<DtrScore::msps>},
      {"lru", "online eviction of what was used longest ago", 2'000, dtr_with<DtrScore::lru>},
      {"size", "online eviction of the largest value", 2'000, dtr_with<DtrScore::size>},
  };
  return all;
}

Position backward_begin_of(const Trace& source, const Dataflow& flow) {
  for (std::size_t i = 0; i < flow.body.size(); ++i) {
    if (source[flow.body[i].op].phase == Phase::backward) return static_cast<Position>(i);
  }
  return -1;
}

BaselinePlan best_of(const Baseline& baseline, const Dataflow& flow,
                     const BaselineRequest& request) {
  BaselinePlan best;
  if (request.backward_begin < 0) return best;
  for (Schedule& schedule : baseline.propose(flow, request)) {
    const ScheduleFigures figures = evaluate(flow, schedule);
    if (!figures.illegal.empty() || figures.peak_bytes > request.limit_bytes) continue;
    if (best.fits && figures.cost_ns >= best.figures.cost_ns) continue;
    best = {.fits = true, .schedule = std::move(schedule), .figures = figures};
  }
  return best;
}

}  // namespace tidemark
