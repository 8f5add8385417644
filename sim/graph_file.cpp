#include "sim/graph_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <queue>
#include <sstream>

#include "traces/error.h"

namespace tidemark {
namespace {

using Json = nlohmann::json;

struct Node {
  std::string name;
  std::int64_t cost_ns = 0;
  std::int64_t size_bytes = 0;
  bool backward = false;
};

struct Sketch {
  std::vector<Node> nodes;
  std::vector<std::pair<std::size_t, std::size_t>> edges;

  /// `edges` are those of the forward pass, and reverse[i] is the backward node of forward node i.
  /// It reads what i made, what i read, and the gradients made by the backward nodes of the readers
  /// of i.
  void connect_backward(const std::map<std::size_t, std::size_t>& reverse) {
    const auto forward_edges = edges;
    for (const auto& [i, backward] : reverse) edges.emplace_back(i, backward);
    for (const auto& [from, to] : forward_edges) {
      edges.emplace_back(from, reverse.at(to));
      edges.emplace_back(reverse.at(to), reverse.at(from));
    }
  }
};

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  [[noreturn]] void fail(const std::string& place, const std::string& expected,
                         const std::string& found) const {
    throw InputError(
        InputError::Parts{.file = file_, .place = place, .expected = expected, .found = found});
  }

  /// `value` times `scale`, rounded.
  std::int64_t figure(const std::string& place, double value, double scale) const {
    constexpr double k_most = 1e18;
    if (!std::isfinite(value) || value < 0 || value * scale > k_most) {
      fail(place, "a number from 0 to 1e18 of its smallest unit", fmt::format("{}", value));
    }
    return std::llround(value * scale);
  }

  /// Kahn's order, forward nodes first, ties by the order of the file.
  GraphFile ordered(const Sketch& sketch) const {
    const std::size_t count = sketch.nodes.size();
    std::vector<std::vector<std::size_t>> readers(count);
    std::vector<std::size_t> open(count, 0);
    for (const auto& [from, to] : sketch.edges) {
      readers[from].push_back(to);
      ++open[to];
    }
    using Entry = std::pair<bool, std::size_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
    for (std::size_t i = 0; i < count; ++i) {
      if (open[i] == 0) ready.emplace(sketch.nodes[i].backward, i);
    }
    GraphFile out;
    std::vector<std::int32_t> place(count, -1);
    while (!ready.empty()) {
      const std::size_t i = ready.top().second;
      ready.pop();
      const Node& node = sketch.nodes[i];
      place[i] = static_cast<std::int32_t>(out.names.size());
      if (node.backward && out.backward_begin < 0) out.backward_begin = place[i];
      out.names.push_back(node.name);
      out.graph.costs.push_back(node.cost_ns);
      out.graph.sizes.push_back(node.size_bytes);
      for (const std::size_t reader : readers[i]) {
        if (--open[reader] == 0) ready.emplace(sketch.nodes[reader].backward, reader);
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (place[i] < 0) fail("node " + sketch.nodes[i].name, "no cycle", "one through this node");
    }
    for (const auto& [from, to] : sketch.edges)
      out.graph.edges.emplace_back(place[from], place[to]);
    try {
      static_cast<void>(dataflow_of(out.graph));
    } catch (const InputError& error) {
      InputError::Parts parts = error.parts();
      parts.file = file_;
      throw InputError(parts);
    }
    return out;
  }

 private:
  std::string file_;
};

class PipeDream {
 public:
  PipeDream(const std::string& file) : reader_(file) {}

  GraphFile read(const std::string& text) {
    std::istringstream in(text);
    std::string line;
    for (number_ = 1; std::getline(in, line); ++number_) {
      if (line.empty()) continue;
      line.front() == '\t' ? edge(line.substr(1)) : node(line);
    }
    for (const auto& [from, to] : edge_names_) {
      sketch_.edges.emplace_back(row(from.first, from.second), row(to, from.second));
    }
    add_backward();
    return reader_.ordered(sketch_);
  }

 private:
  std::string place() const { return fmt::format("line {}", number_); }

  void node(const std::string& line) {
    const std::size_t name_end = line.find(" -- ");
    const std::size_t figures = line.rfind(" -- ");
    if (name_end == std::string::npos || figures == name_end) {
      reader_.fail(place(), "NAME -- DESCRIPTION -- FIGURES", "'" + line.substr(0, 40) + "'");
    }
    const std::string name = line.substr(0, name_end);
    const std::string what = line.substr(name_end + 4, figures - name_end - 4);
    const std::string rest = line.substr(figures);
    if (!rows_.emplace(name, sketch_.nodes.size()).second) {
      reader_.fail(place(), "each node once", name + " again");
    }
    const bool input = what.starts_with("Input");
    const double forward = number(rest, "forward_compute_time=");
    const double backward = number(rest, "backward_compute_time=");
    const double bytes = number(rest, "activation_size=");
    sketch_.nodes.push_back({.name = name,
                             .cost_ns = reader_.figure(place(), input ? 0 : forward, 1e6),
                             .size_bytes = reader_.figure(place(), bytes, 1)});
    backward_ns_.push_back(reader_.figure(place(), backward, 1e6));
  }

  /// The number after `key`, or the sum of a list in brackets.
  double number(const std::string& text, const std::string& key) const {
    std::size_t at = text.find(key);
    if (at == std::string::npos) reader_.fail(place(), key + "NUMBER", "none");
    at += key.size();
    const bool list = at < text.size() && text[at] == '[';
    if (list) ++at;
    double sum = 0;
    while (true) {
      double value = 0;
      const auto [stop, error] =
          std::from_chars(text.data() + at, text.data() + text.size(), value);
      if (error != std::errc{} || value < 0) {
        reader_.fail(place(), key + "a number that is not negative",
                     "'" + text.substr(at, 20) + "'");
      }
      sum += value;
      at = static_cast<std::size_t>(stop - text.data());
      if (!list || at >= text.size() || text[at] != ';') return sum;
      for (++at; at < text.size() && text[at] == ' ';) ++at;
    }
  }

  void edge(const std::string& line) {
    const std::size_t arrow = line.find(" -- ");
    if (arrow == std::string::npos) {
      reader_.fail(place(), "NODE -- NODE", "'" + line.substr(0, 40) + "'");
    }
    edge_names_.push_back({{line.substr(0, arrow), number_}, line.substr(arrow + 4)});
  }

  std::size_t row(const std::string& name, int number) const {
    const auto found = rows_.find(name);
    if (found == rows_.end()) {
      reader_.fail(fmt::format("line {}", number), "a node of the file",
                   "'" + name.substr(0, 40) + "'");
    }
    return found->second;
  }

  void add_backward() {
    const std::size_t count = sketch_.nodes.size();
    std::vector<bool> reads(count, false);
    for (const auto& edge : sketch_.edges) reads[edge.second] = true;
    std::map<std::size_t, std::size_t> reverse;
    for (std::size_t i = 0; i < count; ++i) {
      Node node = sketch_.nodes[i];
      node.name += " backward";
      node.cost_ns = reads[i] ? backward_ns_[i] : 0;
      node.backward = true;
      sketch_.nodes.push_back(std::move(node));
      reverse.emplace(i, count + i);
    }
    sketch_.connect_backward(reverse);
  }

  Reader reader_;
  Sketch sketch_;
  int number_ = 0;
  std::map<std::string, std::size_t> rows_;
  std::vector<std::int64_t> backward_ns_;
  std::vector<std::pair<std::pair<std::string, int>, std::string>> edge_names_;
};

class Partitioning {
 public:
  explicit Partitioning(const std::string& file) : reader_(file) {}

  GraphFile read(const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    for (const Json& entry : list(json, "nodes")) node(entry);
    std::size_t edge = 0;
    for (const Json& entry : list(json, "edges")) {
      const std::string place = fmt::format("edges[{}]", edge++);
      sketch_.edges.emplace_back(end(entry, place, "sourceId"), end(entry, place, "destId"));
    }
    if (halves_apart()) connect_halves();
    return reader_.ordered(sketch_);
  }

 private:
  const Json& list(const Json& json, const char* key) const {
    if (!json.is_object() || !json.contains(key) || !json[key].is_array()) {
      reader_.fail("file", fmt::format("an object with a list '{}'", key), "none");
    }
    return json[key];
  }

  double number(const Json& row, const std::string& place, const char* key) const {
    if (!row.is_object() || !row.contains(key) || !row[key].is_number()) {
      reader_.fail(place, fmt::format("a number '{}'", key), "none");
    }
    return row[key].get<double>();
  }

  void node(const Json& entry) {
    const std::string place = fmt::format("nodes[{}]", sketch_.nodes.size());
    if (!rows_.emplace(number(entry, place, "id"), sketch_.nodes.size()).second) {
      reader_.fail(place, "each id once", "one again");
    }
    Node node;
    node.name = entry.contains("name") && entry["name"].is_string()
                    ? entry["name"].get<std::string>()
                    : place;
    node.cost_ns = reader_.figure(place, number(entry, place, "fpgaLatency"), 1e6);
    node.size_bytes = reader_.figure(place, number(entry, place, "size"), 1);
    const Json flag = entry.value("isBackwardNode", Json(false));
    node.backward = (flag.is_boolean() && flag.get<bool>()) || (flag.is_number() && flag != 0);
    if (entry.contains("colorClass")) {
      classes_[number(entry, place, "colorClass")][node.backward ? 1 : 0].push_back(
          sketch_.nodes.size());
    } else {
      unclassed_ = true;
    }
    sketch_.nodes.push_back(std::move(node));
  }

  std::size_t end(const Json& entry, const std::string& place, const char* key) const {
    const auto found = rows_.find(number(entry, place, key));
    if (found == rows_.end()) reader_.fail(place, fmt::format("a node as '{}'", key), "none");
    return found->second;
  }

  /// Layer graphs say nothing of what the backward pass reads: no edge leads into it, and those
  /// within it repeat the edges of the forward pass, in the same direction.
  bool halves_apart() const {
    const auto backward = [this](std::size_t i) { return sketch_.nodes[i].backward; };
    bool any = false;
    for (const Node& node : sketch_.nodes) any = any || node.backward;
    return any && std::none_of(sketch_.edges.begin(), sketch_.edges.end(), [&](const auto& edge) {
             return backward(edge.first) != backward(edge.second);
           });
  }

  /// A class of colour ties a layer to its backward node; the rest is as for PipeDream.
  void connect_halves() {
    std::map<std::size_t, std::size_t> reverse;
    bool paired = !unclassed_;
    for (const auto& [color, members] : classes_) {
      paired = paired && members[0].size() == 1 && members[1].size() == 1;
      if (paired) reverse.emplace(members[0][0], members[1][0]);
    }
    if (!paired) {
      reader_.fail("edges", "one from a forward to a backward node, or a colorClass for each pair",
                   "neither");
    }
    std::erase_if(sketch_.edges,
                  [this](const auto& edge) { return sketch_.nodes[edge.first].backward; });
    sketch_.connect_backward(reverse);
  }

  Reader reader_;
  Sketch sketch_;
  std::map<double, std::size_t> rows_;
  std::map<double, std::array<std::vector<std::size_t>, 2>> classes_;  // forward, backward
  bool unclassed_ = false;
};

}  // namespace

GraphFile graph_from_text(const std::string& text, const std::string& file) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) {
    Reader(file).fail("file", "a graph", "nothing");
  }
  return text[first] == '{' ? Partitioning(file).read(text) : PipeDream(file).read(text);
}

Dataflow dataflow_of(const GraphFile& file) {
  Dataflow flow = dataflow_of(file.graph);
  for (std::size_t i = 0; i < flow.body.size(); ++i) {
    if (!flow.body[i].reads.empty()) continue;
    flow.values[i].recomputable = false;
    flow.values[i].valid_until = -1;
    flow.values[i].movable = false;
  }
  return flow;
}

}  // namespace tidemark
