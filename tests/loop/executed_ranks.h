// What the loop tests of ranks share: ranks are executed in the memory that their plans name, and
// give what one rank gives.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "profiler/ranks.h"
#include "sim/compare.h"
#include "sim/placement.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/loop/training.h"

namespace tidemark::test {

inline RunOptions options_for(const Training& training, std::int64_t device_memory_bytes) {
  RunOptions options;
  options.steps = k_steps;
  options.device_memory_bytes = device_memory_bytes;
  options.data = &training.data;
  options.poison = true;
  return options;
}

inline const ArenaRecord& device_arena(const Trace& trace) {
  const auto it = std::ranges::find(trace.arenas, SpaceKind::device,
                                    [](const ArenaRecord& a) { return a.space.kind; });
  REQUIRE(it != trace.arenas.end());
  return *it;
}

/// Places the first of ranks whose rows and lifetimes are alike, and the others as it.
inline std::vector<Trace> placed_alike(std::vector<Trace> ranks) {
  Trace& first = ranks.front();
  first.plan.height_bytes = place_all(first);
  first.plan.peak_bytes = replay(first, {SpaceKind::device, first.meta.rank}).peak.bytes;
  for (Trace& rank : ranks) {
    REQUIRE(rank.buffers.size() == first.buffers.size());
    for (std::size_t row = 0; row < first.buffers.size(); ++row) {
      rank.buffers[row].offset_bytes = first.buffers[row].offset_bytes;
    }
    rank.plan = first.plan;
  }
  return ranks;
}

/// Every rank runs in exactly the height of its plan, and the one that needs most not in 256 bytes
/// less.
inline RanksResult require_executed_as_planned(const Training& training,
                                               const std::vector<Trace>& planned) {
  std::int64_t height = 0;
  for (const Trace& rank : planned) height = std::max(height, rank.plan.height_bytes);
  RanksResult exact = execute_ranks(planned, options_for(training, height));
  REQUIRE(exact.ended_by == -1);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    CAPTURE(rank);
    const Comparison c = compare(planned[rank], exact.ranks[rank].trace);
    CHECK(c.peak_error_bytes == 0);
    CHECK(c.reserved_error_bytes == 0);
    CHECK(device_arena(exact.ranks[rank].trace).high_water_bytes ==
          planned[rank].plan.height_bytes);
  }
  const RanksResult tight = execute_ranks(planned, options_for(training, height - k_granule_bytes));
  CHECK(tight.ended_by >= 0);
  return exact;
}

/// Digests of whole buffers by step and name.
inline std::map<std::pair<std::int32_t, std::string>, std::int64_t> wholes_of(const Trace& trace) {
  std::map<std::pair<std::int32_t, std::string>, std::int64_t> out;
  for (const Digest& d : trace.digests) {
    if (trace[d.buffer].shard.count <= 1) out[{d.step, trace[d.buffer].name}] = d.hash;
  }
  return out;
}

/// Losses are those of one rank but for rounding; what several ranks have is the same on all of
/// them.
inline void require_rounded_results(const Trace& recorded, const RanksResult& ranks,
                                    double tolerance) {
  std::map<std::pair<std::int32_t, std::string>, std::int64_t> wholes;
  for (const RunResult& rank : ranks.ranks) {
    for (const auto& [key, hash] : wholes_of(rank.trace)) {
      CAPTURE(key.second);
      CHECK(wholes.emplace(key, hash).first->second == hash);
    }
    REQUIRE(rank.trace.steps.size() == recorded.steps.size());
    for (std::size_t step = 0; step < recorded.steps.size(); ++step) {
      const StepRecord& one = recorded.steps[step];
      const StepRecord& mine = rank.trace.steps[step];
      CHECK(mine.loss == Approx(one.loss).epsilon(tolerance));
      CHECK(mine.has_eval_loss == one.has_eval_loss);
      if (one.has_eval_loss) CHECK(mine.eval_loss == Approx(one.eval_loss).epsilon(tolerance));
    }
  }
}

}  // namespace tidemark::test
