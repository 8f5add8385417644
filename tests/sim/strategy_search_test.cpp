// The search against a loop over all strategies that computes everything of each.
#include "sim/strategy_search.h"

#include <limits>

#include "../catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

SearchSpace space_of(std::int64_t ranks) {
  return {.ranks = ranks,
          .global_batch = 16,
          .sequence = 2048,
          .recipes = {find_recipe("zero1"), find_recipe("zero3"), find_recipe("ddp")},
          .recomputes = {RecomputeSet{}, RecomputeSet{Recompute::attention_core},
                         RecomputeSet{Recompute::full}},
          .most_virtual_stages = 3};
}

TimeModel time_of(const char* model) {
  return TimeModel(
      find_transformer(model)->model,
      machine_of(find_device("a100-80g"), shipped_devices().cluster("vtrain-a100-80g").topology),
      find_framework("megatron"));
}

}  // namespace

TEST_CASE("level A of time never exceeds the replay, and is it where stages are the same") {
  for (const char* name : {"megatron-22b", "moonlight-16b"}) {
    const Transformer& model = find_transformer(name)->model;
    const TimeModel time = time_of(name);
    SearchSpace space = space_of(8);
    space.sequence = 1024;
    std::int64_t same = 0;
    std::int64_t count = 0;
    for_each_strategy(model, space, [&](const Strategy& s) {
      if (++count % 7 != 0) return;
      const double least =
          time.least_ns(s, time.layer_times(s), std::numeric_limits<double>::infinity());
      const double replayed = time.step(s).total_ns();
      CHECK(least <= replayed * (1 + 1e-9));
      CHECK(least > replayed / 2);
      same += least > replayed * (1 - 1e-9) ? 1 : 0;
    });
    CHECK(count > 500);
    CHECK(same > count / 7 / 4);
  }
}

TEST_CASE("the search finds what a loop over everything finds, whatever it skips") {
  for (const char* name : {"megatron-22b", "moonlight-16b"}) {
    const Transformer& model = find_transformer(name)->model;
    const TimeModel time = time_of(name);
    const SearchSpace space = space_of(8);
    for (const double gib : {30.0, 60.0, 1000.0}) {
      const double most_bytes = gib * (1 << 30);
      double best_ns = std::numeric_limits<double>::infinity();
      Strategy best;
      std::int64_t count = 0;
      for_each_strategy(model, space, [&](const Strategy& s) {
        ++count;
        if (CapacityModel(model).peak(s).total() > most_bytes) return;
        const double ns =
            time.least_ns(s, time.layer_times(s), std::numeric_limits<double>::infinity());
        if (ns >= best_ns) return;
        best_ns = ns;
        best = s;
      });
      for (const bool skips : {true, false}) {
        for (const std::int64_t threads : {1, 3}) {
          const FastestStrategy found = find_fastest(
              time, space, {.memory_bytes = most_bytes, .skips = skips, .threads = threads});
          CHECK(found.points == count);
          REQUIRE(found.strategy.has_value() == (best_ns < 1e300));
          if (!found.strategy) continue;
          CHECK(found.step_ns == best_ns);
          CHECK(found.strategy->layout == best.layout);
          CHECK(found.peak_bytes <= most_bytes);
        }
      }
    }
  }
}

TEST_CASE("the search: nothing fits, and a space that is none") {
  const TimeModel time = time_of("megatron-22b");
  CHECK_FALSE(find_fastest(time, space_of(8), {.memory_bytes = 1}).strategy.has_value());
  CHECK_THROWS_AS(find_fastest(time, space_of(0), {.memory_bytes = 1, .threads = 2}), InputError);
}
