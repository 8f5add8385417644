#include "gui/lanes.h"

#include <algorithm>
#include <random>

#include "gui/gallop.h"
#include "gui/transfers.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

TEST_CASE("every op that runs in the view is in a box of the lane, and boxes do not overlap") {
  std::mt19937 random(5);
  const auto run = run_of(test::training_trace({.layer_count = 6}));
  const auto streams = spans_by_stream(run->trace(), run->timeline().spans);
  REQUIRE(streams.size() == 1);
  REQUIRE(streams.front().stream() == 0);
  REQUIRE(streams.front().in_order());
  for (int round = 0; round < 40; ++round) {
    const ColumnScale scale{test::random_range(random, run->whole(Axis::time)),
                            static_cast<int>(random() % 300) + 1};
    const auto boxes = op_boxes(*run, streams.front(), scale, Axis::time);
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

TEST_CASE("a box of one column has all that begins there, and is named by what takes longest") {
  std::mt19937 random(6);
  const auto run = run_of(test::training_trace({.layer_count = 12, .step_count = 9}));
  const auto& all = run->timeline().spans;
  const auto streams = spans_by_stream(run->trace(), all);
  for (int round = 0; round < 60; ++round) {
    const Axis axis = round % 2 == 0 ? Axis::time : Axis::change;
    const ColumnScale scale{test::random_range(random, run->whole(axis)),
                            static_cast<int>(random() % 40) + 1};
    const auto column = [&](const OpSpan& span) {
      return scale.column_of(axis == Axis::time
                                 ? span.begin_ns
                                 : run->pyramid().first_change_from(span.begin_ns, Axis::time));
    };
    for (const OpBox& box : op_boxes(*run, streams.front(), scale, axis)) {
      if (box.end_px - box.begin_px > 1 || box.begin_px == 0) continue;
      std::int64_t count = 0;
      const OpSpan* longest = nullptr;
      for (const OpSpan& span : all) {
        if (column(span) != box.begin_px) continue;
        ++count;
        const auto length_ns = [](const OpSpan& of) { return of.end_ns - of.begin_ns; };
        if (longest == nullptr || length_ns(span) > length_ns(*longest)) longest = &span;
      }
      REQUIRE(box.count <= count);  // the last may begin within a box before
      if (box.count == count) REQUIRE(longest->op == box.op);
    }
  }
}

TEST_CASE("the longest op of any part of a stream") {
  std::mt19937 random(7);
  const auto run = run_of(test::training_trace({.layer_count = 8, .step_count = 20}));
  const auto streams = spans_by_stream(run->trace(), run->timeline().spans);
  const StreamSpans& spans = streams.front();
  REQUIRE(spans.size() > 300);
  for (int round = 0; round < 300; ++round) {
    const std::size_t a = random() % spans.size();
    const std::size_t b = random() % spans.size();
    const std::size_t last = std::max(a, b) + 1;
    std::size_t best = std::min(a, b);
    for (std::size_t at = best; at < last; ++at) {
      if (spans[at].end_ns - spans[at].begin_ns > spans[best].end_ns - spans[best].begin_ns) {
        best = at;
      }
    }
    REQUIRE(spans.longest(std::min(a, b), last) == best);
    const std::int64_t ns = spans[best].begin_ns + static_cast<std::int64_t>(random() % 3) - 1;
    std::size_t first = 0;
    while (first < spans.size() && spans[first].begin_ns < ns) ++first;
    REQUIRE(spans.first_from(ns, 0, spans.size()) == first);
    REQUIRE(gallop(0, spans.size(), random() % 9,
                   [&](std::size_t at) { return spans[at].begin_ns >= ns; }) == first);
  }
}

//  to host     a 100..160   b 120..200      to device   a 300..340
TEST_CASE("what is on its way over the link counts from the begin of its copy to the end") {
  Trace trace;
  const auto buffer = [&trace](SpaceKind kind, std::int64_t bytes) {
    Buffer& made = trace.buffers.emplace_back();
    made.space.kind = kind;
    made.size_bytes = bytes;
    return BufferId{trace.buffers.size() - 1};
  };
  const auto copy = [&trace](BufferId from, BufferId to) {
    Op& made = trace.ops.emplace_back();
    made.kind = OpKind::copy;
    made.operands = {{.role = "src", .buffer = from, .reads = 1},
                     {.role = "dst", .buffer = to, .writes = 1}};
    return OpId{trace.ops.size() - 1};
  };
  const BufferId a = buffer(SpaceKind::device, 1000);
  const BufferId a_host = buffer(SpaceKind::host_pinned, 1000);
  const BufferId b = buffer(SpaceKind::device, 30);
  const BufferId b_host = buffer(SpaceKind::host_pinned, 30);
  const OpId a_out = copy(a, a_host);
  const OpId b_out = copy(b, b_host);
  const OpId a_back = copy(a_host, a);
  const OpId within = copy(a, b);
  const Transfers transfers = transfers_of(
      trace,
      {{a_out, 0, 100, 160}, {b_out, 0, 120, 200}, {within, 0, 210, 250}, {a_back, 0, 300, 340}});
  CHECK(transfers.to_host ==
        std::vector<LevelPoint>{{100, 1000}, {120, 1030}, {160, 30}, {200, 0}});
  CHECK(transfers.to_device == std::vector<LevelPoint>{{300, 1000}, {340, 0}});
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
    const ColumnScale scale{test::random_range(random, run->whole(axis)), 200};
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

TEST_CASE("ranks of one run are in their order, a run alone has none") {
  const auto rank = [](std::int32_t number) {
    Trace trace = test::training_trace({.layer_count = 2});
    trace.meta.rank = number;
    trace.meta.rank_count = 3;
    for (Buffer& buffer : trace.buffers) buffer.space.rank = number;
    return run_of(std::move(trace));
  };
  ViewState state = test::state_of(rank(2));
  CHECK(ranks_of(state).empty());
  lay_over(state, rank(0));
  lay_over(state, run_of(test::training_trace({})));  // no rank
  lay_over(state, rank(1));
  CHECK(ranks_of(state) == std::vector<std::ptrdiff_t>{0, 2, -1});
  const ColumnScale scale{state.run->steady_step(Axis::time), 40};
  // The same program on all of them: the same bytes at the same points.
  CHECK(rank_columns(state, -1, scale) == rank_columns(state, 0, scale));
}

TEST_CASE("lanes of copies have short names that are never cut") {
  CHECK(lane_name({.name = "device to host", .kind = StreamKind::device_to_host}) == "to host");
  CHECK(lane_name({.name = "h2d", .kind = StreamKind::host_to_device}) == "to device");
  CHECK(lane_name({.name = "compute"}) == "compute");
  CHECK(lane_name({}) == "ops");
}
