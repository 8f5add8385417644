// Level C against level B, which shares no code with it: the same peak from single tensors.
#include "sim/capacity_trace.h"

#include <set>

#include "../catch.h"
#include "random_strategy.h"
#include "sim/capacity_walk.h"
#include "sim/timeline.h"
#include "traces/error.h"
#include "traces/validate.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

StepPace even_pace(const Strategy& s) {
  const auto stages = static_cast<std::size_t>(s.layout.pipeline * s.layout.virtual_stages);
  return {.stages = std::vector<StageTime>(stages, {1000, 1000, 1000}), .step_ns = 0};
}

}  // namespace

TEST_CASE("capacity trace: the peak of level B, of any strategy and rank, but for rounding") {
  Random random(5);
  for (const Transformer& m :
       {with_layers("gpt3-175b", 24), with_layers("llama3-8b", 24),
        with_layers("moonlight-16b", 24), with_layers("qwen3-30b-a3b", 12)}) {
    for (int round = 0; round < 40; ++round) {
      const Strategy s = random_strategy(random, m);
      const auto rank =
          static_cast<std::int64_t>(random.below(static_cast<std::size_t>(s.layout.pipeline)));
      const WalkedPeak expected = walk_rank(m, s, rank);
      const Trace trace = strategy_trace(m, s, rank, even_pace(s));
      CAPTURE(m.name, round, rank, to_string(s.schedule), s.recipe.name);
      REQUIRE(index_fault(trace).empty());
      const Peak peak = recorded_timeline(trace).peak;
      const double rounding = 257 * static_cast<double>(peak.owners.size());
      CHECK(static_cast<double>(peak.bytes) >= expected.memory.total() - 1);
      CHECK(static_cast<double>(peak.bytes) <= expected.memory.total() + rounding);
    }
  }
}

TEST_CASE("capacity trace: every tensor of the step is freed, states are not, time goes on") {
  const Transformer m = with_layers("llama3-8b", 8);
  Strategy s;
  s.layout = {.pipeline = 4, .data = 8};
  s.schedule = PipelineSchedule::zero_bubble;
  s.recipe = find_recipe("fsdp2");
  s.batch = {.sequence = 1024, .micro_batches = 8};
  const Trace trace = strategy_trace(m, s, 1, even_pace(s));
  std::set<std::int32_t> live;
  std::set<std::int32_t> before;
  for (const Event& e : trace.events) {
    if (e.kind == EventKind::step_begin) before = live;
    if (e.kind == EventKind::alloc) CHECK(live.insert(e.index).second);
    if (e.kind == EventKind::free) CHECK(live.erase(e.index) == 1);
  }
  CHECK(live == before);
  CHECK_FALSE(before.empty());
  for (std::size_t i = 1; i < trace.events.size(); ++i) {
    CHECK(trace.events[i].time_ns >= trace.events[i - 1].time_ns);
  }
}

TEST_CASE("capacity trace: a step of too many tensors is refused") {
  const Transformer m = with_layers("llama3-8b", 32);
  Strategy s;
  s.recipe = find_recipe("zero1");
  s.batch = {.sequence = 128, .micro_batches = 60'000};
  CHECK_THROWS_AS(strategy_trace(m, s, 0, even_pace(s)), InputError);
}
