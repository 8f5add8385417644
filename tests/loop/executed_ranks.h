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

inline std::int64_t most_height(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.height_bytes);
  return most;
}

/// Every rank takes what its plan says, and the one that needs most cannot do with 256 bytes less.
inline RanksResult require_executed_as_planned(const Training& training,
                                               const std::vector<Trace>& planned) {
  RanksResult done = execute_ranks(planned, options_for(training, most_height(planned)));
  REQUIRE(done.ended_by == -1);
  for (std::size_t rank = 0; rank < planned.size(); ++rank) {
    CAPTURE(rank);
    const Comparison c = compare(planned[rank], done.ranks[rank].trace);
    CHECK(c.peak_error_bytes == 0);
    CHECK(c.reserved_error_bytes == 0);
  }
  const RanksResult tight =
      execute_ranks(planned, options_for(training, most_height(planned) - k_granule_bytes));
  CHECK(tight.ended_by >= 0);
  return done;
}

using Hashes = std::map<std::pair<std::int32_t, std::string>, std::int64_t>;

/// Digests of what a rank has whole, by step and name.
inline Hashes wholes_of(const Trace& trace) {
  Hashes out;
  for (const Digest& d : trace.digests) {
    if (trace[d.buffer].shard.count <= 1) out[{d.step, trace[d.buffer].name}] = d.hash;
  }
  return out;
}

/// Losses of all ranks are those of one rank but for rounding, and what several ranks have whole is
/// the same on all of them.
inline void require_rounded_results(const Trace& recorded, const RanksResult& ranks,
                                    double tolerance) {
  Hashes all;
  for (const RunResult& rank : ranks.ranks) {
    for (const auto& [key, hash] : wholes_of(rank.trace)) {
      CAPTURE(key.second);
      CHECK(all.emplace(key, hash).first->second == hash);
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
