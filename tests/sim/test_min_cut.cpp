#include "sim/min_cut.h"

#include <algorithm>

#include "tests/catch.h"

using namespace tidemark;

namespace {

struct Small {
  PlainGraph graph;
  Position backward_begin;
};

/// Forward nodes with random edges, then one backward node per forward node.
Small random_graph(std::uint32_t state) {
  const auto next = [&state](std::uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::int32_t>((state >> 16) % below);
  };
  Small small{{}, 8};
  for (std::int32_t i = 0; i < 16; ++i) {
    small.graph.costs.push_back(1 + next(9));
    small.graph.sizes.push_back(1 + next(20));
    if (i > 0 && i < 8) small.graph.edges.emplace_back(next(static_cast<std::uint32_t>(i)), i);
    if (i > 1 && i < 8) small.graph.edges.emplace_back(next(static_cast<std::uint32_t>(i)), i);
    if (i >= 8) small.graph.edges.emplace_back(next(8), i);
  }
  return small;
}

bool derivable(const Dataflow& flow, BufferId id, const std::vector<bool>& saved) {
  if (saved[id.index()]) return true;
  const auto& reads = flow.producer_of(id).reads;
  return !reads.empty() &&
         std::ranges::all_of(reads, [&](BufferId input) { return derivable(flow, input, saved); });
}

}  // namespace

TEST_CASE("min-cut: the least bytes of all sets that backward can be made from") {
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    const Small small = random_graph(seed);
    Dataflow flow = dataflow_of(small.graph);
    std::int64_t least = -1;
    const auto bytes_of = [&](const std::vector<bool>& saved) {
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < 8; ++i) sum += saved[i] ? flow.values[i].bytes : 0;
      return sum;
    };
    const auto enough = [&](const std::vector<bool>& saved) {
      for (std::size_t i = 0; i < 8; ++i) {
        const BufferId id{i};
        if (flow[id].last_use() >= 8 && !derivable(flow, id, saved)) return false;
      }
      return true;
    };
    for (unsigned code = 0; code < 256; ++code) {
      std::vector<bool> saved(16, false);
      for (std::size_t i = 0; i < 8; ++i) saved[i] = (code >> i & 1U) != 0;
      if (enough(saved) && (least < 0 || bytes_of(saved) < least)) least = bytes_of(saved);
    }
    std::vector<bool> saved(16, false);
    for (const BufferId id : min_cut(flow, 8, {})) saved[id.index()] = true;
    INFO("seed " << seed);
    CHECK(enough(saved));
    // A tie-break of one byte per value may cost at most that many bytes.
    CHECK(bytes_of(saved) <= least + 8);
    CHECK(bytes_of(saved) >= least);
  }
}

TEST_CASE("min-cut: what is dear is saved itself or behind it") {
  // 0 -> 1 -> 2, backward reads 2 only: 2 is small, so it is the cut whatever is dear.
  Dataflow flow = dataflow_of(PlainGraph{{1, 1, 1, 1}, {9, 9, 2, 1}, {{0, 1}, {1, 2}, {2, 3}}});
  CHECK(min_cut(flow, 3, {}) == std::vector{BufferId{2}});
  CHECK(min_cut(flow, 3, {BufferId{1}}) == std::vector{BufferId{2}});
}

TEST_CASE("knapsack: the best value per byte first, never above the room") {
  CHECK(knapsack({{10, 10}, {5, 9}, {5, 1}}, 15) == std::vector<std::size_t>{0, 1});
  CHECK(knapsack({{10, 10}, {5, 9}}, 4).empty());
}
