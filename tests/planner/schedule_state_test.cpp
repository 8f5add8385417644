#include "sim/schedule_state.h"

#include <algorithm>
#include <random>

#include "tests/catch.h"
#include "tests/planner/small_graph.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

/// Sum of what is above the limit, from the outside: the peak when every other moment is allowed.
void check_against_evaluate(const Dataflow& flow, const ScheduleState& state) {
  const ScheduleFigures figures = evaluate(flow, state.schedule());
  REQUIRE(figures.illegal.empty());
  CHECK(figures.cost_ns == state.cost_ns());
  CHECK((state.excess_bytes() == 0) == (figures.peak_bytes <= state.limit_bytes()));
  std::int64_t peak = 0;
  for (std::size_t i = 0; i < flow.body.size(); ++i) {
    peak = std::max(peak, state.live_bytes(static_cast<Position>(i)));
  }
  for (std::size_t i = 0; i < state.added().size(); ++i) {
    peak = std::max(peak, state.added_live_bytes(i));
  }
  CHECK(peak == figures.peak_bytes);
}

void wander(const Dataflow& flow, std::uint64_t seed, int moves) {
  const ScheduleTask task = task_of(flow);
  const std::int64_t peak = evaluate(flow, keep_all_schedule(flow)).peak_bytes;
  ScheduleState state(task, peak * 8 / 10);
  const ScheduleState fresh = state;
  std::mt19937_64 random(seed);
  for (int i = 0; i < moves; ++i) {
    const std::size_t count = state.added().size();
    if (count > 0 && random() % 3 == 0) {
      const Moment m = state.added()[random() % count];
      state.erase(stage_of(m), op_of(m));
    } else {
      const auto stage = static_cast<Position>(random() % flow.body.size());
      const auto op = static_cast<Position>(random() % flow.body.size());
      if (state.can_insert(stage, op)) state.insert(stage, op);
    }
    check_against_evaluate(flow, state);
  }
  state.load(keep_all_schedule(flow));
  CHECK(state.excess_bytes() == fresh.excess_bytes());
  CHECK(state.cost_ns() == fresh.cost_ns());
}

}  // namespace

TEST_CASE("state: figures stay exact under random changes of plain graphs") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    wander(dataflow_of(small_graph(seed, 8)), seed, 60);
  }
}

TEST_CASE("state: figures stay exact under random changes of programs") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    wander(dataflow_of(random_program(seed, 30)), seed, 60);
  }
}
