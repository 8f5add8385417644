#include "sim/eviction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "sim/lazy_queue.h"
#include "sim/prefetch.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_impossible = std::numeric_limits<std::int64_t>::max() / 4;

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

enum class Where : std::uint8_t { unborn, here, absent, host };

/// What the walk knows of one value. A value that nobody needs any more is absent with need =
/// never.
struct State {
  Where where = Where::unborn;
  bool dirty = true;        // `cost_ns` and `valid_until` are to be computed again
  bool used = false;        // since it was made again
  Position need = k_never;  // next use, own or by an absent value that is made from it
  Position last_touch = -1;
  Position release = -1;       // on the host: given up before this op
  Position queued_at = -1;     // on the host: where its fetch counts in the queue
  std::int32_t pins = 0;       // uses by the current op and its preparations that are still to come
  std::int32_t decision = -1;  // that made this instance
  std::size_t next_use = 0;    // index in Value::uses
  std::int64_t cost_ns = 0;    // of having it back by recomputation, absent inputs included
  Position valid_until = -1;   // the last op for which that works
  double log_cost = 0;
};

/// Sums over positions with point updates (Fenwick 1994).
class PositionSums {
 public:
  explicit PositionSums(std::size_t count) : sums_(count + 1, 0) {}
  void add(Position position, std::int64_t value) {
    for (std::size_t i = at(position) + 1; i < sums_.size(); i += i & (~i + 1)) sums_[i] += value;
  }
  [[nodiscard]] std::int64_t up_to(Position position) const {
    std::int64_t sum = 0;
    for (std::size_t i = at(position) + 1; i > 0; i -= i & (~i + 1)) sum += sums_[i];
    return sum;
  }

 private:
  std::vector<std::int64_t> sums_;
};

/// Lists of values by value, in one block.
class ValueLists {
 public:
  /// Of each value the recomputable ones that are made from it.
  explicit ValueLists(const Dataflow& flow) : begin_(flow.values.size() + 1, 0) {
    const auto each = [&flow](auto visit) {
      for (std::size_t row = 0; row < flow.values.size(); ++row) {
        if (!flow.values[row].recomputable) continue;
        for (const BufferId input : flow.producer_of(BufferId{row}).reads) {
          visit(input, BufferId{row});
        }
      }
    };
    each([this](BufferId input, BufferId) { ++begin_[input.index() + 1]; });
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    members_.resize(begin_.back());
    std::vector<std::size_t> next = begin_;
    each([&](BufferId input, BufferId made) { members_[next[input.index()]++] = made; });
  }
  [[nodiscard]] std::span<const BufferId> operator[](BufferId id) const {
    return std::span(members_).subspan(begin_[id.index()],
                                       begin_[id.index() + 1] - begin_[id.index()]);
  }

 private:
  std::vector<std::size_t> begin_;
  std::vector<BufferId> members_;
};

class Walk {
 public:
  Walk(const Dataflow& flow, const EvictionSettings& settings)
      : flow_(flow),
        settings_(settings),
        states_(flow.values.size()),
        dependents_(flow),
        stamps_(flow.values.size(), 0),
        producer_stamps_(flow.body.size(), 0),
        wanted_for_(flow.values.size(), -1),
        log_bytes_(flow.values.size(), 0),
        victims_(flow.values.size()),
        queued_ns_(flow.body.size()),
        live_bytes_(flow.persistent_bytes) {
    for (std::size_t row = 0; row < flow.values.size(); ++row) {
      const Value& value = flow.values[row];
      if (value.bytes > 0) log_bytes_[row] = std::log(static_cast<double>(value.bytes));
      if (!value.uses.empty()) states_[row].need = value.uses.front();
    }
  }

  Eviction run() {
    for (now_ = 0; at(now_) < flow_.body.size() && !stuck_; ++now_) step();
    Eviction result;
    result.fits = !stuck_;
    result.stuck_at = stuck_ ? now_ - 1 : -1;
    result.extra_ns = clock_ns_ - flow_.compute_ns();
    for (std::size_t i = 0; i < decisions_.size(); ++i) {
      if (!void_[i]) result.decisions.push_back(decisions_[i]);
    }
    for (const BufferId id : settings_.parked) {
      const OpId until = flow_.body[at(flow_[id].uses.front())].op;
      result.decisions.push_back({DecisionKind::offload, id, until, {}, until, {}});
    }
    if (result.fits && (settings_.allow_offload || !settings_.fates.empty())) {
      schedule_transfers(flow_, {settings_.limit_bytes, clock_at_, live_at_, link()},
                         result.decisions);
    }
    return result;
  }

 private:
  CopyLink link() const { return {settings_.link_bytes_per_s, settings_.link_latency_ns}; }
  State& state(BufferId id) { return states_[id.index()]; }
  bool gone(BufferId id) { return state(id).where == Where::absent; }

  // ---- one op

  void step() {
    const BodyOp& op = flow_.body[at(now_)];
    clock_at_.push_back(clock_ns_);
    live_at_.push_back(live_bytes_);
    // What the last op touched may be offloaded from here on.
    for (const BufferId id : touched_) victims_.renew(id);
    for (const BufferId id : touched_) meet_fate(id);
    touched_.clear();
    find_missing(op);
    for (const BufferId id : op.touches) {
      ++state(id).pins;
      advance(id);
    }
    for (const BufferId id : fetches_) fetch(id);
    for (const Position producer : agains_) make_again(flow_.body[at(producer)]);
    begin_outputs(op);
    clock_ns_ += op.duration_ns;
    for (const BufferId id : op.touches) touch(id);
    for (const BufferId id : op.touches) unpin(id);
  }

  /// Fills fetches_ and agains_ with what must come back for this op, and pins what that reads.
  void find_missing(const BodyOp& op) {
    fetches_.clear();
    agains_.clear();
    ++stamp_;
    std::vector<BufferId> open = op.reads;
    while (!open.empty()) {
      const BufferId id = open.back();
      open.pop_back();
      if (std::exchange(stamps_[id.index()], stamp_) == stamp_) continue;
      if (state(id).where == Where::host) fetches_.push_back(id);
      if (!gone(id)) continue;
      const Value& value = flow_[id];
      if (!value.recomputable || value.valid_until < now_) {
        stuck_ = true;
        return;
      }
      wanted_for_[id.index()] = now_;
      if (std::exchange(producer_stamps_[at(value.producer)], stamp_) == stamp_) continue;
      agains_.push_back(value.producer);
      for (const BufferId input : flow_.producer_of(id).reads) {
        ++state(input).pins;
        open.push_back(input);
      }
    }
    std::sort(agains_.begin(), agains_.end());
    std::sort(fetches_.begin(), fetches_.end());
  }

  void begin_outputs(const BodyOp& op) {
    std::int64_t bytes = 0;
    for (const BufferId id : op.touches) {
      if (state(id).where == Where::unborn) bytes += flow_[id].bytes;
    }
    make_room(bytes);
    for (const BufferId id : op.touches) {
      if (state(id).where == Where::unborn) appear(id);
    }
  }

  void make_again(const BodyOp& op) {
    std::int64_t bytes = 0;
    for (const BufferId id : op.outputs) bytes += flow_[id].bytes;
    make_room(bytes);
    live_at_.back() = std::max(live_at_.back(), live_bytes_ + bytes);
    for (const BufferId id : op.outputs) {
      // Outputs that nobody asked for now but somebody will are kept: they are free.
      if (!gone(id) || (state(id).need == k_never && wanted_for_[id.index()] != now_)) continue;
      decide({DecisionKind::recompute, id, flow_.body[at(now_)].op, {}, {}, {}});
      appear(id);
    }
    clock_ns_ += op.duration_ns;
    for (const BufferId id : op.reads) touch(id);
    for (const BufferId id : op.reads) unpin(id);
    // An output without pins may have lost its last reason to stay.
    for (const BufferId id : op.outputs) refresh(id);
  }

  void fetch(BufferId id) {
    make_room(flow_[id].bytes);
    State& s = state(id);
    const std::int64_t transfer = transfer_ns(link(), flow_[id].bytes);
    queued_ns_.add(s.queued_at, -transfer);
    fetch_done_ns_ = std::max(fetch_done_ns_, clock_at_[at(s.release)]) + transfer;
    clock_ns_ = std::max(clock_ns_, fetch_done_ns_);
    const OpId until = flow_.body[at(now_)].op;
    decide({DecisionKind::offload, id, until, flow_.body[at(s.release)].op, until, {}});
    appear(id);
  }

  // ---- residence

  void decide(Decision decision) {
    state(decision.buffer).decision = static_cast<std::int32_t>(decisions_.size());
    state(decision.buffer).used = false;
    decisions_.push_back(std::move(decision));
    void_.push_back(false);
  }

  void appear(BufferId id) {
    State& s = state(id);
    s.where = Where::here;
    s.last_touch = now_;
    live_bytes_ += flow_[id].bytes;
    live_at_.back() = std::max(live_at_.back(), live_bytes_);
    s.dirty = true;
    victims_.renew(id);
    changed(id);
  }

  void leave(BufferId id, Where where) {
    State& s = state(id);
    s.where = where;
    live_bytes_ -= flow_[id].bytes;
    if (s.decision >= 0 && !s.used) void_[static_cast<std::size_t>(s.decision)] = true;
    s.decision = -1;
    victims_.drop(id);
    changed(id);
  }

  void touch(BufferId id) {
    state(id).last_touch = now_;
    state(id).used = true;
    if (settings_.allow_offload || !settings_.fates.empty()) touched_.push_back(id);
  }

  void unpin(BufferId id) {
    if (--state(id).pins == 0) victims_.renew(id);
    refresh(id);
  }

  void advance(BufferId id) {
    State& s = state(id);
    const auto& uses = flow_[id].uses;
    while (s.next_use < uses.size() && uses[s.next_use] <= now_) ++s.next_use;
  }

  /// Computes the next use again; what absent values need passes on to their inputs, and what is
  /// here and not needed leaves.
  void refresh(BufferId id) {
    State& s = state(id);
    const auto& uses = flow_[id].uses;
    Position need = s.next_use < uses.size() ? uses[s.next_use] : k_never;
    for (const BufferId dependent : dependents_[id]) {
      if (gone(dependent)) need = std::min(need, state(dependent).need);
    }
    const bool differs = std::exchange(s.need, need) != need;
    if (s.where == Where::here && need == k_never && s.pins == 0) leave(id, Where::absent);
    if (!differs) return;
    if (s.where == Where::here) victims_.renew(id);
    if (gone(id) && flow_[id].recomputable) refresh_inputs(id);
  }

  void refresh_inputs(BufferId id) {
    for (const BufferId input : flow_.producer_of(id).reads) refresh(input);
  }

  // ---- what it costs to have a value back

  /// The value came or went: the costs of all that is made from it change, through absent ones.
  void changed(BufferId id) {
    for (const BufferId dependent : dependents_[id]) {
      if (state(dependent).where == Where::here) victims_.renew(dependent);
      if (std::exchange(state(dependent).dirty, true)) continue;
      if (gone(dependent)) changed(dependent);
    }
  }

  /// Stops when the cost reaches `enough_ns`; then it is not known, and stays to be computed.
  void price(BufferId id, std::int64_t enough_ns) {
    State& s = state(id);
    s.cost_ns = 0;
    s.valid_until = k_never;
    ++stamp_;
    std::vector<BufferId>& open = open_;
    open.assign(1, id);
    while (!open.empty() && s.cost_ns < enough_ns) {
      const BufferId next = open.back();
      open.pop_back();
      if (std::exchange(stamps_[next.index()], stamp_) == stamp_) continue;
      const Value& value = flow_[next];
      state(next).dirty = false;  // `changed` stops at dirty ones: this one has been looked at
      if (!value.recomputable) s.cost_ns = k_impossible;
      if (!value.recomputable) break;
      s.valid_until = std::min(s.valid_until, value.valid_until);
      if (std::exchange(producer_stamps_[at(value.producer)], stamp_) == stamp_) continue;
      const BodyOp& producer = flow_.producer_of(next);
      s.cost_ns += producer.duration_ns;
      for (const BufferId input : producer.reads) {
        if (gone(input)) open.push_back(input);
      }
    }
    s.dirty = s.cost_ns >= enough_ns && s.cost_ns < k_impossible;
    s.log_cost = std::log(static_cast<double>(s.cost_ns) + 1);
  }

  struct Choice {
    BufferId victim;
    bool offload = false;
    double score = LazyQueue::k_out;
  };

  /// Time that offloading would add: the wait for the copy to the host, the part of the fetch that
  /// the queue cannot finish in time, and a price for the use of the link.
  std::int64_t offload_cost_ns(BufferId id) {
    const State& s = state(id);
    if (!settings_.allow_offload || s.last_touch >= now_ || s.need <= now_) return k_impossible;
    if (s.last_touch < flow_[id].last_write || s.need == k_never) return k_impossible;
    const std::int64_t transfer = transfer_ns(link(), flow_[id].bytes);
    const std::int64_t ready = std::max(store_done_ns_, ended_ns(s.last_touch));
    const std::int64_t wait = std::max<std::int64_t>(0, ready + transfer - clock_ns_);
    const std::int64_t room = flow_.begin_ns[at(s.need)] - flow_.begin_ns[at(now_)];
    const std::int64_t queue = queued_ns_.up_to(s.need);
    const std::int64_t late = std::max<std::int64_t>(0, queue + transfer - room);
    return wait + late +
           static_cast<std::int64_t>(settings_.link_price * static_cast<double>(transfer));
  }

  std::int64_t ended_ns(Position position) const {
    return at(position) + 1 < clock_at_.size() ? clock_at_[at(position) + 1] : clock_ns_;
  }

  /// Exact below `enough_ns`, the cost of the other way out.
  std::int64_t recompute_cost_ns(BufferId id, std::int64_t enough_ns) {
    State& s = state(id);
    if (!settings_.allow_recompute || !flow_[id].recomputable) return k_impossible;
    if (s.dirty) price(id, enough_ns);
    return s.need <= s.valid_until ? s.cost_ns : k_impossible;
  }

  Choice rate(BufferId id) {
    Choice choice{.victim = id};
    const State& s = state(id);
    if (s.where != Where::here || s.pins > 0 || s.need == k_never) return choice;
    if (!flow_[id].movable || fate_of(id) != Fate::open) return choice;
    const std::int64_t moved = offload_cost_ns(id);
    const std::int64_t again = recompute_cost_ns(id, moved + 1);
    choice.offload = moved < again;
    if (std::min(again, moved) >= k_impossible) return choice;
    const double log_cost = choice.offload ? std::log(static_cast<double>(moved) + 1) : s.log_cost;
    const std::int64_t idle = flow_.begin_ns[at(s.need)] - flow_.begin_ns[at(now_)];
    choice.score = settings_.cost_power * log_cost -
                   settings_.bytes_power * log_bytes_[id.index()] -
                   settings_.distance_power * std::log(static_cast<double>(idle) + 1);
    if (!settings_.weights.empty()) choice.score += std::log(settings_.weights[id.index()]);
    return choice;
  }

  [[nodiscard]] Fate fate_of(BufferId id) const {
    return settings_.fates.empty() ? Fate::open : settings_.fates[id.index()];
  }

  /// Before the op at now_: what has to leave by decree and is not needed on this side any more.
  void meet_fate(BufferId id) {
    const Fate fate = fate_of(id);
    const bool moves = fate == Fate::recompute || fate == Fate::offload;
    const State& s = state(id);
    if (!moves || s.where != Where::here || s.pins > 0 || !flow_[id].movable) return;
    const bool crosses = now_ <= settings_.across && s.need >= settings_.across;
    if (!crosses || s.need == k_never || s.need <= now_) return;
    if (fate == Fate::offload) {
      if (flow_[id].last_write < now_) remove({.victim = id, .offload = true});
      return;
    }
    if (!flow_[id].recomputable) return;
    price(id, k_impossible);
    if (s.cost_ns < k_impossible && s.need <= s.valid_until) remove({.victim = id});
  }

  // ---- room

  void make_room(std::int64_t bytes) {
    while (live_bytes_ + bytes > settings_.limit_bytes && !stuck_) {
      const BufferId victim = victims_.least([this](BufferId id) { return rate(id).score; });
      if (!victim.valid()) {
        stuck_ = true;
        return;
      }
      remove(rate(victim));
    }
  }

  void remove(const Choice& choice) {
    State& s = state(choice.victim);
    if (!choice.offload) {
      leave(choice.victim, Where::absent);
      refresh_inputs(choice.victim);
      return;
    }
    const std::int64_t transfer = transfer_ns(link(), flow_[choice.victim].bytes);
    store_done_ns_ = std::max(store_done_ns_, ended_ns(s.last_touch)) + transfer;
    clock_ns_ = std::max(clock_ns_, store_done_ns_);
    s.release = now_;
    s.queued_at = s.need;
    queued_ns_.add(s.need, transfer);
    leave(choice.victim, Where::host);
  }

  const Dataflow& flow_;
  const EvictionSettings& settings_;
  std::vector<State> states_;
  ValueLists dependents_;
  std::vector<std::int64_t> stamps_;           // by value
  std::vector<std::int64_t> producer_stamps_;  // by position
  std::vector<Position> wanted_for_;  // the op that last asked for the value to be made again
  std::int64_t stamp_ = 0;
  std::vector<double> log_bytes_;
  LazyQueue victims_;              // movable values that are here
  std::vector<BufferId> touched_;  // since the last op began
  std::vector<BufferId> fetches_;
  std::vector<Position> agains_;
  std::vector<BufferId> open_;
  std::vector<Decision> decisions_;
  std::vector<bool> void_;  // decisions that turned out to be of no use
  PositionSums queued_ns_;  // transfers to come, by the position that needs them
  std::vector<std::int64_t> clock_at_;
  std::vector<std::int64_t> live_at_;  // most bytes around each op
  std::int64_t live_bytes_ = 0;
  std::int64_t clock_ns_ = 0;
  std::int64_t store_done_ns_ = 0;
  std::int64_t fetch_done_ns_ = 0;
  Position now_ = 0;
  bool stuck_ = false;
};

}  // namespace

Eviction evict(const Dataflow& flow, const EvictionSettings& settings) {
  if (settings.parked.empty()) return Walk(flow, settings).run();
  return Walk(with_parked(flow, settings.parked), settings).run();
}

}  // namespace tidemark
