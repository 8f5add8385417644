#include "sim/anneal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "sim/combine.h"
#include "sim/mover.h"
#include "sim/timer.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// A schedule, and what it is worth.
struct Found {
  bool fits = false;
  std::int64_t cost_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t excess_bytes = std::numeric_limits<std::int64_t>::max();
  std::vector<Moment> added;

  /// Cheaper within the limit is better; else less above it.
  [[nodiscard]] bool is_beaten_by(const ScheduleState& state) const {
    const std::int64_t excess = state.excess_bytes();
    if (excess == 0) return !fits || state.cost_ns() < cost_ns;
    return !fits && excess < excess_bytes;
  }
  [[nodiscard]] bool is_beaten_by(const Found& other) const {
    if (other.fits) return !fits || other.cost_ns < cost_ns;
    return !fits && other.excess_bytes < excess_bytes;
  }
  void take(const ScheduleState& state) {
    fits = state.excess_bytes() == 0;
    cost_ns = state.cost_ns();
    excess_bytes = state.excess_bytes();
    added = state.added();
  }
};

/// One search of its own. A move is undone when it is not accepted.
class Lane {
 public:
  Lane(const ScheduleTask& task, std::int64_t limit_bytes, const Schedule& start, std::int64_t seed)
      : mover_(task, limit_bytes, seed) {
    if (!start.again.empty()) mover_.state().load(start);
    std::int64_t cost = 0;
    std::int64_t bytes = 0;
    for (const Position op : mover_.movable()) {
      cost += task.ops[at(op)].cost_ns;
      bytes += task.ops[at(op)].output_bytes;
    }
    const std::size_t count = std::max<std::size_t>(1, mover_.movable().size());
    mean_cost_ = static_cast<double>(cost) / static_cast<double>(count);
    first_price_ = static_cast<double>(std::max<std::int64_t>(1, cost)) /
                   static_cast<double>(std::max<std::int64_t>(1, bytes));
    price_ = first_price_;
    note();
  }

  [[nodiscard]] const Found& best() const { return best_; }

  /// One cooling from `hot` to `cold` mean costs of an op.
  template <class Stop>
  void cool(std::int64_t moves, double hot, double cold, const Stop& stop) {
    for (std::int64_t i = 0; i < moves && !mover_.movable().empty(); ++i) {
      if (i % 4096 == 0 && stop()) return;
      if (i == moves / 2) round_ = {};  // by now it has forgotten where it came from
      if (i % 64 == 0) {
        const double t = static_cast<double>(i) / static_cast<double>(moves);
        temperature_ = mean_cost_ * hot * std::pow(cold / hot, t);
        price_ *= mover_.state().excess_bytes() > 0 ? k_price_step : 1 / k_price_step;
        price_ = std::clamp(price_, 1e-3 * first_price_, 1e6 * first_price_);
      }
      step();
    }
  }

  void adopt(const std::vector<Moment>& schedule) {
    mover_.adopt(schedule);
    note();
  }

  /// From where the last cooling led, and from the best when it is new.
  template <class Stop>
  void combine_moves(const CombineRequest& request, const Stop& stop) {
    climb(Found(round_), request, stop);
    if (best_.added != round_.added && best_.added != climbed_) climb(Found(best_), request, stop);
    climbed_ = best_.added;
  }

 private:
  /// While combined moves improve it.
  template <class Stop>
  void climb(const Found& from, const CombineRequest& request, const Stop& stop) {
    if (!from.fits) return;
    mover_.adopt(from.added);
    while (!stop() && combine(mover_, request)) note();
  }

  double energy() const {
    return static_cast<double>(mover_.state().cost_ns()) +
           price_ * static_cast<double>(mover_.state().excess_bytes());
  }

  void step() {
    const double before = energy();
    mover_.propose();
    if (mover_.journal().empty()) return;
    const double after = energy();
    const bool accepted =
        after <= before || mover_.random().unit() < std::exp((before - after) / temperature_);
    if (!accepted) return mover_.undo();
    mover_.keep();
    note();
  }

  void note() {
    const ScheduleState& state = mover_.state();
    if (round_.is_beaten_by(state)) round_.take(state);
    if (best_.is_beaten_by(state)) best_.take(state);
  }

  static constexpr double k_price_step = 1.002;  // per 64 moves

  Mover mover_;
  double mean_cost_ = 0;
  double temperature_ = 1;
  double first_price_ = 1;
  double price_ = 1;  // of a byte above the limit at one execution
  Found round_;       // of the colder half of a cooling, and combined
  Found best_;
  std::vector<Moment> climbed_;  // the best when it was last improved by combined moves
};

constexpr std::int64_t k_lanes = 2;
constexpr std::int64_t k_first_round = 20000;  // moves per lane; each round has twice as many
constexpr std::int64_t k_longest_round = 300000;
constexpr double k_hot = 2;  // in mean costs of an op
constexpr double k_cold = 0.01;
constexpr std::int64_t k_combine_share = 20;  // of the moves of a round: tried again together

/// One cooling of every lane, side by side, and then many moves at once while that helps. The clock
/// is looked at now and then; without a limit nothing depends on it.
void search_together(std::vector<Lane>& lanes, std::int64_t moves, double hot, const Timer& timer) {
  const auto search = [moves, hot, &timer](Lane& lane) {
    const auto stop = [&timer] { return timer.over(); };
    lane.cool(moves, hot, k_cold, stop);
    const std::int64_t tries = std::min<std::int64_t>(moves / k_combine_share, 40000);
    lane.combine_moves({.tries = tries, .timer = &timer}, stop);
  };
  std::thread second([&] { search(lanes[1]); });
  search(lanes[0]);
  second.join();
}

/// Longer rounds cool more slowly and find more. With a limit on the clock the last round is sized
/// so that it can be cooled to its end.
std::int64_t next_round(std::int64_t moves, std::int64_t nodes, const Timer& timer) {
  const std::int64_t next = std::min(moves * 2, k_longest_round);
  if (timer.limit_s() <= 0) return next;
  const double spent_s = timer.spent_s();
  const double per_s = static_cast<double>(nodes / k_lanes) / std::max(spent_s, 1e-6);
  const auto left = static_cast<std::int64_t>(0.95 * per_s * (timer.limit_s() - spent_s));
  return std::clamp<std::int64_t>(2 * next > left ? left : next, 1000, k_longest_round);
}

const Found& best_of(const std::vector<Lane>& lanes) {
  const Found& first = lanes[0].best();
  return first.is_beaten_by(lanes[1].best()) ? lanes[1].best() : first;
}

bool ended(const Found& best, const AnnealRequest& request) {
  return best.fits && best.cost_ns <= request.bound_ns;
}

}  // namespace

AnnealResult anneal(const Dataflow& flow, const AnnealRequest& request) {
  const Timer timer(request.time_limit_s, request.cpu_time);
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
    search_together(lanes, moves, k_hot, timer);
    result.nodes += k_lanes * moves;
    result.cut = timer.over();
    const Found best = best_of(lanes);
    const std::int64_t cost_ns = best.fits ? best.cost_ns : -1;
    if (request.progress && !request.progress(result.nodes, cost_ns)) result.cut = true;
    for (Lane& lane : lanes) lane.adopt(best.added);
    moves = next_round(moves, result.nodes, timer);
  }
  const Found& best = best_of(lanes);
  result.fits = best.fits;
  result.cost_ns = best.cost_ns;
  result.schedule = keep_all_schedule(flow);
  for (const Moment m : best.added) result.schedule.again[at(stage_of(m))].push_back(op_of(m));
  return result;
}

}  // namespace tidemark
