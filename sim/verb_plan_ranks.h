// The part of `tidemark plan` that spreads a step over ranks.
#pragma once

#include <cstdint>
#include <string>

#include "sim/search.h"
#include "traces/trace.h"

namespace tidemark {

/// How the step is to be spread, as typed.
struct RankWords {
  std::string layout;  // "tp=2,pp=2,dp=2"; "" = `shard` alone, on `ranks`
  std::string shard;   // of ShardStage, pipeline, or auto; beside a layout the states alone
  std::int32_t ranks = 2;
  std::string schedule;      // of the pipeline
  std::int64_t chunks = 1;   // stages of each rank of the pipeline
  std::string stage_layers;  // "3,3,2"
  [[nodiscard]] bool any() const { return !layout.empty() || !shard.empty(); }
  [[nodiscard]] bool of_pipeline() const {
    return !schedule.empty() || !stage_layers.empty() || chunks > 1;
  }
};

struct RankPlanOptions {
  RankWords words;
  std::string file;    // the source, as typed
  std::string output;  // the index
  bool has_budget = false;
  SearchRequest request;  // budget_bytes of each rank
  bool json = false;
};

/// Writes an index and a trace per rank (one trace for stage none); returns the exit code. Throws
/// InputError.
int plan_ranks(const Trace& source, const RankPlanOptions& options);

}  // namespace tidemark
