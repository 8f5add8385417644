#include "sim/checkpoints.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// Which values are there, op by op.
class Presence {
 public:
  Presence(const Dataflow& flow, Position backward_begin)
      : flow_(flow),
        here_(flow.values.size(), true),
        may_leave_(flow.values.size(), false),
        schedule_(keep_all_schedule(flow)) {
    Position horizon = -1;
    for (const Value& value : flow.values) {
      const bool crosses = value.recomputable && value.producer < backward_begin;
      if (crosses) horizon = std::max(horizon, value.last_use());
    }
    for (std::size_t row = 0; row < flow.values.size(); ++row) {
      const Value& value = flow.values[row];
      may_leave_[row] =
          value.recomputable && value.producer < backward_begin && value.valid_until >= horizon;
    }
  }

  /// What op `t` lacks is made again.
  void provide(Position t) {
    std::vector<BufferId> open = flow_.body[at(t)].reads;
    std::vector<Position>& again = schedule_.again[at(t)];
    while (!open.empty()) {
      const BufferId id = open.back();
      open.pop_back();
      if (here_[id.index()]) continue;
      const BodyOp& producer = flow_.producer_of(id);
      again.push_back(flow_[id].producer);
      for (const BufferId output : producer.outputs) {
        if (may_leave_[output.index()]) here_[output.index()] = true;
      }
      open.insert(open.end(), producer.reads.begin(), producer.reads.end());
    }
    std::sort(again.begin(), again.end());
    again.erase(std::unique(again.begin(), again.end()), again.end());
  }

  void keep_only(const std::vector<BufferId>& kept) {
    std::vector<bool> stays(here_.size(), false);
    for (const BufferId id : kept) stays[id.index()] = true;
    for (std::size_t row = 0; row < here_.size(); ++row) {
      if (may_leave_[row] && !stays[row]) here_[row] = false;
    }
  }

  Schedule take() { return std::move(schedule_); }

 private:
  const Dataflow& flow_;
  std::vector<bool> here_;
  std::vector<bool> may_leave_;
  Schedule schedule_;
};

}  // namespace

Schedule keep_only(const Dataflow& flow, Position backward_begin,
                   const std::vector<KeptFrom>& stages) {
  Presence presence(flow, backward_begin);
  std::size_t next = 0;
  for (auto t = backward_begin; at(t) < flow.body.size(); ++t) {
    presence.provide(t);
    for (; next < stages.size() && stages[next].from <= t; ++next) {
      presence.keep_only(stages[next].kept);
    }
  }
  return presence.take();
}

Chain chain_of(const Dataflow& flow, Position backward_begin, std::size_t most_segments) {
  Chain chain;
  const std::vector<BufferId> all = articulation_values(flow, backward_begin);
  const std::size_t count = std::min(all.size(), most_segments - 1);
  for (std::size_t i = 0; i < count; ++i) {
    chain.cuts.push_back(all[(2 * i + 1) * all.size() / (2 * count)]);
  }
  chain.interior.resize(count + 1);
  chain.reversed_from.assign(count + 1, k_never);
  chain.forward_ns.assign(count + 1, 0);
  const auto segment_of = [&](Position position) {
    const auto cut = std::lower_bound(
        chain.cuts.begin(), chain.cuts.end(), position,
        [&flow](BufferId id, Position place) { return flow[id].producer < place; });
    return static_cast<std::size_t>(cut - chain.cuts.begin());
  };
  for (Position t = 0; t < backward_begin; ++t) {
    chain.forward_ns[segment_of(t)] += flow.body[at(t)].duration_ns;
  }
  const std::set<BufferId> cuts(chain.cuts.begin(), chain.cuts.end());
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    if (!value.recomputable || value.producer >= backward_begin || cuts.contains(BufferId{row})) {
      continue;
    }
    const auto use = std::lower_bound(value.uses.begin(), value.uses.end(), backward_begin);
    if (use == value.uses.end()) continue;
    const std::size_t segment = segment_of(value.producer);
    chain.interior[segment].emplace_back(row);
    chain.reversed_from[segment] = std::min(chain.reversed_from[segment], *use);
  }
  return chain;
}

Schedule reverse_chain(const Dataflow& flow, Position backward_begin, const Chain& chain,
                       const std::vector<Reversal>& reversals) {
  std::vector<KeptFrom> stages;
  for (const Reversal& reversal : reversals) {
    const auto segment = static_cast<std::size_t>(reversal.segment);
    KeptFrom stage{.from = chain.reversed_from[segment], .kept = chain.interior[segment]};
    if (stages.empty()) stage.from = backward_begin;  // what stays of the first forward run
    if (stage.from == k_never) continue;
    for (const std::int32_t cut : reversal.cuts) {
      stage.kept.push_back(chain.cuts[static_cast<std::size_t>(cut)]);
    }
    for (const std::int32_t whole : reversal.whole) {
      const auto& interior = chain.interior[static_cast<std::size_t>(whole)];
      stage.kept.insert(stage.kept.end(), interior.begin(), interior.end());
    }
    if (!stages.empty()) stage.from = std::max(stage.from, stages.back().from);
    stages.push_back(std::move(stage));
  }
  return keep_only(flow, backward_begin, stages);
}

}  // namespace tidemark
