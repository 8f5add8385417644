// Replay against closed forms of the literature, and against a brute force that advances all ranks
// in small steps of time.
#include "sim/pipeline_replay.h"

#include <array>
#include <map>
#include <tuple>

#include "../catch.h"
#include "sim/random.h"

using namespace tidemark;

namespace {

Strategy strategy_of(PipelineSchedule schedule, std::int64_t pipeline, std::int64_t chunks,
                     std::int64_t micro_batches) {
  Strategy s;
  s.schedule = schedule;
  s.layout.pipeline = pipeline;
  s.layout.virtual_stages = chunks;
  s.batch.micro_batches = micro_batches;
  return s;
}

std::size_t stages_of(const Strategy& s) {
  return static_cast<std::size_t>(s.layout.pipeline * s.layout.virtual_stages);
}

/// Integer time, one unit after the other.
double brute_force(const Strategy& s, const std::vector<StageTime>& stages) {
  struct Rank {
    std::vector<PipelineEvent> events;
    std::size_t next = 0;
    std::int64_t left = 0;  // of the running event
  };
  std::vector<Rank> ranks;
  for (std::int64_t r = 0; r < s.layout.pipeline; ++r) ranks.push_back({schedule_events(s, r)});
  std::map<std::tuple<PipelinePass, std::int64_t, std::int64_t>, bool> done;
  using enum PipelinePass;
  const auto last = static_cast<std::int64_t>(stages.size()) - 1;
  for (std::int64_t now = 0;; ++now) {
    bool all = true;
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      Rank& rank = ranks[r];
      if (rank.left > 0 && --rank.left == 0) {
        const PipelineEvent& e = rank.events[rank.next];
        done[{e.pass, e.chunk * s.layout.pipeline + static_cast<std::int64_t>(r), e.micro_batch}] =
            true;
        ++rank.next;
      }
      all = all && rank.next == rank.events.size();
    }
    if (all) return static_cast<double>(now);
    for (std::size_t r = 0; r < ranks.size(); ++r) {
      Rank& rank = ranks[r];
      if (rank.left > 0 || rank.next == rank.events.size()) continue;
      const PipelineEvent& e = rank.events[rank.next];
      const std::int64_t stage = e.chunk * s.layout.pipeline + static_cast<std::int64_t>(r);
      const bool ready = e.pass == weights ? done[{backward, stage, e.micro_batch}]
                         : e.pass == forward
                             ? stage == 0 || done[{forward, stage - 1, e.micro_batch}]
                         : stage == last ? done[{forward, stage, e.micro_batch}]
                                         : done[{backward, stage + 1, e.micro_batch}];
      if (!ready) continue;
      const StageTime& t = stages[static_cast<std::size_t>(stage)];
      const bool apart = s.schedule == PipelineSchedule::zero_bubble;
      rank.left = static_cast<std::int64_t>(e.pass == forward   ? t.forward_ns
                                            : e.pass == weights ? t.weights_ns
                                            : apart             ? t.backward_ns
                                                                : t.backward_ns + t.weights_ns);
    }
  }
}

}  // namespace

TEST_CASE("pipeline replay: equal stages have the published bubbles") {
  for (const std::int64_t p : {1, 2, 4, 8}) {
    for (const std::int64_t m : {8, 16, 32}) {
      const double slot = 3;
      for (const PipelineSchedule schedule :
           {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b}) {
        const Strategy s = strategy_of(schedule, p, 1, m);
        const PipelineTime t = replay_pipeline(s, std::vector<StageTime>(stages_of(s), {1, 2}));
        CHECK(t.end_ns == slot * static_cast<double>(m + p - 1));
        CHECK(t.busy_ns[0] == slot * static_cast<double>(m));
      }
      if (p == 1) continue;
      const Strategy s = strategy_of(PipelineSchedule::interleaved, p, 2, m);
      const PipelineTime t = replay_pipeline(s, std::vector<StageTime>(stages_of(s), {1, 2}));
      CHECK(t.end_ns == slot * static_cast<double>(2 * m + p - 1));
    }
  }
}

TEST_CASE("pipeline replay: ZB-H1 has the published bubble, (p - 1)(F + B - W)") {
  // Qi et al. 2023, table 2; as long as there are as many micro-batches as ranks.
  for (const std::int64_t p : {1, 2, 4, 8}) {
    for (const std::int64_t m : {p, 2 * p, 3 * p + 1}) {
      for (const StageTime& t : {StageTime{3, 3, 3}, StageTime{3, 4, 2}, StageTime{2, 5, 1}}) {
        const Strategy s = strategy_of(PipelineSchedule::zero_bubble, p, 1, m);
        const PipelineTime time = replay_pipeline(s, std::vector<StageTime>(stages_of(s), t));
        const double busy = static_cast<double>(m) * (t.forward_ns + t.backward_ns + t.weights_ns);
        const double bubble = t.forward_ns + t.backward_ns - t.weights_ns;
        CHECK(time.end_ns == busy + static_cast<double>(p - 1) * bubble);
        CHECK(time.busy_ns.back() == busy);
      }
    }
  }
}

TEST_CASE("schedule events: of ZB-H1 no rank holds more than 1F1B's first one") {
  for (const std::int64_t p : {1, 2, 4, 7}) {
    for (const std::int64_t m : {std::int64_t{1}, p, 3 * p}) {
      const Strategy s = strategy_of(PipelineSchedule::zero_bubble, p, 1, m);
      for (std::int64_t rank = 0; rank < p; ++rank) {
        std::map<PipelinePass, std::int64_t> done;
        std::int64_t most = 0;
        for (const PipelineEvent& e : schedule_events(s, rank)) {
          CHECK(e.micro_batch == done[e.pass]);
          ++done[e.pass];
          most = std::max(most, done[PipelinePass::forward] - done[PipelinePass::weights]);
          CHECK(done[PipelinePass::backward] <= done[PipelinePass::forward]);
          CHECK(done[PipelinePass::weights] <= done[PipelinePass::backward]);
        }
        for (const auto& [pass, count] : done) CHECK(count == m);
        CHECK(done.size() == 3);
        CHECK(most == std::min(m, p));
      }
    }
  }
}

TEST_CASE("pipeline replay: any times, as a brute force in unit steps") {
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    const auto p = static_cast<std::int64_t>(1 + random.below(4));
    const bool interleaved = p > 1 && random.below(2) == 1;
    const std::array<PipelineSchedule, 3> plain{
        PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::zero_bubble};
    const PipelineSchedule schedule =
        interleaved ? PipelineSchedule::interleaved : plain[random.below(3)];
    const auto m = p * static_cast<std::int64_t>(1 + random.below(4));
    const Strategy s = strategy_of(schedule, p, interleaved ? 2 : 1, m);
    std::vector<StageTime> stages(stages_of(s));
    for (StageTime& t : stages) {
      t = {static_cast<double>(1 + random.below(9)), static_cast<double>(1 + random.below(9)),
           static_cast<double>(1 + random.below(9))};
    }
    const PipelineTime t = replay_pipeline(s, stages);
    CHECK(t.end_ns == brute_force(s, stages));
    for (std::size_t r = 0; r < t.busy_ns.size(); ++r) CHECK(t.busy_ns[r] <= t.rank_end_ns[r]);
  }
}
