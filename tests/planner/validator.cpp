#include "tests/planner/validator.h"

#include <set>

namespace tidemark {

Judgement judge(const PlainGraph& graph, const std::vector<std::vector<Position>>& again) {
  Judgement judgement;
  const auto fail = [&](const std::string& text) { judgement.errors.push_back(text); };
  const std::size_t count = graph.costs.size();
  std::vector<std::set<std::size_t>> inputs(count);
  for (const auto& [u, v] : graph.edges) {
    inputs[static_cast<std::size_t>(v)].insert(static_cast<std::size_t>(u));
  }
  if (again.size() != count) fail("a wrong number of stages");

  std::vector<std::size_t> order;
  for (std::size_t t = 0; t < again.size(); ++t) {
    for (const Position p : again[t]) order.push_back(static_cast<std::size_t>(p));
    order.push_back(t);
  }
  std::set<std::size_t> live;
  std::set<std::size_t> done;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t op = order[i];
    if (op >= count) return fail("an unknown op"), judgement;
    for (const std::size_t input : inputs[op]) {
      if (!live.contains(input)) fail("op " + std::to_string(op) + " lacks an input");
    }
    if (done.insert(op).second && done.size() != op + 1) fail("first executions out of order");
    judgement.cost += graph.costs[op];
    live.insert(op);
    std::int64_t bytes = 0;
    for (const std::size_t value : live) bytes += graph.sizes[value];
    judgement.peak = std::max(judgement.peak, bytes);
    // Free what nobody reads before it is made again.
    for (auto value = live.begin(); value != live.end();) {
      bool wanted = false;
      for (std::size_t later = i + 1; later < order.size() && !wanted; ++later) {
        wanted = inputs[order[later]].contains(*value);
        if (order[later] == *value) break;
      }
      value = wanted ? std::next(value) : live.erase(value);
    }
  }
  if (done.size() != count) fail("not every op was executed");
  return judgement;
}

}  // namespace tidemark
