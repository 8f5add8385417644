#include "sim/methods.h"

#include "sim/baselines.h"
#include "sim/milp.h"

namespace tidemark {
EvictionSettings settings_of(const SearchRequest& request) {
  EvictionSettings settings;
  settings.limit_bytes = request.budget_bytes;
  settings.allow_recompute = request.allow_recompute;
  settings.allow_offload = request.allow_offload && request.link_bytes_per_s > 0;
  settings.link_bytes_per_s = request.link_bytes_per_s;
  settings.link_latency_ns = request.link_latency_ns;
  return settings;
}

std::vector<EvictionSettings> eviction_sweep(const EvictionSettings& start) {
  struct Powers {
    double cost, bytes, distance;
  };
  constexpr Powers k_powers[] = {{1, 1, 0.5},  {1, 1, 0},   {1, 1, 1},   {0.5, 1, 0.5},
                                 {0.5, 1, 0},  {2, 1, 0},   {2, 1, 1},   {1, 0.5, 0.5},
                                 {0.5, 1, 1},  {2, 1, 0.5}, {1, 0.5, 0}, {1, 1, 2},
                                 {0.25, 1, 0}, {0, 1, 0},   {0, 1, 1},   {0.25, 1, 0.5},
                                 {0.5, 1, 2},  {0, 0, 1},   {1, 0, 1},   {1, 1.5, 0.25}};
  std::vector<EvictionSettings> sweep;
  for (const double price : {0.05, 0.5}) {
    for (const Powers& p : k_powers) {
      EvictionSettings settings = start;
      settings.cost_power = p.cost;
      settings.bytes_power = p.bytes;
      settings.distance_power = p.distance;
      settings.link_price = price;
      sweep.push_back(settings);
    }
    if (!start.allow_offload) break;
  }
  return sweep;
}

const std::vector<SearchMethod>& search_methods() {
  static const std::vector<SearchMethod> methods = [] {
    std::vector<SearchMethod> all{
        {"auto", "the best of all, recompute and offload together"},
        {"keep-all", "no decisions: only the placement"},
        {"greedy", "recompute: offline eviction with exact next use, swept over its weights"},
        {"offload", "the same eviction with copies to the host as the only way out"},
        {"joint", "the same eviction with both ways out"},
        {"anneal", "recompute: local search over schedules, started by greedy"},
        {"exact",
         milp_available()
             ? "recompute: anneal, then a mixed-integer program for the proof; larger ones with "
               "--time-limit"
             : "off: this build has no solver (CBC)"},
    };
    for (const Baseline& baseline : baselines()) all.push_back({baseline.name, baseline.about});
    return all;
  }();
  return methods;
}

}  // namespace tidemark
