// Equal points of two runs: of a map by itself, and of the ops of two runs.
#include <map>
#include <random>

#include "gui/time_map.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;

namespace {

/// Begin and end of each op of the last step, by name.
std::map<std::string, std::vector<OpSpan>> spans_of(const Run& run) {
  std::map<std::string, std::vector<OpSpan>> spans;
  const auto last = static_cast<std::int32_t>(run.timeline().step_begin_ns.size()) - 1;
  for (const OpSpan& span : run.timeline().spans) {
    if (span.step == last) spans[run.trace()[span.op].name].push_back(span);
  }
  return spans;
}

void check_rises(const TimeMap& map, ViewRange range) {
  const std::int64_t pace = std::max<std::int64_t>(range.span() / 5000, 1);
  std::int64_t before = map.there(range.begin - 2 * pace);
  for (std::int64_t at = range.begin - pace; at < range.end + 2 * pace; at += pace) {
    const std::int64_t there = map.there(at);
    REQUIRE(there >= before);
    before = there;
  }
}

}  // namespace

TEST_CASE("time map: without knots it is the identity") {
  const TimeMap map;
  for (const std::int64_t at : {-7LL, 0LL, 123'456'789LL}) {
    CHECK(map.there(at) == at);
    CHECK(map.here(at) == at);
  }
  CHECK(map.is_shift());
}

TEST_CASE("time map: linear between knots, slope 1 outside, the last of equal knots counts") {
  const TimeMap map({{10, 100}, {20, 130}, {20, 150}, {30, 150}});
  CHECK_FALSE(map.is_shift());
  CHECK(map.there(4) == 94);
  CHECK(map.there(10) == 100);
  CHECK(map.there(15) == 115);
  CHECK(map.there(19) == 127);
  CHECK(map.there(20) == 150);  // what the other run does in between takes no time here
  CHECK(map.there(25) == 150);
  CHECK(map.there(33) == 153);
  CHECK(map.here(115) == 15);
  CHECK(map.here(140) == 20);
  CHECK(map.here(150) == 30);
  CHECK(TimeMap({{5, 9}, {6, 10}, {90, 94}}).is_shift());
}

TEST_CASE("time map: years in nanoseconds do not overflow") {
  const std::int64_t year_ns = 365LL * 86'400 * 1'000'000'000;
  const TimeMap map({{0, 0}, {year_ns, 3 * year_ns}});
  CHECK(map.there(year_ns / 2) == year_ns / 2 * 3);
}

TEST_CASE("time map: it never decreases, and is exact at the knots that it keeps") {
  std::mt19937 random(5);
  const auto below = [&random](unsigned n) { return static_cast<std::int64_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    std::vector<Knot> knots;
    Knot at{below(100), below(100)};
    for (int i = 0; i < 30; ++i) {
      at.here += below(4);
      at.there += below(4);
      knots.push_back(at);
    }
    const TimeMap map(knots);
    check_rises(map, {knots.front().here, knots.back().here + 1});
    for (std::size_t i = 0; i < knots.size(); ++i) {
      if (i + 1 < knots.size() && knots[i + 1].here == knots[i].here) continue;
      REQUIRE(map.there(knots[i].here) == knots[i].there);
    }
    // Knots that go back do not break the order.
    std::shuffle(knots.begin(), knots.end(), random);
    check_rises(TimeMap(knots), {0, 250});
  }
}

TEST_CASE("alignment: a run over itself is the identity, and not fitted") {
  for (const Trace& trace :
       {test::training_trace({}), test::random_trace({.seed = 3, .change_count = 500})}) {
    const auto run = run_of(trace);
    const Alignment alignment = align(*run, *run);
    CHECK_FALSE(alignment.is_fitted(Axis::time));
    for (const Axis axis : {Axis::time, Axis::change}) {
      const ViewRange all = run->whole(axis);
      for (std::int64_t i = 0; i <= 1000; ++i) {
        const std::int64_t at = all.begin + all.span() * i / 1000;
        REQUIRE(alignment.on(axis).there(at) == at);
        REQUIRE(alignment.on(axis).here(at) == at);
      }
    }
  }
}

TEST_CASE("alignment: ops begin and end together") {
  const auto here = run_of(test::training_trace({}));
  const auto there = run_of(test::training_trace({.step_count = 1, .recompute = true}));
  const Alignment alignment = align(*here, *there);
  CHECK(alignment.fit == EventFit::ops);
  CHECK(alignment.is_fitted(Axis::time));
  const auto other = spans_of(*there);
  std::size_t added = 0;
  const auto own = spans_of(*here);
  for (const auto& [name, spans] : own) {
    CAPTURE(name);
    REQUIRE(other.at(name).size() == 1);
    CHECK(alignment.time.there(spans[0].begin_ns) == other.at(name)[0].begin_ns);
    // The next op begins where this one ends, or behind what the plan put in between.
    CHECK(alignment.time.there(spans[0].end_ns - 1) == other.at(name)[0].end_ns - 1);
  }
  for (const auto& [name, spans] : other) added += own.contains(name) ? 0 : 1;
  CHECK(added == 6);  // the recomputations
  check_rises(alignment.time, here->whole(Axis::time));
  check_rises(alignment.change, here->whole(Axis::change));
}

TEST_CASE("alignment: ops in another order do not turn time back") {
  Trace reordered = test::training_trace({.step_count = 1});
  // Two ops in the middle change places.
  std::swap(reordered.ops[20].name, reordered.ops[40].name);
  const auto here = run_of(test::training_trace({.step_count = 1}));
  const auto there = run_of(reordered);
  const Alignment alignment = align(*here, *there);
  CHECK(alignment.fit == EventFit::ops);
  check_rises(alignment.time, here->whole(Axis::time));
  const auto other = spans_of(*there);
  std::size_t apart = 0;
  for (const auto& [name, spans] : spans_of(*here)) {
    apart += alignment.time.there(spans[0].begin_ns) == other.at(name)[0].begin_ns ? 0 : 1;
  }
  CHECK(apart <= 2);
}

TEST_CASE("alignment: without common ops the steps begin and end together") {
  Trace foreign = test::training_trace({.recompute = true});
  for (Op& op : foreign.ops) op.name = "other." + op.name;
  const auto here = run_of(test::training_trace({}));
  const auto there = run_of(foreign);
  const Alignment alignment = align(*here, *there);
  CHECK(alignment.fit == EventFit::steps);
  for (const Axis axis : {Axis::time, Axis::change}) {
    CHECK(alignment.on(axis).there(here->steady_step(axis).begin) ==
          there->steady_step(axis).begin);
    CHECK(alignment.on(axis).there(here->steady_step(axis).end) == there->steady_step(axis).end);
  }
}

TEST_CASE("alignment: runs without steps keep their clocks") {
  const auto here = run_of(test::random_trace({.seed = 1, .change_count = 300}));
  const auto there = run_of(test::random_trace({.seed = 2, .change_count = 700}));
  const Alignment alignment = align(*here, *there);
  CHECK(alignment.fit == EventFit::begins);
  CHECK_FALSE(alignment.is_fitted(Axis::time));
}
