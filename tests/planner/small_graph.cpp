#include "tests/planner/small_graph.h"

#include <algorithm>
#include <map>
#include <random>

#include "tests/planner/validator.h"

namespace tidemark {

PlainGraph small_graph(std::uint64_t seed, std::int32_t half) {
  std::mt19937_64 random(seed);
  PlainGraph graph;
  const std::int32_t count = 2 * half;
  for (std::int32_t i = 0; i < count; ++i) {
    graph.costs.push_back(static_cast<std::int64_t>(random() % 12));
    graph.sizes.push_back(static_cast<std::int64_t>(random() % 9));
    if (i > 0) graph.edges.emplace_back(i - 1, i);
    if (i > half) graph.edges.emplace_back(count - 1 - i, i);
    if (i > 1 && random() % 3 == 0) {
      graph.edges.emplace_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(i)), i);
    }
  }
  return graph;
}

std::vector<std::pair<std::int64_t, std::int64_t>> all_schedules(const PlainGraph& graph) {
  const auto count = static_cast<Position>(graph.costs.size());
  std::vector<std::pair<Position, Position>> entries;
  for (Position t = 0; t < count; ++t) {
    for (Position op = 0; op < t; ++op) entries.emplace_back(t, op);
  }
  std::map<std::int64_t, std::int64_t> least;  // peak by cost
  for (std::uint64_t set = 0; set < std::uint64_t{1} << entries.size(); ++set) {
    std::vector<std::vector<Position>> again(graph.costs.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if ((set >> i & 1U) == 0) continue;
      again[static_cast<std::size_t>(entries[i].first)].push_back(entries[i].second);
    }
    const Judgement judgement = judge(graph, again);
    const auto [entry, fresh] = least.emplace(judgement.cost, judgement.peak);
    if (!fresh) entry->second = std::min(entry->second, judgement.peak);
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> found;
  for (const auto& entry : least) {
    if (found.empty() || entry.second < found.back().second) found.emplace_back(entry);
  }
  return found;
}

std::int64_t optimum_of(const std::vector<std::pair<std::int64_t, std::int64_t>>& schedules,
                        std::int64_t limit) {
  for (const auto& [cost, peak] : schedules) {
    if (peak <= limit) return cost;
  }
  return -1;
}

}  // namespace tidemark
