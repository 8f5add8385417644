// The part of `tidemark plan` that spreads a step over ranks.
#pragma once

#include <string>

#include "sim/pipeline_ranks.h"
#include "sim/search.h"
#include "traces/trace.h"

namespace tidemark {

struct RankPlanOptions {
  std::string stage;  // of ShardStage; "auto": the fastest that fits the budget; "pipeline"
  std::int32_t ranks = 2;
  std::string file;    // the source, as typed
  std::string output;  // the index
  bool has_budget = false;
  SearchRequest request;  // budget_bytes of each rank
  bool json = false;
  PipelineSplit pipeline{};  // of stage "pipeline"; its ranks are those above
};

/// Writes an index and a trace per rank (one trace for stage none); returns the exit code. Throws
/// InputError.
int plan_ranks(const Trace& source, const RankPlanOptions& options);

}  // namespace tidemark
