#include "sim/dtr.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// Classes of absent values that touch each other; sums of their costs. A value that comes back
/// takes its own cost out and leaves the rest joined, as the paper does.
class Classes {
 public:
  explicit Classes(std::size_t count) : parent_(count), sum_(count, 0) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }
  std::size_t find(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void add(std::size_t i, double cost) { sum_[find(i)] += cost; }
  void join(std::size_t a, std::size_t b) {
    a = find(a);
    b = find(b);
    if (a == b) return;
    parent_[a] = b;
    sum_[b] += sum_[a];
  }
  double sum(std::size_t i) { return sum_[find(i)]; }
  /// A fresh class for i; ids of values map to classes outside.
  std::size_t fresh() {
    parent_.push_back(parent_.size());
    sum_.push_back(0);
    return parent_.size() - 1;
  }

 private:
  std::vector<std::size_t> parent_;
  std::vector<double> sum_;
};

class Simulation {
 public:
  Simulation(const Dataflow& flow, const BaselineRequest& request, DtrScore score)
      : flow_(flow),
        request_(request),
        score_(score),
        states_(flow.values.size()),
        readers_(flow.values.size()),
        classes_(flow.values.size()),
        schedule_(keep_all_schedule(flow)),
        live_bytes_(flow.persistent_bytes) {
    for (std::size_t row = 0; row < flow.values.size(); ++row) {
      states_[row].group = row;
      const Value& value = flow.values[row];
      if (!value.recomputable) continue;
      for (const BufferId input : flow.producer_of(BufferId{row}).reads) {
        readers_[input.index()].push_back(BufferId{row});
      }
    }
  }

  std::vector<Schedule> run() {
    for (now_ = 0; at(now_) < flow_.body.size(); ++now_) {
      if (request_.stopped() || !step()) return {};
    }
    return {std::move(schedule_)};
  }

 private:
  struct State {
    bool here = false;
    bool absent = false;  // was here and left
    std::int32_t pins = 0;
    std::int64_t accessed_ns = 0;
    std::size_t group = 0;
    std::size_t slot = 0;
    std::int64_t mark = -1;
  };

  State& state(BufferId id) { return states_[id.index()]; }
  double cost(BufferId id) const {
    return static_cast<double>(flow_.producer_of(id).duration_ns) + 1;
  }

  bool step() {
    std::vector<Position> again;
    if (!find_missing(again)) return false;
    const BodyOp& op = flow_.body[at(now_)];
    for (const BufferId id : op.touches) ++state(id).pins;
    for (const Position producer : again) {
      const BodyOp& more = flow_.body[at(producer)];
      if (!execute(more, true)) return false;
    }
    if (!execute(op, false)) return false;
    for (const BufferId id : op.touches) {
      --state(id).pins;
      if (flow_[id].last_use() <= now_) drop(id);
    }
    schedule_.again[at(now_)] = std::move(again);
    return true;
  }

  /// Executions that must come before the op, and a pin on what they read.
  bool find_missing(std::vector<Position>& again) {
    std::vector<BufferId> open = flow_.body[at(now_)].reads;
    while (!open.empty()) {
      const BufferId id = open.back();
      open.pop_back();
      if (!state(id).absent) continue;
      const Value& value = flow_[id];
      if (!value.recomputable || value.valid_until < now_) return false;
      if (std::find(again.begin(), again.end(), value.producer) != again.end()) continue;
      again.push_back(value.producer);
      for (const BufferId input : flow_.producer_of(id).reads) {
        ++state(input).pins;
        open.push_back(input);
      }
    }
    std::sort(again.begin(), again.end());
    return true;
  }

  bool execute(const BodyOp& op, bool again) {
    std::int64_t bytes = 0;
    for (const BufferId id : op.touches) {
      if (!state(id).here) bytes += flow_[id].bytes;
      ++state(id).pins;
    }
    if (!make_room(bytes)) return false;
    for (const BufferId id : op.touches) {
      if (!state(id).here && (!again || flow_[id].recomputable)) appear(id);
    }
    clock_ns_ += op.duration_ns;
    for (const BufferId id : op.touches) {
      --state(id).pins;
      state(id).accessed_ns = clock_ns_;
    }
    if (!again) return true;
    for (const BufferId id : op.reads) {
      --state(id).pins;
      if (flow_[id].last_use() < now_) drop(id);
    }
    for (const BufferId id : op.outputs) {
      if (flow_[id].last_use() < now_) drop(id);
    }
    return true;
  }

  bool make_room(std::int64_t bytes) {
    while (live_bytes_ + bytes > request_.limit_bytes) {
      BufferId victim;
      double least = std::numeric_limits<double>::infinity();
      for (const BufferId id : pool_) {
        const Value& value = flow_[id];
        if (state(id).pins > 0 || !value.recomputable || value.bytes == 0) continue;
        if (value.valid_until < std::max(now_, value.last_use())) continue;
        const double score = score_of(id);
        if (score > least || (score == least && victim < id)) continue;
        least = score;
        victim = id;
      }
      if (!victim.valid()) return false;
      leave(victim);
    }
    return true;
  }

  double score_of(BufferId id) {
    const auto bytes = static_cast<double>(flow_[id].bytes);
    const double stale = static_cast<double>(clock_ns_ - state(id).accessed_ns) + 1;
    switch (score_) {
      case DtrScore::dtr:
        return (cost(id) + around(id, true)) / (bytes * stale);
      case DtrScore::eq:
        return (cost(id) + around_classes(id)) / (bytes * stale);
      case DtrScore::local:
        return cost(id) / (bytes * stale);
      case DtrScore::msps:
        return (cost(id) + around(id, false)) / bytes;
      case DtrScore::lru:
        return 1 / stale;
      case DtrScore::size:
        return 1 / bytes;
    }
    return 0;
  }

  /// Costs of the absent values that are reached upward, and downward too when `both`.
  double around(BufferId id, bool both) {
    ++mark_;
    double sum = 0;
    walk(id, sum,
         [this](BufferId v) -> const std::vector<BufferId>& { return flow_.producer_of(v).reads; });
    if (both) {
      walk(id, sum,
           [this](BufferId v) -> const std::vector<BufferId>& { return readers_[v.index()]; });
    }
    return sum;
  }

  template <class Neighbours>
  void walk(BufferId from, double& sum, Neighbours neighbours) {
    std::vector<BufferId> open{from};
    while (!open.empty()) {
      const BufferId id = open.back();
      open.pop_back();
      for (const BufferId next : neighbours(id)) {
        if (!state(next).absent || !flow_[next].recomputable || state(next).mark == mark_) continue;
        state(next).mark = mark_;
        sum += cost(next);
        open.push_back(next);
      }
    }
  }

  double around_classes(BufferId id) {
    ++mark_;
    std::vector<std::size_t> seen;
    double sum = 0;
    const auto look = [&](BufferId next) {
      if (!state(next).absent) return;
      const std::size_t group = classes_.find(state(next).group);
      if (std::find(seen.begin(), seen.end(), group) != seen.end()) return;
      seen.push_back(group);
      sum += classes_.sum(group);
    };
    for (const BufferId next : flow_.producer_of(id).reads) look(next);
    for (const BufferId next : readers_[id.index()]) look(next);
    return sum;
  }

  void appear(BufferId id) {
    State& s = state(id);
    if (s.absent && flow_[id].recomputable) {
      classes_.add(s.group, -cost(id));
      s.group = classes_.fresh();
    }
    s.here = true;
    s.absent = false;
    live_bytes_ += flow_[id].bytes;
    s.slot = pool_.size();
    pool_.push_back(id);
  }

  void leave(BufferId id) {
    State& s = state(id);
    s.here = false;
    s.absent = true;
    live_bytes_ -= flow_[id].bytes;
    pool_[s.slot] = pool_.back();
    state(pool_[s.slot]).slot = s.slot;
    pool_.pop_back();
    if (!flow_[id].recomputable) return;
    classes_.add(s.group, cost(id));
    for (const BufferId next : flow_.producer_of(id).reads) {
      if (state(next).absent) classes_.join(s.group, state(next).group);
    }
    for (const BufferId next : readers_[id.index()]) {
      if (state(next).absent) classes_.join(s.group, state(next).group);
    }
  }

  /// The program has no use for it any more: it leaves when that is possible, now.
  void drop(BufferId id) {
    if (state(id).here && state(id).pins == 0 && flow_[id].movable) leave(id);
  }

  const Dataflow& flow_;
  const BaselineRequest& request_;
  DtrScore score_;
  std::vector<State> states_;
  std::vector<std::vector<BufferId>> readers_;  // recomputable values made from each value
  Classes classes_;
  Schedule schedule_;
  std::vector<BufferId> pool_;  // what is here
  std::int64_t live_bytes_ = 0;
  std::int64_t clock_ns_ = 0;
  std::int64_t mark_ = 0;
  Position now_ = 0;
};

}  // namespace

std::vector<Schedule> dtr(const Dataflow& flow, const BaselineRequest& request, DtrScore score) {
  return Simulation(flow, request, score).run();
}

}  // namespace tidemark
