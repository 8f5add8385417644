#include "gui/lanes.h"

#include <algorithm>
#include <random>

#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

ViewRange part_of(std::mt19937& random, ViewRange whole) {
  const auto span = static_cast<std::uint32_t>(whole.span());
  const auto draw = [&] { return whole.begin + static_cast<std::int64_t>(random() % span); };
  const std::int64_t a = draw();
  const std::int64_t b = draw();
  return {std::min(a, b), std::max(a, b) + 1};
}

}  // namespace

TEST_CASE("every op that runs in the view is in a box of the lane, and boxes do not overlap") {
  std::mt19937 random(5);
  const auto run = run_of(test::training_trace({.layer_count = 6}));
  REQUIRE(streams_with_ops(*run) == std::vector<std::int32_t>{0});
  for (int round = 0; round < 40; ++round) {
    const ColumnScale scale{part_of(random, run->whole(Axis::time)),
                            static_cast<int>(random() % 300) + 1};
    const auto boxes = op_boxes(*run, 0, scale, Axis::time);
    std::int64_t in_boxes = 0;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      REQUIRE(boxes[i].begin_px >= 0);
      REQUIRE(boxes[i].end_px <= scale.width_px);
      REQUIRE(boxes[i].begin_px < boxes[i].end_px);
      if (i > 0) REQUIRE(boxes[i].begin_px >= boxes[i - 1].end_px);
      in_boxes += boxes[i].count;
    }
    std::int64_t expected = 0;  // by brute force
    for (const OpSpan& span : run->timeline().spans) {
      const std::int64_t end_ns = std::max(span.end_ns, span.begin_ns + 1);
      if (span.begin_ns < scale.range.end && end_ns > scale.range.begin) ++expected;
    }
    REQUIRE(in_boxes == expected);
  }
}

//  bytes  -  3  8  5     at 10, 20, 30
TEST_CASE("a level is the highest that it is within each column") {
  test::Sketch sketch;
  const BufferId buffer = sketch.buffer("b", sketch.layer("l"), Category::weight, 256);
  sketch.alloc(buffer);
  sketch.wait(100);
  sketch.free(buffer);
  const auto run = run_of(sketch.trace);
  const std::vector<LevelPoint> points = {{10, 3}, {20, 8}, {30, 5}};
  CHECK(level_columns(*run, points, {{0, 50}, 5}, Axis::time) ==
        std::vector<std::int64_t>{0, 3, 8, 5, 5});
  CHECK(level_columns(*run, points, {{15, 35}, 2}, Axis::time) == std::vector<std::int64_t>{8, 8});
  CHECK(level_columns(*run, points, {{28, 29}, 1}, Axis::time) == std::vector<std::int64_t>{8});
}

TEST_CASE("life bars are the lives that touch the view, largest first") {
  std::mt19937 random(8);
  const auto run = run_of(test::random_trace({.seed = 12, .change_count = 900}));
  const auto& changes = run->timeline().changes;
  for (int round = 0; round < 40; ++round) {
    const Axis axis = round % 2 == 0 ? Axis::time : Axis::change;
    const ColumnScale scale{part_of(random, run->whole(axis)), 200};
    const auto bars = life_bars(*run, scale, axis, {.limit = 10'000});
    std::size_t expected = 0;  // by brute force over the changes
    for (std::size_t i = 0; i < changes.size(); ++i) {
      if (changes.is_free(i)) continue;
      std::size_t end = i + 1;
      while (end < changes.size() &&
             !(changes.is_free(end) && changes.buffer(end) == changes.buffer(i))) {
        ++end;
      }
      const auto at = [&](std::size_t row) {
        return axis == Axis::time ? changes.time_ns(row) : static_cast<std::int64_t>(row);
      };
      const bool begun = at(i) < scale.range.end;
      const bool ended = end < changes.size() && at(end) <= scale.range.begin;
      if (begun && !ended) ++expected;
    }
    REQUIRE(bars.size() == expected);
    REQUIRE(std::is_sorted(bars.begin(), bars.end(),
                           [](const LifeBar& a, const LifeBar& b) { return a.bytes > b.bytes; }));
    const auto few = life_bars(*run, scale, axis, {.limit = 7});
    REQUIRE(few.size() == std::min<std::size_t>(7, bars.size()));
    for (std::size_t i = 0; i < few.size(); ++i) REQUIRE(few[i].bytes == bars[i].bytes);
  }
}

TEST_CASE("a bar shows uses and the longest idle time, and names and addresses select") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId y = sketch.buffer("layer.y", layer, Category::activation, 1000);
  const BufferId z = sketch.buffer("layer.z", layer, Category::activation, 2000);
  sketch.trace.buffers[y.index()].offset_bytes = 4096;
  const OpId f = sketch.op("f", layer, Phase::forward);
  const OpId g = sketch.op("g", layer, Phase::backward);
  sketch.operand(f, y);
  sketch.operand(g, y);
  sketch.alloc(y);
  sketch.alloc(z);
  sketch.run(f, 10);
  sketch.wait(60);
  sketch.run(g, 10);
  sketch.free(y);
  sketch.wait(20);
  sketch.free(z);
  const auto run = run_of(sketch.trace);
  const ColumnScale scale{{0, 100}, 100};
  const auto bars = life_bars(*run, scale, Axis::time, {.name_part = ".y"});
  REQUIRE(bars.size() == 1);
  CHECK(bars[0].buffer == y);
  CHECK(bars[0].begin_px == 0);
  CHECK(bars[0].end_px == 80);
  CHECK(bars[0].uses_px == std::vector<int>{0, 70});
  CHECK(bars[0].idle_begin_px == 10);
  CHECK(bars[0].idle_end_px == 70);
  const auto placed = life_bars(*run, scale, Axis::time, {.order = LifeOrder::address});
  REQUIRE(placed.size() == 1);
  CHECK(placed[0].offset_bytes == 4096);
}
