// `tidemark plan --shard`: a step on several ranks, as it is or planned for a budget.
#include "sim/verb_plan_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sim/exit_code.h"
#include "sim/rank_search.h"
#include "sim/table.h"
#include "sim/timeline.h"
#include "sim/units.h"
#include "traces/error.h"
#include "traces/file.h"
#include "traces/rank_files.h"

namespace tidemark {
namespace {

using Json = nlohmann::ordered_json;

std::vector<ShardStage> stages_of(const RankPlanOptions& options) {
  if (options.stage == "auto" && options.has_budget) {
    return {ShardStage::data, ShardStage::zero1, ShardStage::zero2, ShardStage::zero3,
            ShardStage::tensor};
  }
  const auto stage = parse_enum<ShardStage>(options.stage);
  const bool searched = stage && options.has_budget && *stage == ShardStage::none;
  if (!stage || searched) {
    throw InputError(InputError::Parts{
        .place = "--shard",
        .expected =
            options.has_budget
                ? "auto, data, zero1, zero2, zero3 or tensor beside --budget"
                : "none, data, zero1, zero2, zero3, tensor or pipeline; auto beside --budget",
        .found = "'" + options.stage + "'"});
  }
  return {*stage};
}

void write(const std::vector<Trace>& ranks, const std::string& output) {
  ranks.size() == 1 ? write_trace(ranks.front(), output) : write_ranks(ranks, output);
}

std::int64_t bytes_of(const Peak& peak, Category category) {
  return peak.by_category[static_cast<std::size_t>(category)];
}

/// Most of all ranks: those of a pipeline differ.
std::int64_t height_of(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.height_bytes);
  return most;
}
std::int64_t peak_of(const std::vector<Trace>& ranks) {
  std::int64_t most = 0;
  for (const Trace& rank : ranks) most = std::max(most, rank.plan.peak_bytes);
  return most;
}

void print_ranks(const std::vector<Trace>& ranks, const RankPlanOptions& options) {
  fmt::print("  {}\n", ranks.front().meta.title);
  Table table({">rank", ">peak", ">fits in", ">weight", ">gradient", ">optimizer", ">activation"});
  for (const Trace& rank : ranks) {
    const Peak peak = replay(rank, {SpaceKind::device, rank.meta.rank}).peak;
    table.add({std::to_string(rank.meta.rank), format_bytes(peak.bytes),
               format_bytes(rank.plan.height_bytes), format_bytes(bytes_of(peak, Category::weight)),
               format_bytes(bytes_of(peak, Category::gradient)),
               format_bytes(bytes_of(peak, Category::optimizer_state)),
               format_bytes(bytes_of(peak, Category::activation))});
  }
  fmt::print("{}", table.text());
  const PlanRecord& plan = ranks.front().plan;
  fmt::print("  step      {} (times of collectives are modelled), {} decisions\n",
             format_ns(plan.step_ns), ranks.front().decisions.size());
  fmt::print("\n  written to {}\n  Next: tidemark profile --schedule {} --device-memory {}\n",
             options.output, options.output, height_of(ranks));
}

Json ranks_json(const std::vector<Trace>& ranks) {
  const PlanRecord& plan = ranks.front().plan;
  Json j{{"feasible", true},
         {"ranks", ranks.size()},
         {"height_bytes", height_of(ranks)},
         {"peak_bytes", peak_of(ranks)},
         {"step_ns", plan.step_ns},
         {"keep_all_step_ns", plan.keep_all_step_ns},
         {"decisions", ranks.front().decisions.size()}};
  return j;
}

Json stage_json(const StagePlan& stage) {
  const SearchResult& s = stage.search;
  Json j{{"stage", to_string(stage.stage)}, {"feasible", s.feasible}};
  if (!stage.refused.empty()) {
    j["refused"] = stage.refused;
  } else if (s.feasible) {
    j["height_bytes"] = s.planned.plan.height_bytes;
    j["step_ns"] = s.planned.plan.step_ns;
    j["method"] = s.method;
  } else {
    j["bound_budget_bytes"] = s.infeasible.bound_bytes;
    j["smallest_found_bytes"] = s.infeasible.smallest_found_bytes;
  }
  return j;
}

void print_stages(const RankSearchResult& result, const RankPlanOptions& options) {
  fmt::print("  Stages in {} per rank, {} ranks:\n", format_bytes(options.request.budget_bytes),
             options.ranks);
  Table table({"stage", ">fits in", ">step", ">decisions", ""});
  for (std::size_t i = 0; i < result.stages.size(); ++i) {
    const auto& [stage, s, refused] = result.stages[i];
    const bool chosen = static_cast<std::ptrdiff_t>(i) == result.best;
    if (!refused.empty()) {
      table.add({std::string(to_string(stage)), "refused", "", "", refused});
    } else if (s.feasible) {
      table.add({std::string(to_string(stage)), format_bytes(s.planned.plan.height_bytes),
                 format_ns(s.planned.plan.step_ns), std::to_string(s.planned.decisions.size()),
                 chosen ? "chosen" : ""});
    } else {
      table.add({std::string(to_string(stage)), "no plan", "", "",
                 "smallest found " + format_bytes(s.infeasible.smallest_found_bytes)});
    }
  }
  fmt::print("{}\n", table.text());
}

int search_and_write(const Trace& source, const RankPlanOptions& options) {
  RankSearchResult result =
      search_ranks(source, stages_of(options), options.ranks, options.request);
  const bool found = result.best >= 0;
  for (Trace& rank : result.planned) rank.meta.source = options.file;
  if (found) write(result.planned, options.output);
  if (options.json) {
    Json j = found ? ranks_json(result.planned) : Json{{"feasible", false}};
    j["budget_bytes"] = options.request.budget_bytes;
    if (found) {
      j["stage"] = to_string(result.stages[static_cast<std::size_t>(result.best)].stage);
    }
    for (const StagePlan& stage : result.stages) j["stages"].push_back(stage_json(stage));
    fmt::print("{}\n", j.dump(2));
  } else {
    print_stages(result, options);
    if (found) print_ranks(result.planned, options);
  }
  return found ? k_exit_done : k_exit_not_possible;
}

}  // namespace

int plan_ranks(const Trace& source, const RankPlanOptions& options) {
  const bool pipelined = options.stage == "pipeline";
  if (pipelined && options.has_budget) {
    throw InputError(InputError::Parts{
        .place = "--shard pipeline",
        .expected = "no --budget: plan the file of a rank afterwards, each is a trace",
        .found = "one"});
  }
  if (options.has_budget) return search_and_write(source, options);
  PipelineSplit split = options.pipeline;
  split.ranks = options.ranks;
  std::vector<Trace> ranks = pipelined
                                 ? pipeline_placed(source, split)
                                 : shard_placed(source, stages_of(options).front(), options.ranks);
  for (Trace& rank : ranks) rank.meta.source = options.file;
  write(ranks, options.output);
  if (options.json) {
    Json j = ranks_json(ranks);
    j["stage"] = options.stage;
    fmt::print("{}\n", j.dump(2));
  } else {
    print_ranks(ranks, options);
  }
  return k_exit_done;
}

}  // namespace tidemark
