#include "sim/rank_search.h"

#include <algorithm>
#include <utility>

#include "sim/device.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// CPU time that a thread needs to meet others, beside the sleep, what it does with their data and
/// what any op takes: collectives of 64 numbers on 2 and 4 threads took 1.3 us in all.
constexpr std::int64_t k_meeting_ns = 800;

std::vector<Trace> shard_timed(const Trace& source, ShardStage stage, std::int32_t ranks) {
  std::vector<Trace> out = shard(source, stage, ranks);
  const Device device = as_measured(find_device("laptop-core"), source);
  for (Trace& rank : out) {
    fill_modelled_times(device, rank);
    for (Op& op : rank.ops) {
      if (find_attribute(op, "group") != nullptr) op.duration_ns += k_meeting_ns;
    }
  }
  return out;
}

/// Rows, lifetimes and sizes are alike on all ranks, so the placement of the first fits all.
void place_like(const Trace& first, Trace& rank) {
  for (std::size_t row = 0; row < first.buffers.size(); ++row) {
    rank.buffers[row].offset_bytes = first.buffers[row].offset_bytes;
  }
  rank.plan = first.plan;
}

bool is_better(const SearchResult& a, const SearchResult& b) {
  if (a.feasible != b.feasible) return a.feasible;
  return a.feasible && a.planned.plan.step_ns < b.planned.plan.step_ns;
}

/// The plan that changes nothing is one of those that a search tries.
SearchResult search_stage(const Trace& rank, ShardStage stage, const SearchRequest& request) {
  SearchResult best = search(rank, request);
  const bool keeps_work = stage == ShardStage::data || stage == ShardStage::tensor;
  if (!keeps_work || !request.allow_recompute || !request.allow_offload) return best;
  for (const bool recompute : {true, false}) {
    SearchRequest alone = request;
    alone.allow_recompute = recompute;
    alone.allow_offload = !recompute;
    SearchResult one = search(rank, alone);
    if (is_better(one, best)) best = std::move(one);
  }
  return best;
}

}  // namespace

std::vector<Trace> shard_placed(const Trace& source, ShardStage stage, std::int32_t ranks) {
  std::vector<Trace> out = shard_timed(source, stage, ranks);
  Trace& first = out.front();
  const std::int64_t height_bytes = place_all(first);
  const Timeline timeline = replay(first, {SpaceKind::device, first.meta.rank});
  first.plan = {.method = std::string(to_string(stage)),
                .height_bytes = height_bytes,
                .peak_bytes = timeline.peak.bytes,
                .step_ns = timeline.step_ns,
                .keep_all_step_ns = timeline.step_ns};
  for (std::size_t rank = 1; rank < out.size(); ++rank) place_like(first, out[rank]);
  return out;
}

RankSearchResult search_ranks(const Trace& source, const std::vector<ShardStage>& stages,
                              std::int32_t ranks, const SearchRequest& request) {
  RankSearchResult out;
  std::size_t refused = 0;
  for (const ShardStage stage : stages) {
    std::vector<Trace> all;
    try {
      all = shard_timed(source, stage, ranks);
    } catch (const InputError& error) {
      if (++refused == stages.size()) throw;
      out.stages.push_back({stage, {}, error.what()});
      continue;
    }
    out.stages.push_back({stage, search_stage(all.front(), stage, request)});
    const bool first = out.best < 0;
    const SearchResult& found = out.stages.back().search;
    if (!found.feasible) continue;
    if (!first && !is_better(found, out.stages[static_cast<std::size_t>(out.best)].search)) {
      continue;
    }
    out.best = std::ssize(out.stages) - 1;
    out.planned = {found.planned};
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      Trace unplanned = all[rank];
      unplanned.streams = found.planned.streams;  // with the host link
      out.planned.push_back(apply_plan(unplanned, found.planned.decisions));
      place_like(found.planned, out.planned.back());
    }
  }
  return out;
}

}  // namespace tidemark
