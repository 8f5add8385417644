#include "sim/methods.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace tidemark {
namespace {

Position first_backward(const Trace& source, const Dataflow& flow) {
  for (std::size_t i = 0; i < flow.body.size(); ++i) {
    if (source[flow.body[i].op].phase == Phase::backward) return static_cast<Position>(i);
  }
  return -1;
}

/// Made before `position` and used from there on.
bool crosses(const Value& value, Position position) {
  return value.recomputable && value.producer < position && value.last_use() >= position;
}

}  // namespace

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

std::vector<EvictionSettings> chen_sqrt(const Trace& source, const Dataflow& flow,
                                        const EvictionSettings& start) {
  const Position backward = first_backward(source, flow);
  if (backward < 0) return {};
  std::vector<BufferId> cuts;
  for (const BufferId id : articulation_values(source, flow)) {
    if (crosses(flow[id], backward)) cuts.push_back(id);
  }
  const double root = std::sqrt(static_cast<double>(cuts.size()));
  std::set<std::size_t> counts;
  for (const double factor : {0.5, 0.75, 1.0, 1.5, 2.0}) {
    counts.insert(std::min(cuts.size(), static_cast<std::size_t>(std::ceil(root * factor))));
  }
  std::vector<EvictionSettings> plans;
  for (const std::size_t count : counts) {
    std::set<BufferId> keep;
    for (std::size_t i = 0; i < count; ++i)
      keep.insert(cuts[(2 * i + 1) * cuts.size() / (2 * count)]);
    EvictionSettings settings = start;
    settings.allow_recompute = true;
    settings.allow_offload = false;
    settings.limit_bytes = std::numeric_limits<std::int64_t>::max() / 4;
    settings.drop_at = backward;
    for (std::size_t row = 0; row < flow.values.size(); ++row) {
      const BufferId id{row};
      if (crosses(flow[id], backward) && !keep.contains(id)) settings.drop.push_back(id);
    }
    plans.push_back(std::move(settings));
  }
  return plans;
}

}  // namespace tidemark
