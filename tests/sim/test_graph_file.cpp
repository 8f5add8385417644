#include "sim/graph_file.h"

#include <algorithm>

#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

const std::string k_figures =
    " -- X -- forward_compute_time=2.0, backward_compute_time=3.0, activation_size=";

std::string node(const std::string& name, const std::string& bytes) {
  return name + k_figures + bytes + ", parameter_size=1\n";
}

}  // namespace

TEST_CASE("graph file: a PipeDream profile gets its backward pass") {
  const GraphFile g =
      graph_from_text(node("b", "[512.0; 256.0]") + node("a", "100") + "\ta -- b\n", "file");
  CHECK(g.names == std::vector<std::string>{"a", "b", "b backward", "a backward"});
  CHECK(g.backward_begin == 2);
  CHECK(g.graph.sizes == std::vector<std::int64_t>{100, 768, 768, 100});
  CHECK(g.graph.costs == std::vector<std::int64_t>{2'000'000, 2'000'000, 3'000'000, 0});
  const Dataflow flow = dataflow_of(g);
  CHECK_FALSE(flow.values[0].recomputable);  // nobody makes it
  CHECK(flow.values[1].recomputable);
  CHECK(flow.values[0].last_use() == 3);
}

TEST_CASE("graph file: dnn-partitioning, forward nodes first") {
  const GraphFile g = graph_from_text(
      R"({"nodes": [{"id": 5, "name": "g", "fpgaLatency": 1, "size": 8, "isBackwardNode": 1},
                    {"id": 1, "name": "f", "fpgaLatency": 0.5, "size": 16, "isBackwardNode": 0}],
          "edges": [{"sourceId": 1, "destId": 5}]})",
      "file");
  CHECK(g.names == std::vector<std::string>{"f", "g"});
  CHECK(g.backward_begin == 1);
  CHECK(g.graph.costs == std::vector<std::int64_t>{500'000, 1'000'000});
}

namespace {

std::string layer(const char* name, int id, bool backward, int color) {
  return "{\"id\": " + std::to_string(id) + ", \"name\": \"" + name +
         "\", \"fpgaLatency\": 1, \"size\": 8, \"isBackwardNode\": " +
         (backward ? "true" : "false") + ", \"colorClass\": " + std::to_string(color) + "}";
}

std::string two_layers(int color_of_last) {
  return R"({"nodes": [)" + layer("a", 1, false, 1) + "," + layer("b", 2, false, 2) + "," +
         layer("a'", 3, true, 1) + "," + layer("b'", 4, true, color_of_last) +
         R"(], "edges": [{"sourceId": 1, "destId": 2}, {"sourceId": 3, "destId": 4}]})";
}

}  // namespace

TEST_CASE("graph file: the halves of a layer graph are joined by their colours") {
  const GraphFile g = graph_from_text(two_layers(2), "file");
  CHECK(g.names == std::vector<std::string>{"a", "b", "b'", "a'"});
  CHECK(g.backward_begin == 2);
  // What the file says of the backward pass (a' before b') is the forward pass once more.
  using Edges = std::vector<std::pair<std::int32_t, std::int32_t>>;
  Edges edges = g.graph.edges;
  std::sort(edges.begin(), edges.end());
  CHECK(edges == Edges{{0, 1}, {0, 2}, {0, 3}, {1, 2}, {2, 3}});
  CHECK_THROWS_WITH(graph_from_text(two_layers(7), "file"), Catch::Contains("colorClass"));
}

TEST_CASE("graph file: bad input is refused with its place") {
  using Catch::Contains;
  CHECK_THROWS_WITH(graph_from_text("", "f"), Contains("a graph"));
  CHECK_THROWS_WITH(graph_from_text("{]", "f"), Contains("nodes"));
  CHECK_THROWS_WITH(graph_from_text("nonsense\n", "f"), Contains("line 1"));
  CHECK_THROWS_WITH(graph_from_text(node("a", "-5"), "f"), Contains("not negative"));
  CHECK_THROWS_WITH(graph_from_text(node("a", "1e30"), "f"), Contains("1e18"));
  CHECK_THROWS_WITH(graph_from_text(node("a", "1") + node("a", "1"), "f"), Contains("again"));
  CHECK_THROWS_WITH(graph_from_text(node("a", "1") + "\ta -- z\n", "f"), Contains("line 2"));
  CHECK_THROWS_WITH(graph_from_text(node("a", "1") + node("b", "1") + "\ta -- b\n\tb -- a\n", "f"),
                    Contains("cycle"));
  CHECK_THROWS_WITH(
      graph_from_text(R"({"nodes": [{"id": 1, "fpgaLatency": -1, "size": 8}], "edges": []})", "f"),
      Contains("nodes[0]"));
  CHECK_THROWS_WITH(
      graph_from_text(R"({"nodes": [], "edges": [{"sourceId": 1, "destId": 2}]})", "f"),
      Contains("edges[0]"));
  // Each fits, the sum would not.
  CHECK_THROWS_AS(graph_from_text(node("a", "9e17") + node("b", "9e17") + node("c", "9e17") +
                                      node("d", "9e17") + node("e", "9e17") + node("f", "9e17"),
                                  "f"),
                  InputError);
}
