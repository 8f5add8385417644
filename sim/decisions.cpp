#include "sim/decisions.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "sim/units.h"
#include "traces/error.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// The rows of one `until`: buffer -> decision, and what of it has been asked for so far.
struct Group {
  std::map<BufferId, DecisionId> decisions;
  std::vector<BufferId> needed;  // in N(until), in the order found
};

class Order {
 public:
  Order(const Trace& source, const Dataflow& flow, std::vector<Decision>& decisions)
      : source_(source), flow_(flow), decisions_(decisions), around_(flow.body.size()) {}

  std::vector<AroundOp> run() {
    for (std::size_t row = 0; row < decisions_.size(); ++row) collect(DecisionId{row});
    // Backward: what is made again early is needed by what later groups have asked for.
    for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
      spread(group->first, group->second);
    }
    for (std::size_t row = 0; row < decisions_.size(); ++row) settle(DecisionId{row});
    for (auto& [until, group] : groups_) add_clones(until, group);
    for (AroundOp& around : around_) order_transfers(around);
    return std::move(around_);
  }

 private:
  const Decision& operator[](DecisionId id) const { return decisions_[id.index()]; }

  [[noreturn]] void refuse(DecisionId id, const std::string& expected,
                           const std::string& found) const {
    throw InputError(InputError::Parts{.file = {},
                                       .place = fmt::format("decision {}", id.value),
                                       .expected = expected,
                                       .found = found});
  }

  std::string name(BufferId id) const { return fmt::format("'{}'", source_[id].name); }
  std::string name(OpId id) const { return fmt::format("'{}'", source_[id].name); }

  Position position_of(DecisionId id, OpId op, const char* what) const {
    if (!op.valid() || op.index() >= source_.ops.size() || flow_.position[op.index()] < 0) {
      refuse(id, fmt::format("{} an op of the body", what), fmt::format("op {}", op.value));
    }
    return flow_.position[op.index()];
  }

  void collect(DecisionId id) {
    const BufferId buffer = (*this)[id].buffer;
    if (!buffer.valid() || buffer.index() >= source_.buffers.size()) {
      refuse(id, "a buffer of the trace", fmt::format("buffer {}", buffer.value));
    }
    if (!flow_[buffer].movable || flow_[buffer].producer < 0) {
      refuse(id, "a buffer that one step allocates, with bytes of its own, for computing only",
             name(buffer));
    }
    const Position until = position_of(id, (*this)[id].until, "until");
    if (!groups_[until].decisions.emplace(buffer, id).second) {
      refuse(id, "one decision per buffer and op", "a second one for " + name(buffer));
    }
  }

  /// True when an op or a clone after `position` needs the buffer.
  bool needed_after(BufferId buffer, Position position) const {
    if (flow_[buffer].last_use() > position) return true;
    const auto extra = extra_uses_.find(buffer);
    if (extra == extra_uses_.end()) return false;
    return std::any_of(extra->second.begin(), extra->second.end(),
                       [position](Position use) { return use > position; });
  }

  /// Finds N(until): operands, what is made again here for later, then inputs and co-outputs of
  /// what is executed again.
  void spread(Position until, Group& group) {
    std::map<BufferId, bool> seen;
    const auto need = [&](BufferId buffer) {
      if (seen.emplace(buffer, true).second) group.needed.push_back(buffer);
    };
    for (const BufferId buffer : flow_.body[at(until)].touches) need(buffer);
    for (const auto& [buffer, id] : group.decisions) {
      const bool again = (*this)[id].kind == DecisionKind::recompute;
      if (again && needed_after(buffer, until)) need(buffer);
    }
    for (std::size_t i = 0; i < group.needed.size(); ++i) {
      const BufferId buffer = group.needed[i];
      const auto decision = group.decisions.find(buffer);
      if (decision == group.decisions.end()) continue;
      if ((*this)[decision->second].kind != DecisionKind::recompute) continue;
      for (const BufferId input : flow_.producer_of(buffer).reads) need(input);
      for (const BufferId output : flow_.producer_of(buffer).outputs) {
        if (group.decisions.contains(output)) need(output);
      }
    }
    for (const auto& [buffer, id] : group.decisions) {
      if (!seen.contains(buffer)) {
        refuse(id, fmt::format("an op that needs {}", name(buffer)),
               fmt::format("{}: the decision has no effect", name((*this)[id].until)));
      }
    }
    for (const BufferId buffer : group.needed) {
      const auto& uses = flow_[buffer].uses;
      if (!std::binary_search(uses.begin(), uses.end(), until)) {
        extra_uses_[buffer].push_back(until);
      }
    }
  }

  /// The last position before `until` where the buffer is needed; -1 when it is not made by then.
  Position previous_use(BufferId buffer, Position until) const {
    if (flow_[buffer].producer >= until) return -1;
    const auto& uses = flow_[buffer].uses;
    const auto next = std::lower_bound(uses.begin(), uses.end(), until);
    Position previous = next == uses.begin() ? -1 : *std::prev(next);
    if (const auto extra = extra_uses_.find(buffer); extra != extra_uses_.end()) {
      for (const Position use : extra->second) {
        if (use < until) previous = std::max(previous, use);
      }
    }
    return previous;
  }

  void settle(DecisionId id) {
    const Decision& d = (*this)[id];
    const Position until = flow_.position[d.until.index()];
    const Position previous = previous_use(d.buffer, until);
    if (previous < 0) {
      refuse(id, fmt::format("{} to exist before {}", name(d.buffer), name(d.until)),
             "it is made there or later");
    }
    if (d.kind == DecisionKind::offload) return settle_offload(id, previous, until);
    const Value& value = flow_[d.buffer];
    if (!value.recomputable) {
      refuse(id, "a buffer written once by an op that may run again", name(d.buffer));
    }
    if (until > value.valid_until) {
      refuse(id, fmt::format("the inputs of {} unchanged until {}", name(d.buffer), name(d.until)),
             fmt::format("a write by {}", name(flow_.body[at(value.valid_until)].op)));
    }
  }

  void settle_offload(DecisionId id, Position previous, Position until) {
    Decision& d = decisions_[id.index()];
    if (previous < flow_[d.buffer].last_write) {
      refuse(id, fmt::format("no more writes to {} after its move", name(d.buffer)),
             fmt::format("a write by {}", name(flow_.body[at(flow_[d.buffer].last_write)].op)));
    }
    if (!d.release_before.valid()) d.release_before = flow_.body[at(previous + 1)].op;
    if (!d.fetch_before.valid()) d.fetch_before = d.until;
    const Position release = position_of(id, d.release_before, "release");
    const Position fetch = position_of(id, d.fetch_before, "fetch");
    if (release <= previous || fetch < release || until < fetch) {
      refuse(id, "last use < release <= fetch <= until in issue order",
             fmt::format("positions {}, {}, {}, {}", previous, release, fetch, until));
    }
    around_[at(previous)].stores.push_back(id);
    around_[at(release)].releases.push_back(id);
    around_[at(fetch)].fetches.push_back(id);
    around_[at(until)].arrivals.push_back(id);
  }

  void add_clones(Position until, const Group& group) {
    std::map<Position, AroundOp::Again> by_producer;
    for (const auto& [buffer, id] : group.decisions) {
      if ((*this)[id].kind != DecisionKind::recompute) continue;
      AroundOp::Again& again = by_producer[flow_[buffer].producer];
      if (!again.decision.valid()) again.decision = id;
      again.op = flow_.producer_of(buffer).op;
      again.wanted.push_back(buffer);
    }
    for (auto& entry : by_producer) around_[at(until)].agains.push_back(std::move(entry.second));
  }

  /// Copies are queued in the order in which they are needed, so that no one waits for a later one.
  void order_transfers(AroundOp& around) const {
    const auto by = [this](auto key) {
      return [this, key](DecisionId a, DecisionId b) {
        return std::pair(key((*this)[a]), a) < std::pair(key((*this)[b]), b);
      };
    };
    const auto released = [this](const Decision& d) {
      return flow_.position[d.release_before.index()];
    };
    const auto needed = [this](const Decision& d) { return flow_.position[d.until.index()]; };
    std::sort(around.stores.begin(), around.stores.end(), by(released));
    std::sort(around.fetches.begin(), around.fetches.end(), by(needed));
  }

  const Trace& source_;
  const Dataflow& flow_;
  std::vector<Decision>& decisions_;
  std::map<Position, Group> groups_;                      // by position of until
  std::map<BufferId, std::vector<Position>> extra_uses_;  // by what is executed again
  std::vector<AroundOp> around_;
};

}  // namespace

std::vector<AroundOp> order_decisions(const Trace& source, const Dataflow& flow,
                                      std::vector<Decision>& decisions) {
  return Order(source, flow, decisions).run();
}

std::string reason_of(const Trace& source, const Dataflow& flow, const Decision& decision) {
  const Value& value = flow[decision.buffer];
  const Position until = flow.position[decision.until.index()];
  const auto next = std::lower_bound(value.uses.begin(), value.uses.end(), until);
  const Position previous = next == value.uses.begin() ? value.producer : *std::prev(next);
  const Position ops = until - previous - 1;
  const std::string idle =
      fmt::format("{} idle for {} op{}", format_bytes(source[decision.buffer].size_bytes), ops,
                  ops == 1 ? "" : "s");
  if (decision.kind == DecisionKind::offload) {
    return fmt::format("moved to the host: {}, fetched before '{}'", idle,
                       decision.fetch_before.valid() ? source[decision.fetch_before].name : "");
  }
  return fmt::format("evicted: {}, costs {} to make again", idle,
                     format_ns(flow.producer_of(decision.buffer).duration_ns));
}

}  // namespace tidemark
