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

  [[nodiscard]] bool fits() const { return best_fits_; }
  [[nodiscard]] std::int64_t best_cost_ns() const { return best_cost_ns_; }
  [[nodiscard]] const std::vector<Moment>& best() const { return best_; }
  [[nodiscard]] Mover& mover() { return mover_; }

  /// Cheaper within the limit; else less above it.
  [[nodiscard]] bool better_than(const Lane& other) const {
    if (best_fits_ != other.best_fits_) return best_fits_;
    return best_fits_ ? best_cost_ns_ < other.best_cost_ns_ : best_excess_ < other.best_excess_;
  }

  /// One cooling from `hot` to `cold` mean costs of an op.
  template <class Stop>
  void cool(std::int64_t moves, double hot, double cold, const Stop& stop) {
    for (std::int64_t i = 0; i < moves && !mover_.movable().empty(); ++i) {
      if (i % 4096 == 0 && stop()) return;
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

  /// From the best on, while combined moves improve it.
  template <class Stop>
  void combine_moves(const CombineRequest& request, const Stop& stop) {
    if (!best_fits_) return;
    mover_.adopt(best_);
    while (!stop() && combine(mover_, request)) note();
  }

  void note() {
    const ScheduleState& state = mover_.state();
    const bool fits = state.excess_bytes() == 0;
    const bool better = fits ? !best_fits_ || state.cost_ns() < best_cost_ns_
                             : !best_fits_ && state.excess_bytes() < best_excess_;
    if (!better) return;
    best_fits_ = fits;
    best_cost_ns_ = state.cost_ns();
    best_excess_ = state.excess_bytes();
    best_ = state.added();
  }

 private:
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

  static constexpr double k_price_step = 1.002;  // per 64 moves

  Mover mover_;
  double mean_cost_ = 0;
  double temperature_ = 1;
  double first_price_ = 1;
  double price_ = 1;  // of a byte above the limit at one execution
  bool best_fits_ = false;
  std::int64_t best_cost_ns_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t best_excess_ = std::numeric_limits<std::int64_t>::max();
  std::vector<Moment> best_;
};

constexpr std::int64_t k_lanes = 2;
constexpr std::int64_t k_first_round = 20000;  // moves per lane; each round has twice as many
constexpr std::int64_t k_longest_round = 1000000;
constexpr double k_hot = 2;  // in mean costs of an op
constexpr double k_cold = 0.01;
constexpr std::int64_t k_combine_share = 20;  // of the moves of a round: tried again together

/// One cooling of every lane, side by side, and then many moves at once while that helps. The clock
/// is looked at now and then; without a limit nothing depends on it.
void search_together(std::vector<Lane>& lanes, std::int64_t moves, double hot, const Timer& timer) {
  const auto search = [moves, hot, &timer](Lane& lane) {
    const auto stop = [&timer] { return timer.over(); };
    lane.cool(moves, hot, k_cold, stop);
    lane.combine_moves({.tries = std::min<std::int64_t>(moves / k_combine_share, 40000)}, stop);
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

const Lane& best_of(const std::vector<Lane>& lanes) {
  return lanes[1].better_than(lanes[0]) ? lanes[1] : lanes[0];
}

bool ended(const Lane& best, const AnnealRequest& request) {
  return best.fits() && best.best_cost_ns() <= request.bound_ns;
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
