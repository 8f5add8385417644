#include "sim/anneal.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "sim/random.h"
#include "sim/schedule_state.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// One search of its own. A move is a list of changes that is undone when it is not accepted.
class Lane {
 public:
  Lane(const ScheduleTask& task, std::int64_t limit_bytes, const Schedule& start, std::int64_t seed)
      : task_(task), state_(task, limit_bytes), random_(seed) {
    if (!start.again.empty()) state_.load(start);
    for (std::size_t i = 0; i < task.ops.size(); ++i) {
      const ScheduleTask::Op& op = task.ops[i];
      if (!op.makes.empty() && op.again_until > static_cast<Position>(i)) {
        movable_.push_back(static_cast<Position>(i));
      }
    }
    std::int64_t cost = 0;
    std::int64_t bytes = 0;
    for (const Position op : movable_) {
      cost += task.ops[at(op)].cost_ns;
      bytes += task.ops[at(op)].output_bytes;
    }
    mean_cost_ =
        static_cast<double>(cost) / static_cast<double>(std::max<std::size_t>(1, movable_.size()));
    first_price_ = static_cast<double>(std::max<std::int64_t>(1, cost)) /
                   static_cast<double>(std::max<std::int64_t>(1, bytes));
    price_ = first_price_;
    note();
  }

  [[nodiscard]] bool fits() const { return best_fits_; }
  [[nodiscard]] std::int64_t best_cost_ns() const { return best_cost_ns_; }
  [[nodiscard]] const std::vector<Moment>& best() const { return best_; }
  [[nodiscard]] const ScheduleState& state() const { return state_; }

  /// Cheaper within the limit; else less above it.
  [[nodiscard]] bool better_than(const Lane& other) const {
    if (best_fits_ != other.best_fits_) return best_fits_;
    return best_fits_ ? best_cost_ns_ < other.best_cost_ns_ : best_excess_ < other.best_excess_;
  }

  /// One cooling from `hot` to `cold` mean costs of an op.
  template <class Stop>
  void run(std::int64_t moves, double hot, double cold, const Stop& stop) {
    for (std::int64_t i = 0; i < moves && !movable_.empty(); ++i) {
      if (i % 4096 == 0 && stop()) return;
      if (i % 64 == 0) {
        const double t = static_cast<double>(i) / static_cast<double>(moves);
        temperature_ = mean_cost_ * hot * std::pow(cold / hot, t);
        price_ *= state_.excess_bytes() > 0 ? k_price_step : 1 / k_price_step;
        price_ = std::clamp(price_, 1e-3 * first_price_, 1e6 * first_price_);
      }
      step();
    }
  }

  void adopt(const std::vector<Moment>& schedule) {
    while (!state_.added().empty()) {
      const Moment m = state_.added().back();
      state_.erase(stage_of(m), op_of(m));
    }
    for (const Moment m : schedule) state_.insert(stage_of(m), op_of(m));
    note();
  }

 private:
  double energy() const {
    return static_cast<double>(state_.cost_ns()) +
           price_ * static_cast<double>(state_.excess_bytes());
  }

  void insert(Position stage, Position op) {
    state_.insert(stage, op);
    journal_.push_back({moment(stage, op), true});
  }
  void erase(Position stage, Position op) {
    state_.erase(stage, op);
    journal_.push_back({moment(stage, op), false});
  }
  void undo() {
    for (std::size_t i = journal_.size(); i-- > 0;) {
      const auto [m, inserted] = journal_[i];
      inserted ? state_.erase(stage_of(m), op_of(m)) : state_.insert(stage_of(m), op_of(m));
    }
    journal_.clear();
  }

  void step() {
    const double before = energy();
    propose();
    if (journal_.empty()) return;
    const double after = energy();
    const bool accepted =
        after <= before || random_.unit() < std::exp((before - after) / temperature_);
    if (!accepted) return undo();
    journal_.clear();
    note();
  }

  void note() {
    const bool fits = state_.excess_bytes() == 0;
    const bool better = fits ? !best_fits_ || state_.cost_ns() < best_cost_ns_
                             : !best_fits_ && state_.excess_bytes() < best_excess_;
    if (!better) return;
    best_fits_ = fits;
    best_cost_ns_ = state_.cost_ns();
    best_excess_ = state_.excess_bytes();
    best_ = state_.added();
  }

  void propose() {
    const std::size_t kind = random_.below(16);
    if (kind < 5 || state_.added().empty()) return drop_some();
    if (kind < 9) return erase_some();
    if (kind < 12) return shift_some();
    if (kind < 15) {
      erase_some();
      return drop_some();
    }
    rebuild_some();
  }

  /// Takes out added executions of ops that lie near each other, and drops values until no more is
  /// above the limit than before.
  void rebuild_some() {
    if (state_.added().empty()) return;
    const std::int64_t excess = state_.excess_bytes();
    const Position center = op_of(some_added());
    const std::size_t most = 1 + random_.below(6);
    for (std::size_t i = 0; i < most && !state_.added().empty(); ++i) {
      for (int attempt = 0; attempt < 16; ++attempt) {
        if (state_.added().empty()) break;
        const Moment m = some_added();
        if (std::abs(op_of(m) - center) > 16) continue;
        erase_chain(stage_of(m), op_of(m));
        break;
      }
    }
    for (std::size_t i = 0; i < 3 * most && state_.excess_bytes() > excess; ++i) drop_some();
  }

  Moment some_added() { return state_.added()[random_.below(state_.added().size())]; }

  void erase_some() {
    if (state_.added().empty()) return;
    const Moment m = some_added();
    erase_chain(stage_of(m), op_of(m));
  }

  /// Erases an added execution, and those whose only use was to feed it.
  void erase_chain(Position stage, Position op) {
    erase(stage, op);
    prune_inputs(stage, op);
  }

  void prune_inputs(Position stage, Position op) {
    for (const std::int32_t id : task_.ops[at(op)].reads) {
      const Position producer = task_.values[static_cast<std::size_t>(id)].producer;
      if (producer < 0) continue;
      const Position made = state_.made_for(id, stage);
      if (made != producer && state_.is_useless(made, producer)) erase_chain(made, producer);
    }
  }

  /// A value that is live at a moment, and its op can run again. -1 when none was hit.
  Position some_live_at(Moment when) {
    for (int attempt = 0; attempt < 12; ++attempt) {
      const Position op = movable_[random_.below(movable_.size())];
      if (op >= stage_of(when)) continue;
      const Position made = made_before(op, when);
      if (made < 0) continue;
      for (const std::int32_t id : task_.ops[at(op)].makes) {
        if (state_.end_of(id, made) > when) return op;
      }
    }
    return -1;
  }

  /// Stage of the last execution of `op` before `when`; -1 when there is none.
  Position made_before(Position op, Moment when) const {
    const auto& stages = state_.stages(op);
    Position found = -1;
    for (const Position stage : stages) {
      if (moment(stage, op) < when) found = stage;
    }
    return found;
  }

  /// Half of the time one while something is made again: a value may also be absent just then.
  Moment some_moment() {
    if (!state_.added().empty() && random_.below(2) == 0) return some_added();
    const auto stage = static_cast<Position>(random_.below(task_.ops.size()));
    return moment(stage, stage);
  }

  /// Removes a value between two of its uses.
  void drop_some() {
    Moment when = random_.below(4) != 0 ? state_.over_limit(random_.next()) : -1;
    if (when < 0) when = some_moment();
    const Position op = some_live_at(when);
    if (op < 0) return;
    const Position next = next_use(op, when);
    if (next < 0 || !state_.can_insert(next, op)) return;
    depth_ = 0;
    make_again(next, op);
  }

  /// Stage of the first read of a value of `op` at or after `when`; -1 when there is none.
  Position next_use(Position op, Moment when) const {
    Moment first = std::numeric_limits<Moment>::max();
    for (const std::int32_t id : task_.ops[at(op)].makes) {
      for (const Position reader : task_.values[static_cast<std::size_t>(id)].readers) {
        const auto& stages = state_.stages(reader);
        const Position from = stage_of(when) + (reader < op_of(when) ? 1 : 0);
        const auto place = std::lower_bound(stages.begin(), stages.end(), from);
        if (place != stages.end()) first = std::min(first, moment(*place, reader));
      }
    }
    return first == std::numeric_limits<Moment>::max() ? -1 : stage_of(first);
  }

  /// Runs `op` in `stage` too; inputs that are gone by then are kept longer or made again as well.
  void make_again(Position stage, Position op) {
    if (++depth_ > 64) return;
    const Moment self = moment(stage, op);
    for (const std::int32_t id : task_.ops[at(op)].reads) {
      const Position producer = task_.values[static_cast<std::size_t>(id)].producer;
      if (producer < 0 || !state_.can_insert(stage, producer)) continue;
      if (state_.end_for(id, stage) > self) continue;
      if (random_.below(8) < k_again_share) make_again(stage, producer);
    }
    if (state_.can_insert(stage, op)) insert(stage, op);
    prune_same(stage, op);
  }

  /// The instance before the new one may be of no use any more.
  void prune_same(Position stage, Position op) {
    const auto& stages = state_.stages(op);
    const auto place = std::lower_bound(stages.begin(), stages.end(), stage);
    if (place == stages.begin() || std::prev(place) == stages.begin()) return;
    const Position before = *std::prev(place);
    if (state_.is_useless(before, op)) erase_chain(before, op);
  }

  /// Moves an added execution to another stage.
  void shift_some() {
    const Moment m = some_added();
    const Position op = op_of(m);
    Position target = stage_of(m);
    switch (random_.below(3)) {
      case 0:
        target += static_cast<Position>(random_.below(7)) - 3;
        break;
      case 1:
        target = stage_of(some_added());
        break;
      default:
        target = op + 1 + static_cast<Position>(random_.below(at(stage_of(m) - op)));
    }
    if (target >= static_cast<Position>(task_.ops.size()) || !state_.can_insert(target, op)) return;
    erase_chain(stage_of(m), op);
    depth_ = 0;
    if (state_.can_insert(target, op)) make_again(target, op);
    if (state_.can_insert(target, op)) return;
    if (state_.is_useless(target, op)) erase_chain(target, op);
  }

  static constexpr double k_price_step = 1.002;    // per 64 moves
  static constexpr std::size_t k_again_share = 6;  // of 8 inputs that are gone: made again too

  struct Change {
    Moment when;
    bool inserted;
  };

  const ScheduleTask& task_;
  ScheduleState state_;
  Random random_;
  std::vector<Position> movable_;
  std::vector<Change> journal_;
  int depth_ = 0;
  double mean_cost_ = 0;
  double temperature_ = 1;
  double first_price_ = 1;
  double price_ = 1;  // of a byte above the limit at one execution
  bool best_fits_ = false;
  std::int64_t best_cost_ns_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t best_excess_ = std::numeric_limits<std::int64_t>::max();
  std::vector<Moment> best_;
};

/// A limit on the clock, asked by both lanes.
struct Timer {
  std::chrono::steady_clock::time_point begin;
  double limit_s = 0;
  [[nodiscard]] double spent_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  [[nodiscard]] bool over() const { return limit_s > 0 && spent_s() > limit_s; }
};

constexpr std::int64_t k_lanes = 2;
constexpr std::int64_t k_first_round = 20000;  // moves per lane; each round has four times as many
constexpr std::int64_t k_longest_round = 16000000;
constexpr double k_hot = 2;  // in mean costs of an op
constexpr double k_cold = 0.01;

/// One cooling of every lane, side by side. The clock is looked at now and then; without a limit
/// nothing depends on it.
void cool_together(std::vector<Lane>& lanes, std::int64_t moves, const Timer& timer) {
  const auto cool = [moves, &timer](Lane& lane) {
    lane.run(moves, k_hot, k_cold, [&timer] { return timer.over(); });
  };
  std::thread second([&] { cool(lanes[1]); });
  cool(lanes[0]);
  second.join();
}

/// Longer rounds cool more slowly and find more. With a limit on the clock the last round is sized
/// so that it can be cooled to its end.
std::int64_t next_round(std::int64_t moves, std::int64_t nodes, const Timer& timer) {
  const std::int64_t next = std::min(moves * 4, k_longest_round);
  if (timer.limit_s <= 0) return next;
  const double spent_s = timer.spent_s();
  const double per_s = static_cast<double>(nodes / k_lanes) / std::max(spent_s, 1e-6);
  const auto left = static_cast<std::int64_t>(0.95 * per_s * (timer.limit_s - spent_s));
  return std::clamp<std::int64_t>(2 * next > left ? left : next, 1000, k_longest_round);
}

const Lane& best_of(const std::vector<Lane>& lanes) {
  return lanes[1].better_than(lanes[0]) ? lanes[1] : lanes[0];
}

bool ended(const Lane& best, const AnnealRequest& request) {
  return best.fits() && best.best_cost_ns() <= request.bound_ns;
}

}  // namespace

AnnealResult anneal(const Dataflow& flow, const AnnealRequest& request) {
  const auto begin = std::chrono::steady_clock::now();
  const ScheduleTask task = task_of(flow);
  std::vector<Lane> lanes;
  for (std::int64_t i = 0; i < k_lanes; ++i) {
    lanes.emplace_back(task, request.limit_bytes, request.start, k_lanes * request.seed + i);
  }
  AnnealResult result;
  std::int64_t moves = k_first_round;
  while (result.nodes < request.nodes && !result.cut && !ended(best_of(lanes), request)) {
    const std::int64_t left = (request.nodes - result.nodes + k_lanes - 1) / k_lanes;
    moves = std::min(moves, left);
    const Timer timer{begin, request.time_limit_s};
    cool_together(lanes, moves, timer);
    result.nodes += k_lanes * moves;
    result.cut = timer.over();
    const Lane& best = best_of(lanes);
    const std::int64_t cost_ns = best.fits() ? best.best_cost_ns() : -1;
    if (request.progress && !request.progress(result.nodes, cost_ns)) result.cut = true;
    const std::vector<Moment> from = best.best();
    for (Lane& lane : lanes) lane.adopt(from);
    moves = next_round(moves, result.nodes, timer);
  }
  const Lane& best = best_of(lanes);
  result.fits = best.fits();
  result.cost_ns = best.best_cost_ns();
  result.schedule = keep_all_schedule(flow);
  for (const Moment m : best.best()) result.schedule.again[at(stage_of(m))].push_back(op_of(m));
  return result;
}

}  // namespace tidemark
