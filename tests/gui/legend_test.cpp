// What the legend says, and how its entries are put into rows.
#include <random>

#include "gui/legend.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;
using Sample = LegendEntry::Sample;

namespace {

Trace plan_of_training() {
  Trace trace = test::training_trace({.recompute = true});
  trace.meta.kind = TraceKind::planned;
  return trace;
}

std::vector<Sample> samples_of(const std::vector<LegendEntry>& legend) {
  std::vector<Sample> samples;
  for (const LegendEntry& entry : legend) samples.push_back(entry.sample);
  return samples;
}

std::vector<LegendEntry> legend_at(const ViewState& state) {
  return legend_of(state, over_budget(*state.run, state.budget_bytes));
}

}  // namespace

TEST_CASE("legend: one whole run needs none") {
  CHECK(legend_of({}, {}).empty());
  ViewState state;
  state.run = run_of(test::training_trace({}));
  CHECK(legend_at(state).empty());
}

TEST_CASE("legend: damage and out of memory are said first, of every run") {
  Trace damaged = test::training_trace({});
  damaged.health.truncated_bytes = 12;
  damaged.health.complete = false;
  Trace short_of_memory = plan_of_training();
  const EventKind kind = EventKind::out_of_memory;
  short_of_memory.events.push_back({.kind = kind, .index = 0, .size_bytes = 4096});
  ViewState state;
  state.run = run_of(damaged);
  auto legend = legend_at(state);
  REQUIRE(samples_of(legend) == std::vector<Sample>{Sample::warning});
  CHECK(legend[0].text.find("NOT COMPLETE") == 0);
  lay_over(state, run_of(short_of_memory));
  legend = legend_at(state);
  REQUIRE(legend.size() >= 2);
  CHECK(legend[0].text.find("recorded: NOT COMPLETE") == 0);
  CHECK(legend[1].text.find("planned: ended OUT OF MEMORY: 4.00 KiB") == 0);
}

TEST_CASE("legend: outlines, what they save, and the budget") {
  ViewState state;
  state.run = run_of(test::training_trace({}));
  lay_over(state, run_of(plan_of_training()));
  state.budget_bytes = state.run->timeline().peak.bytes - 1024;
  auto legend = legend_at(state);
  CHECK(samples_of(legend) ==
        std::vector<Sample>{Sample::stack, Sample::outline, Sample::saved, Sample::over_budget});
  CHECK(legend[3].text.find("over by 1.00 KiB for") != std::string::npos);
  state.budget_bytes = state.run->timeline().peak.bytes;
  legend = legend_at(state);
  CHECK(legend.back().sample == Sample::budget);
  CHECK(legend.back().text.find(", fits") != std::string::npos);
}

TEST_CASE("legend: a stretched time is said, and only that") {
  const auto outline = [](Trace trace) {
    ViewState state;
    state.run = run_of(test::training_trace({}));
    lay_over(state, run_of(std::move(trace)));
    return legend_at(state).at(1).text;
  };
  CHECK(outline(plan_of_training()).ends_with(", time fitted op by op"));
  CHECK(outline(test::training_trace({})).ends_with("(+0.0 %)"));
  Trace foreign = plan_of_training();
  for (Op& op : foreign.ops) op.name = "other." + op.name;
  CHECK(outline(foreign).ends_with(", time fitted to the step"));
}

TEST_CASE("legend: runs of one kind are told apart by their files") {
  const auto named = [](const char* file) {
    Trace trace = test::training_trace({});
    return std::make_shared<const Run>(file, std::move(trace));
  };
  ViewState state;
  state.run = named("a/one.tmk");
  CHECK(label_of(state, *state.run) == "recorded");
  lay_over(state, named("b/two.tmk"));
  lay_over(state, run_of(plan_of_training()));
  CHECK(label_of(state, *state.run) == "one.tmk");
  CHECK(label_of(state, *state.others[0].run) == "two.tmk");
  CHECK(label_of(state, *state.others[1].run) == "planned");
}

TEST_CASE("legend: no two boxes overlap, none leaves the rows, and none is lost") {
  std::mt19937 random(7);
  const auto number = [&random](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  for (int round = 0; round < 300; ++round) {
    const int width_px = number(50, 900);
    std::vector<LegendBox> boxes(static_cast<std::size_t>(number(0, 9)));
    for (LegendBox& box : boxes) {
      box = {.width_px = number(10, 400), .height_px = number(10, 40)};
      box.whole_row = number(0, 4) == 0;
    }
    const int height_px = layout_legend(boxes, width_px);
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      const LegendBox& a = boxes[i];
      REQUIRE(a.x >= 0);
      REQUIRE(a.x + a.width_px <= width_px);
      REQUIRE(a.y + a.height_px <= height_px);
      if (a.whole_row) REQUIRE(a.width_px == width_px);
      for (std::size_t j = 0; j < i; ++j) {
        const LegendBox& b = boxes[j];
        const bool apart = b.x + b.width_px <= a.x || b.y + b.height_px <= a.y;
        REQUIRE(apart);
      }
    }
    if (boxes.empty()) CHECK(height_px == 0);
  }
}
