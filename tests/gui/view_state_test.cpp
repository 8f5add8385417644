// What the view shows follows from its state alone: limits, overlays, labels, texts, options.
#include <algorithm>
#include <map>
#include <set>

#include "gui/labels.h"
#include "gui/options.h"
#include "gui/run_report.h"
#include "gui/view_state.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"
#include "traces/error.h"

using namespace tidemark;
using test::run_of;
using test::state_of;

TEST_CASE("steady steps of two runs begin and end at the same place of the axis") {
  ViewState state = state_of(run_of(test::training_trace({.layer_count = 4})));
  const auto other =
      run_of(test::training_trace({.layer_count = 4, .step_count = 1, .recompute = true}));
  lay_over(state, other);
  for (const Axis axis : {Axis::time, Axis::change}) {
    state.axis = axis;
    const TimeMap& map = state.others[0].alignment.on(axis);
    CHECK(map.here(other->steady_step(axis).begin) == state.run->steady_step(axis).begin);
    CHECK(map.there(state.run->steady_step(axis).end) == other->steady_step(axis).end);
  }
}

TEST_CASE("the limits hold the run and what lies over it") {
  ViewState state = state_of(run_of(test::training_trace({})));
  lay_over(state, run_of(test::training_trace({.recompute = true})));
  state.one_step = true;
  const ViewRange step = state.run->steady_step(Axis::time);
  // The longer step of the plan is fitted into that of the run.
  CHECK(state.others[0].run->timeline().step_ns > step.span());
  CHECK(limits_of(state) == step);
}

TEST_CASE("behind a run that was cut off the limits hold the rest of what lies over it") {
  Trace trace = test::training_trace({.step_count = 1});
  trace.events.resize(trace.events.size() * 2 / 3);
  ViewState state = state_of(run_of(trace));
  const auto other = run_of(test::training_trace({.recompute = true}));
  lay_over(state, other);
  for (const Axis axis : {Axis::time, Axis::change}) {
    state.axis = axis;
    CHECK(limits_of(state).end > state.run->whole(axis).end);
    CHECK(state.others[0].alignment.on(axis).there(limits_of(state).end) ==
          other->steady_step(axis).end);
  }
}

TEST_CASE("after its end a run shows nothing") {
  ViewState state = state_of(run_of(test::training_trace({})));
  const ViewRange whole = state.run->whole(Axis::time);
  const auto columns = columns_of(state, {{whole.begin, whole.end + whole.span()}, 200});
  CHECK(columns[99].extremes.max_bytes > 0);
  CHECK(columns[101] == PixelColumn{});
  CHECK(columns[199] == PixelColumn{});
}

TEST_CASE("an overlay holds the other run's peak in each step and nothing before the first") {
  ViewState state = state_of(run_of(test::training_trace({})));
  const auto other = run_of(test::training_trace({.recompute = true}));
  lay_over(state, other);
  const ColumnScale scale{limits_of(state), 700};
  const OverlayColumns overlay = overlay_of(state, 0, scale);
  REQUIRE(overlay.max_bytes.size() == 700);
  for (std::size_t step = 0; step < 3; ++step) {
    const ViewRange range = state.run->step(step, Axis::time);
    const auto at = [&](std::int64_t position) {
      return overlay.max_bytes.begin() + scale.column_of(position);
    };
    CHECK(*std::max_element(at(range.begin), at(range.end - 1)) == other->timeline().peak.bytes);
  }
  const int begin_px = scale.column_of(state.run->step(0, Axis::time).begin);
  for (int x = 0; x < begin_px - 1; ++x) {
    CHECK(overlay.max_bytes[static_cast<std::size_t>(x)] == -1);
  }
}

TEST_CASE("at each op an overlay shows what the other run holds at that op") {
  // Every other layer is recomputed: by clock the backward of one run meets another layer of the
  // other.
  const auto here = run_of(test::training_trace({}));
  const auto there = run_of(test::training_trace({.recompute = true}));
  for (const Axis axis : {Axis::time, Axis::change}) {
    ViewState state = state_of(here);
    state.axis = axis;
    state.range = limits_of(state);
    lay_over(state, there);
    std::map<std::string, std::int64_t> expected;  // by brute force, from the events alone
    std::int64_t total = 0;
    const auto& changes = there->timeline().changes;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      total += changes[i].delta_bytes;
      const bool last = i + 1 == changes.size() || changes[i + 1].op != changes[i].op ||
                        changes[i + 1].delta_bytes < 0;
      if (changes[i].delta_bytes > 0 && last && changes[i].step == 2) {
        expected[op_name(there->trace(), changes[i].op)] = total;
      }
    }
    std::size_t compared = 0;
    const auto& own = here->timeline().changes;
    for (std::size_t i = 0; i + 1 < own.size(); ++i) {
      if (own[i].step != 2 || own[i].delta_bytes < 0 || own[i + 1].op == own[i].op) continue;
      const std::string name = op_name(here->trace(), own[i].op);
      CAPTURE(name);
      const Instant instant = instant_of_change(*here, static_cast<std::int64_t>(i));
      CHECK(bytes_at_same_point(state, state.others[0], instant) == expected.at(name));
      ++compared;
    }
    CHECK(compared > 0);
  }
}

TEST_CASE("outside of the steps an overlay has nothing to compare") {
  ViewState state = state_of(run_of(test::training_trace({})));
  lay_over(state, state.run);
  const auto at = [&state](std::int64_t change) {
    const Instant instant = instant_of_change(*state.run, change);
    const auto bytes = bytes_at_same_point(state, state.others[0], instant);
    if (bytes) CHECK(*bytes == instant.total_bytes);
    return bytes.has_value();
  };
  CHECK_FALSE(at(0));
  state.axis = Axis::change;
  CHECK(at(state.run->timeline().peak.change));
  CHECK(at(state.run->steady_step(Axis::change).begin - 1));
  CHECK_FALSE(at(state.run->step(0, Axis::change).begin - 1));
}

TEST_CASE("time over the budget is the time of the states above it") {
  //  granules  1 3 2 -    budget 1 granule: over by 2, for 5 + 7 ns
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId a = sketch.buffer("a", layer, Category::weight, 256);
  const BufferId b = sketch.buffer("b", layer, Category::activation, 512);
  const BufferId c = sketch.buffer("c", layer, Category::activation, 256);
  sketch.begin_step(0);
  sketch.alloc(a);
  sketch.wait(10);
  sketch.alloc(b);
  sketch.wait(5);
  sketch.free(b);
  sketch.alloc(c);
  sketch.wait(7);
  sketch.free(c);
  sketch.wait(20);
  sketch.free(a);
  sketch.end_step(0);
  const auto run = run_of(sketch.trace);
  CHECK(over_budget(*run, 256) == OverBudget{.bytes = 512, .time_ns = 12});
  CHECK(over_budget(*run, 768) == OverBudget{});
  CHECK(over_budget(*run, -1) == OverBudget{});
}

TEST_CASE("a budget far above everything does not flatten the picture") {
  ViewState state = state_of(run_of(test::training_trace({})));
  const std::int64_t peak = state.run->timeline().run_peak.bytes;
  state.budget_bytes = peak * 5 / 4;
  CHECK(top_bytes_of(state) > state.budget_bytes);
  state.budget_bytes = peak * 100;
  CHECK(top_bytes_of(state) < peak * 3 / 2);
}

TEST_CASE("both axes show the same changes") {
  const auto run = run_of(test::random_trace({.seed = 6, .change_count = 2000}));
  const ViewRange range{run->timeline().changes[500].time_ns, run->timeline().changes[900].time_ns};
  const ViewRange changes = range_on(*run, range, Axis::time, Axis::change);
  CHECK(run->timeline().changes[static_cast<std::size_t>(changes.begin)].time_ns == range.begin);
  CHECK(range_on(*run, changes, Axis::change, Axis::time) == range);
  CHECK(range_on(*run, run->whole(Axis::time), Axis::time, Axis::change) ==
        run->whole(Axis::change));
}

TEST_CASE("a jump moves the view only when it must") {
  const ViewRange limits{0, 1000};
  CHECK(revealing({100, 200}, 150, limits) == ViewRange{100, 200});
  CHECK(revealing({100, 200}, 700, limits) == ViewRange{650, 750});
  CHECK(revealing({100, 200}, 3, limits) == ViewRange{0, 100});
}

TEST_CASE("ticks are inside, apart and different") {
  for (const std::int64_t span : {20LL, 1'500LL, 88'000'000LL, 70'000'000'000LL}) {
    const ColumnScale scale{{12'345'678, 12'345'678 + span}, 900};
    const auto ticks = axis_ticks(scale, Axis::time, 0, 90);
    CAPTURE(span);
    CHECK(ticks.size() >= 2);
    std::set<std::string> texts;
    int last_px = -1000;
    for (const Tick& tick : ticks) {
      CAPTURE(tick.text);
      CHECK(tick.at_px >= 0);
      CHECK(tick.at_px < 900);
      CHECK(tick.at_px - last_px >= 40);
      last_px = tick.at_px;
      texts.insert(tick.text);
    }
    CHECK(texts.size() == ticks.size());
  }
}

TEST_CASE("ticks count from the zero of the axis") {
  const auto ticks = axis_ticks({{5'000'000, 9'000'000}, 400}, Axis::time, 5'000'000, 100);
  REQUIRE(ticks.size() == 4);
  CHECK(ticks.front() == Tick{0, "0 ms"});
  CHECK(ticks.back() == Tick{300, "3 ms"});
}

TEST_CASE("byte ticks are round") {
  const auto ticks = byte_ticks({.top_bytes = std::int64_t{260} << 20, .height_px = 300}, 50);
  std::vector<std::string> texts;
  for (const Tick& tick : ticks) texts.push_back(tick.text);
  CHECK(texts ==
        std::vector<std::string>{"0", "50 MiB", "100 MiB", "150 MiB", "200 MiB", "250 MiB"});
}

TEST_CASE("times read well at every size") {
  CHECK(format_time_ns(850) == "850 ns");
  CHECK(format_time_ns(12'500) == "12.500 µs");
  CHECK(format_time_ns(85'900'000) == "85.900 ms");
  CHECK(format_time_ns(1'234'567'000) == "1.234567 s");
}

TEST_CASE("a band label lies within its band") {
  const auto run = run_of(test::training_trace({}));
  const auto columns = run->pyramid().columns({run->whole(Axis::time), 900}, Axis::time);
  const ByteScale scale{.top_bytes = run->timeline().run_peak.bytes, .height_px = 400};
  const LabelSize size{.width_px = 80, .height_px = 14};
  const auto place = place_label(columns, scale, Band::weight, size);
  REQUIRE(place.has_value());
  for (int x = place->x - 40; x <= place->x + 40; ++x) {
    for (int y = place->y - 7; y < place->y + 7; ++y) {
      REQUIRE(band_at(columns[static_cast<std::size_t>(x)], scale, y) == Band::weight);
    }
  }
  CHECK_FALSE(place_label(columns, scale, Band::communication, size).has_value());
}

TEST_CASE("a run cut off in its first step shows that step to its end") {
  Trace trace = test::training_trace({.step_count = 1});
  const auto end = std::find_if(trace.events.begin(), trace.events.end(), [](const Event& event) {
    return event.kind == EventKind::step_end;
  });
  REQUIRE(end != trace.events.end());
  const auto kept = std::distance(trace.events.begin(), end) / 2;
  trace.events.resize(static_cast<std::size_t>(kept));
  const auto cut = run_of(trace);
  REQUIRE(cut->timeline().step_begin_ns.size() == 1);
  for (const Axis axis : {Axis::time, Axis::change}) {
    CHECK(cut->steady_step(axis).end == cut->whole(axis).end);
    CHECK(cut->steady_step(axis).span() > 1);
  }
  // Laid over another run it has an outline as high as its peak.
  ViewState state = state_of(run_of(test::training_trace({})));
  lay_over(state, cut);
  state.one_step = true;
  state.range = limits_of(state);
  const auto outline = overlay_of(state, 0, {state.range, 800}).max_bytes;
  CHECK(*std::max_element(outline.begin(), outline.end()) == cut->timeline().peak.bytes);
}

TEST_CASE("a label keeps clear of the lines that cross its band") {
  const auto run = run_of(test::training_trace({}));
  const auto columns = run->pyramid().columns({run->whole(Axis::time), 900}, Axis::time);
  const ByteScale scale{.top_bytes = run->timeline().run_peak.bytes, .height_px = 400};
  const LabelSize size{.width_px = 80, .height_px = 14};
  const auto plain = place_label(columns, scale, Band::weight, size);
  REQUIRE(plain.has_value());
  const std::vector<std::vector<int>> lines = {std::vector<int>(900, plain->y),
                                               std::vector<int>(900, -1)};
  const auto place = place_label(columns, scale, Band::weight, size, lines);
  REQUIRE(place.has_value());
  CHECK(std::abs(place->y - plain->y) >= size.height_px / 2 + 2);
  for (int x = place->x - 40; x <= place->x + 40; ++x) {
    for (int y = place->y - 7; y < place->y + 7; ++y) {
      REQUIRE(band_at(columns[static_cast<std::size_t>(x)], scale, y) == Band::weight);
    }
  }
  // Lines at every fifth row leave no room for 14.
  std::vector<std::vector<int>> dense;
  for (int row = 0; row < 400; row += 5) dense.emplace_back(900, row);
  CHECK_FALSE(place_label(columns, scale, Band::weight, size, dense).has_value());
}

TEST_CASE("phases cover the columns of the run in order") {
  const auto run = run_of(test::training_trace({.step_count = 1}));
  const auto spans = phase_spans(*run, {run->steady_step(Axis::time), 500}, Axis::time);
  REQUIRE(spans.size() >= 3);
  CHECK(spans.front().begin_px == 0);
  CHECK(spans.back().end_px == 500);
  std::vector<Phase> phases;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    phases.push_back(spans[i].phase);
    if (i > 0) CHECK(spans[i].begin_px == spans[i - 1].end_px);
  }
  CHECK(phases == std::vector<Phase>{Phase::forward, Phase::backward, Phase::optimizer});
}

TEST_CASE("sizes and times of the command line") {
  ViewOptions options;
  parse_picture_size("1600x900", options);
  CHECK(options.width_px == 1600);
  CHECK(options.height_px == 900);
  for (const char* bad :
       {"", "1600", "x", "1600x", "1600x900x2", "99x900", "-1600x900", "1e3x900"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_picture_size(bad, options), InputError);
  }
  CHECK(parse_budget("3KiB", -1) == 3072);
  CHECK(parse_budget("60%", 1000) == 600);
  CHECK(parse_budget("12.5%", 800) == 100);
  for (const char* bad : {"", "%", "60%%", "0%", "-5%", "1001%", "nan%", "x60%", "60 %"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_budget(bad, 1000), InputError);
  }
  CHECK_THROWS_AS(parse_budget("60%", -1), InputError);
  CHECK_NOTHROW(require_png("a/b.png", "--screenshot"));
  CHECK_THROWS_AS(require_png("a/b.png.xyz", "--screenshot"), InputError);
  CHECK(parse_time_ns("12.5ms") == 12'500'000);
  CHECK(parse_time_ns("70 ns") == 70);
  CHECK(parse_time_ns("3s") == 3'000'000'000);
  for (const char* bad : {"", "ms", "12", "12 parsecs", "-1ms", "nan s", "1e300s"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_time_ns(bad), InputError);
  }
}
