#include "sim/breakdown.h"

#include "tests/catch.h"
#include "tests/report/two_layers.h"

using namespace tidemark;

TEST_CASE("breakdown: groups of what is live at the peak, largest first") {
  const Trace trace = test::two_layers();
  const Timeline t = recorded_timeline(trace);
  REQUIRE(t.peak.bytes == 2048);
  CHECK(breakdown(trace, t, t.peak.change, {GroupBy::category}) ==
        std::vector<Holding>{
            {{"weight"}, 1024, 1}, {{"activation"}, 512, 1}, {{"temporary"}, 512, 1}});
  CHECK(breakdown(trace, t, t.peak.change, {GroupBy::layer}) ==
        std::vector<Holding>{{{"a.x"}, 1024, 1}, {{"a.y"}, 1024, 2}});
}

TEST_CASE("breakdown: the phase is that of the op for which a buffer was allocated") {
  const Trace trace = test::two_layers();
  const Timeline t = recorded_timeline(trace);
  CHECK(breakdown(trace, t, t.peak.change, {GroupBy::layer, GroupBy::phase}) ==
        std::vector<Holding>{{{"a.x", "init"}, 1024, 1},
                             {{"a.y", "backward"}, 512, 1},
                             {{"a.y", "forward"}, 512, 1}});
}

TEST_CASE("breakdown: at every instant every grouping adds up to the live bytes") {
  const Trace trace = test::two_layers();
  const Timeline t = recorded_timeline(trace);
  std::int64_t live = 0;
  for (std::size_t i = 0; i < t.changes.size(); ++i) {
    live += t.changes[i].delta_bytes;
    for (GroupBy by : {GroupBy::layer, GroupBy::category, GroupBy::phase, GroupBy::buffer}) {
      std::int64_t sum = 0;
      for (const Holding& h : breakdown(trace, t, static_cast<std::int64_t>(i), {by}))
        sum += h.bytes;
      CHECK(sum == live);
    }
  }
  CHECK(live == 0);
}

TEST_CASE("breakdown: before the first change nothing is live") {
  const Trace trace = test::two_layers();
  CHECK(breakdown(trace, recorded_timeline(trace), -1, {GroupBy::layer}).empty());
}

TEST_CASE("leaf_bytes: bytes of a layer that has layers below it do not count") {
  Trace trace = test::two_layers();
  CHECK(leaf_bytes(trace, recorded_timeline(trace).peak) == 2048);
  trace.buffers[0].layer = LayerId{0};
  CHECK(leaf_bytes(trace, recorded_timeline(trace).peak) == 1024);
  trace.buffers[0].layer = LayerId{};
  CHECK(leaf_bytes(trace, recorded_timeline(trace).peak) == 1024);
}

TEST_CASE("change_at: the last change at or before an instant") {
  const Timeline t = recorded_timeline(test::two_layers());
  CHECK(change_at(t, -1) == -1);
  CHECK(change_at(t, 0) == 0);
  CHECK(change_at(t, 99) == 0);
  CHECK(change_at(t, 100) == 1);
  CHECK(change_at(t, 140) == 4);
  CHECK(change_at(t, 1'000'000) == static_cast<std::int64_t>(t.changes.size()) - 1);
}

TEST_CASE("highest_bytes: categories at their own maximum in the last step") {
  const Trace trace = test::two_layers();
  const Timeline t = recorded_timeline(trace);
  CHECK(highest_bytes(trace, t, {Category::weight}) == 1024);
  CHECK(highest_bytes(trace, t, {Category::activation, Category::temporary}) == 1024);
  CHECK(highest_bytes(trace, t, {Category::gradient}) == 0);
}
