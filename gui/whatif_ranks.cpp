#include "gui/whatif_ranks.h"

#include <fmt/format.h>

#include "sim/plan.h"

namespace tidemark {

std::string to_text(const Spread& spread) {
  return fmt::format("{} over {} ranks", to_string(spread.stage), spread.ranks);
}

std::string objection_to(const Spread& spread, std::int64_t micro_batches) {
  if (spread.stage == ShardStage::tensor || micro_batches % spread.ranks == 0) return {};
  return fmt::format(
      "ranks share the micro-batches of a step: expected a multiple of {}, found {} (choose them, "
      "or "
      "leave them to the planner)",
      spread.ranks, micro_batches);
}

RankTraces ranks_of(const Trace& source, const Spread& spread, const Device* device) {
  auto ranks = std::make_shared<std::vector<Trace>>(shard(source, spread.stage, spread.ranks));
  const Device on = device != nullptr ? *device : as_measured(find_device("laptop-core"), source);
  for (Trace& rank : *ranks) fill_modelled_times(on, rank);
  return ranks;
}

std::vector<Trace> planned_ranks(const std::vector<Trace>& ranks, const Trace& planned) {
  std::vector<Trace> out = {planned};
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) {
    Trace source = ranks[rank];
    source.streams = planned.streams;  // with the host link
    Trace& trace = out.emplace_back(apply_plan(source, planned.decisions));
    // Rows, lives and sizes are alike on all ranks: the placement of the first fits all.
    for (std::size_t row = 0; row < trace.buffers.size(); ++row) {
      trace.buffers[row].offset_bytes = planned.buffers[row].offset_bytes;
    }
    trace.plan = planned.plan;
    trace.meta.source = planned.meta.source;
  }
  return out;
}

}  // namespace tidemark
