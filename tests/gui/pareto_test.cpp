// The plot of step time against memory: which plans nothing beats, and where they are painted.
#include "gui/pareto.h"

#include <random>

#include "tests/catch.h"

using namespace tidemark;

namespace {

PlanPoint point(std::int64_t bytes, std::int64_t step_ns) {
  return {.bytes = bytes, .step_ns = step_ns, .name = "p"};
}

}  // namespace

TEST_CASE("pareto: a plan is beaten by one that is lower and not slower") {
  //  slow  a . .        a, b and d are best at their memory; c is beaten by b, e equals d
  //        . b c
  //  fast  . . d e
  const std::vector<PlanPoint> points = {point(1, 9), point(2, 5), point(3, 5), point(3, 2),
                                         point(3, 2)};
  CHECK(undominated(points) == std::vector<bool>{true, true, false, true, true});
  CHECK(undominated({}).empty());
}

TEST_CASE("pareto: points lie inside the plot, in the order of their figures") {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    std::vector<PlanPoint> points;
    for (int i = 0; i < 1 + round % 7; ++i) {
      points.push_back(point(256 * static_cast<std::int64_t>(random() % 1000000),
                             static_cast<std::int64_t>(random() % 5000000)));
    }
    const PlotScale scale(points, points[0].bytes, 300, 200);
    for (const PlanPoint& a : points) {
      CHECK(scale.x_of(a.bytes) >= 0);
      CHECK(scale.x_of(a.bytes) < 300);
      CHECK(scale.y_of(a.step_ns) >= 0);
      CHECK(scale.y_of(a.step_ns) < 200);
      for (const PlanPoint& b : points) {
        if (a.bytes < b.bytes) CHECK(scale.x_of(a.bytes) <= scale.x_of(b.bytes));
        if (a.step_ns < b.step_ns) CHECK(scale.y_of(a.step_ns) >= scale.y_of(b.step_ns));
      }
      const auto found = point_at(points, scale, scale.x_of(a.bytes), scale.y_of(a.step_ns), 3);
      REQUIRE(found.has_value());
      CHECK(scale.x_of(points[*found].bytes) == scale.x_of(a.bytes));
    }
    CHECK(point_at(points, scale, -50, -50, 10) == std::nullopt);
    CHECK(scale.byte_ticks(80).size() < 8);
  }
}
