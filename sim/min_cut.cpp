#include "sim/min_cut.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>
#include <limits>
#include <numeric>

namespace tidemark {
namespace {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
struct VertexData {
  boost::default_color_type color = boost::white_color;
  std::int64_t distance = 0;
  Traits::edge_descriptor predecessor{};
};
struct EdgeData {
  std::int64_t capacity = 0;
  std::int64_t residual = 0;
  Traits::edge_descriptor reverse{};
};
using Graph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, VertexData, EdgeData>;

constexpr std::int64_t k_no_limit = std::numeric_limits<std::int64_t>::max() / 8;

void connect(Graph& graph, std::size_t from, std::size_t to, std::int64_t capacity) {
  const auto there = boost::add_edge(from, to, graph).first;
  const auto back = boost::add_edge(to, from, graph).first;
  graph[there] = {capacity, 0, back};
  graph[back] = {0, 0, there};
}

}  // namespace

std::vector<BufferId> min_cut(const Dataflow& flow, Position backward_begin,
                              const std::vector<BufferId>& dear) {
  // A value is an edge from its `in` to its `out` with its bytes as capacity.
  std::vector<BufferId> members;
  std::vector<std::size_t> index(flow.values.size(), 0);
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    if (!value.recomputable || value.producer >= backward_begin) continue;
    index[row] = members.size() + 1;
    members.emplace_back(row);
  }
  const std::size_t source = 0;
  const std::size_t sink = 2 * members.size() + 1;
  Graph graph(sink + 1);
  const auto in = [&](BufferId id) { return 2 * index[id.index()] - 1; };
  const auto out = [&](BufferId id) { return 2 * index[id.index()]; };
  std::vector<bool> is_dear(flow.values.size(), false);
  for (const BufferId id : dear) is_dear[id.index()] = true;
  for (const BufferId id : members) {
    const Value& value = flow[id];
    // Bytes of 0 would make everything a cut: one byte breaks the tie toward fewer values.
    connect(graph, in(id), out(id), value.bytes + 1);
    bool from_source = is_dear[id.index()];
    for (const BufferId input : flow.producer_of(id).reads) {
      if (index[input.index()] == 0) from_source = true;
      if (index[input.index()] != 0) connect(graph, out(input), in(id), k_no_limit);
    }
    if (flow.producer_of(id).reads.empty()) from_source = true;
    if (from_source) connect(graph, source, in(id), k_no_limit);
    if (value.last_use() >= backward_begin) connect(graph, out(id), sink, k_no_limit);
  }
  boost::boykov_kolmogorov_max_flow(
      graph, boost::get(&EdgeData::capacity, graph), boost::get(&EdgeData::residual, graph),
      boost::get(&EdgeData::reverse, graph), boost::get(&VertexData::predecessor, graph),
      boost::get(&VertexData::color, graph), boost::get(&VertexData::distance, graph),
      boost::get(boost::vertex_index, graph), source, sink);
  // The source's tree is the side of the source.
  std::vector<BufferId> saved;
  for (const BufferId id : members) {
    const bool before = graph[in(id)].color == boost::black_color;
    if (before && graph[out(id)].color != boost::black_color) saved.push_back(id);
  }
  return saved;
}

std::vector<std::size_t> knapsack(const std::vector<KnapsackItem>& items, std::int64_t room_bytes) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&items](std::size_t a, std::size_t b) {
    return static_cast<double>(items[a].value) * static_cast<double>(items[b].bytes) >
           static_cast<double>(items[b].value) * static_cast<double>(items[a].bytes);
  });
  std::vector<std::size_t> chosen;
  for (const std::size_t i : order) {
    if (items[i].bytes > room_bytes) continue;
    room_bytes -= items[i].bytes;
    chosen.push_back(i);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace tidemark
