#include "gui/instant_report.h"

#include <algorithm>
#include <numeric>

#include "gui/address_strip.h"
#include "tests/catch.h"
#include "tests/gui/synthetic.h"

using namespace tidemark;
using test::run_of;
using test::state_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the difference of two runs sums to that of their totals") {
  ViewState state = state_of(run_of(test::training_trace({})));
  lay_over(state, run_of(test::training_trace({.recompute = true})));
  state.axis = Axis::change;
  const Instant peak = instant_of_change(*state.run, state.run->timeline().peak.change);
  const auto difference = difference_at(state, state.others[0], peak);
  REQUIRE(difference.has_value());
  const auto sum = [](const std::vector<DifferenceRow>& rows) {
    return std::accumulate(
        rows.begin(), rows.end(), std::int64_t{0},
        [](std::int64_t total, const DifferenceRow& row) { return total + row.change_bytes(); });
  };
  const std::int64_t change_bytes = difference->there_bytes - difference->here_bytes;
  CHECK(change_bytes < 0);
  CHECK(sum(difference->categories) == change_bytes);
  CHECK(sum(difference->buffers) == change_bytes);
  CHECK(std::is_sorted(difference->buffers.begin(), difference->buffers.end(),
                       [](const DifferenceRow& a, const DifferenceRow& b) {
                         return std::abs(a.change_bytes()) > std::abs(b.change_bytes());
                       }));
  const std::string html = difference_html(state, peak);
  CHECK(contains(html, difference->buffers.front().name));
  CHECK(contains(difference_html(state_of(state.run), peak), "Nothing is compared"));
}

TEST_CASE("why a buffer is alive: its uses, its idle time, and what could take it away") {
  const auto run = run_of(test::training_trace({.layer_count = 4, .step_count = 1}));
  const auto rows = alive_rows(*run, run->timeline().peak.change);
  const auto by_category = [&](Category category) {
    return *std::find_if(rows.begin(), rows.end(), [&](const AliveRow& row) {
      return run->trace()[row.buffer].category == category && row.idle_ns > 0;
    });
  };
  const std::string activation = why_alive_html(*run, by_category(Category::activation), 0);
  CHECK(contains(activation, "longest time without a use"));
  CHECK(contains(activation, "Offload"));
  const std::string weight = why_alive_html(*run, by_category(Category::weight), 0);
  CHECK(contains(weight, "a weight has to be kept"));
}

TEST_CASE("a range says what comes, what stays and the mean of each group") {
  ViewState state = state_of(run_of(test::random_trace({.seed = 2, .change_count = 500})));
  for (const StackBy by : {StackBy::category, StackBy::tensor}) {
    state.group_by = by;
    const ViewRange range{state.range.begin + 40, state.range.end - 90};
    const auto means = mean_by_group(state, range);
    const RangeStatistics statistics = range_statistics(*state.run, range, Axis::time);
    CHECK(std::accumulate(means.begin(), means.end(), 0.0) == Approx(statistics.mean_bytes));
    CHECK(contains(range_html(state, range), "alive at its end"));
  }
}

TEST_CASE("survivors of a range are the allocations in it that are not freed in it") {
  const auto run = run_of(test::random_trace({.seed = 6, .change_count = 300}));
  const ViewRange range{50, 250};
  const RangeStatistics statistics = range_statistics(*run, range, Axis::change);
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  std::int64_t largest_bytes = 0;
  const auto& changes = run->timeline().changes;
  for (std::size_t i = 50; i < 250; ++i) {
    largest_bytes = std::max(largest_bytes, changes.delta_bytes(i));
    if (changes.is_free(i)) continue;
    bool freed = false;
    for (std::size_t j = i + 1; j < 250; ++j)
      freed = freed || changes.buffer(j) == changes.buffer(i);
    count += freed ? 0 : 1;
    bytes += freed ? 0 : changes.delta_bytes(i);
  }
  CHECK(statistics.survivor_count == count);
  CHECK(statistics.survivor_bytes == bytes);
  CHECK(statistics.largest_bytes == largest_bytes);
}

//  address  0..512 a   512..768 free   768..1024 b
TEST_CASE("addresses at an instant are covered by buffers and what is free between them") {
  test::Sketch sketch;
  const LayerId layer = sketch.layer("l");
  const BufferId a = sketch.buffer("a", layer, Category::weight, 512);
  const BufferId b = sketch.buffer("b", layer, Category::weight, 256);
  sketch.trace.buffers[a.index()].offset_bytes = 0;
  sketch.trace.buffers[b.index()].offset_bytes = 768;
  sketch.alloc(a);
  sketch.wait(1);
  sketch.alloc(b);
  const auto run = run_of(sketch.trace);
  CHECK(address_parts(*run, 1) ==
        std::vector<AddressPart>{{0, 512, a}, {512, 768, BufferId{}}, {768, 1024, b}});
  CHECK(address_parts(*run, -1).empty());
  const Fragmentation sum = fragmentation_of(address_parts(*run, 1));
  CHECK(sum == Fragmentation{768, 256, 256, 1});
  CHECK(fragmentation_line(sum) == "768 B used, 256 B free in 1 gap, the largest 256 B");
  CHECK(fragmentation_line(fragmentation_of(address_parts(*run, 0))) ==
        "512 B used, no gap below the highest address");
}
