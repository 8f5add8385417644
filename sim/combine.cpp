#include "sim/combine.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "sim/milp_small.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

constexpr std::int64_t k_near_share = 500;  // rows in the first program: room below limit / this
constexpr int k_apply_rounds = 4;

struct Move {
  std::vector<Mover::Change> changes;  // ascending
  std::int64_t cost_ns = 0;
  std::vector<ByteChange> bytes;
  std::vector<std::int32_t> values;  // whose lifetimes it may change, ascending

  [[nodiscard]] std::int64_t bytes_at(Moment when) const {
    std::int64_t sum = 0;
    for (const ByteChange& change : bytes) {
      if (change.after < when && when < change.before) sum += change.bytes;
    }
    return sum;
  }
};

/// What is left of a journal when changes that undo each other are taken out.
std::vector<Mover::Change> net_of(std::vector<Mover::Change> journal) {
  std::stable_sort(journal.begin(), journal.end(),
                   [](const auto& a, const auto& b) { return a.when < b.when; });
  std::vector<Mover::Change> net;
  for (const Mover::Change& change : journal) {
    const bool undoes = !net.empty() && net.back().when == change.when;
    undoes ? net.pop_back() : net.push_back(change);
  }
  return net;
}

std::vector<std::int32_t> values_of(const Move& move, const ScheduleTask& task) {
  std::vector<std::int32_t> values;
  for (const Mover::Change& change : move.changes) {
    const ScheduleTask::Op& op = task.ops[at(op_of(change.when))];
    values.insert(values.end(), op.makes.begin(), op.makes.end());
    values.insert(values.end(), op.reads.begin(), op.reads.end());
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<Move> sample(Mover& mover, const CombineRequest& request) {
  ScheduleState& state = mover.state();
  const std::int64_t cost_ns = state.cost_ns();
  std::vector<Move> moves;
  std::set<std::vector<Mover::Change>> known;
  std::vector<ByteChange> log;
  state.record(&log);
  for (std::int64_t i = 0; i < request.tries && moves.size() < request.most_moves; ++i) {
    if (i % 256 == 0 && request.timer != nullptr && request.timer->over()) break;
    log.clear();
    mover.propose();
    Move move{.changes = net_of(mover.journal()),
              .cost_ns = state.cost_ns() - cost_ns,
              .bytes = log,
              .values = {}};
    mover.undo();
    if (move.changes.empty() || !known.insert(move.changes).second) continue;
    move.values = values_of(move, state.task());
    moves.push_back(std::move(move));
  }
  state.record(nullptr);
  return moves;
}

/// A moment of the schedule and the bytes that may be added there.
struct Row {
  Moment when = 0;
  std::int64_t room_bytes = 0;
  bool active = false;  // in the program
};

std::vector<Row> rows_of(const ScheduleState& state) {
  std::vector<Row> rows;
  const auto ops = static_cast<Position>(state.task().ops.size());
  for (Position i = 0; i < ops; ++i) {
    rows.push_back({moment(i, i), state.limit_bytes() - state.live_bytes(i)});
  }
  for (std::size_t i = 0; i < state.added().size(); ++i) {
    rows.push_back({state.added()[i], state.limit_bytes() - state.added_live_bytes(i)});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.when < b.when; });
  for (Row& row : rows) row.active = row.room_bytes < state.limit_bytes() / k_near_share;
  return rows;
}

/// The program over all moves, and how much of each its last answer takes.
class Combination {
 public:
  Combination(std::vector<Move> moves, const ScheduleState& state)
      : moves_(std::move(moves)),
        rows_(rows_of(state)),
        limit_bytes_(static_cast<double>(state.limit_bytes())),
        candidate_(moves_.size(), true),
        share_(moves_.size(), 0),
        by_value_(state.task().values.size()) {
    for (std::size_t j = 0; j < moves_.size(); ++j) {
      scale_ns_ = std::max(scale_ns_, std::abs(static_cast<double>(moves_[j].cost_ns)));
      for (const std::int32_t value : moves_[j].values) {
        by_value_[static_cast<std::size_t>(value)].push_back(j);
      }
    }
    least_gain_ = std::max(0.5 / scale_ns_, 1e-7);
  }

  /// Keeps the moves that an improvement may contain; false = there is none.
  bool relax(const Timer* timer) {
    MilpAnswer answer;
    for (int round = 0; round < k_relax_rounds; ++round) {
      answer = solve_small(program(false), {.timer = timer});
      if (answer.columns.empty() || answer.bound > -least_gain_) return false;
      read(answer);
      if (!activate()) break;
    }
    if (answer.reduced_costs.empty()) return false;
    for (std::size_t k = 0; k < columns_.size(); ++k) {
      candidate_[columns_[k]] = answer.bound + answer.reduced_costs[k] < -least_gain_;
    }
    return true;
  }

  /// The best set of moves found; empty = none.
  std::vector<std::size_t> pick(const CombineRequest& request) {
    for (int round = 0; round < k_pick_rounds; ++round) {
      const MilpAnswer answer = solve_small(
          program(true), {.timer = request.timer, .nodes = request.nodes, .cutoff = -least_gain_});
      if (answer.columns.empty()) return {};
      read(answer);
      if (activate()) continue;
      std::vector<std::size_t> picked;
      for (std::size_t j = 0; j < share_.size(); ++j) {
        if (share_[j] > 0.5) picked.push_back(j);
      }
      return picked;
    }
    return {};
  }

  [[nodiscard]] const std::vector<Mover::Change>& changes(std::size_t move) const {
    return moves_[move].changes;
  }
  void exclude(std::size_t move) { candidate_[move] = false; }

 private:
  Milp program(bool integer) {
    Milp milp;
    columns_.clear();
    std::vector<std::int32_t> column(moves_.size(), -1);
    for (std::size_t j = 0; j < moves_.size(); ++j) {
      if (!candidate_[j]) continue;
      const double cost = static_cast<double>(moves_[j].cost_ns) / scale_ns_;
      column[j] = milp.add({.cost = cost, .upper = 1, .integer = integer});
      columns_.push_back(j);
    }
    for (const auto& moves : by_value_) {
      Milp::Row row{.entries = {}, .at_most = 1};
      for (const std::size_t j : moves) {
        if (column[j] >= 0) row.entries.emplace_back(column[j], 1);
      }
      if (row.entries.size() > 1) milp.rows.push_back(std::move(row));
    }
    for (const Row& at : rows_) {
      if (!at.active) continue;
      Milp::Row row{.entries = {}, .at_most = static_cast<double>(at.room_bytes) / limit_bytes_};
      for (const std::size_t j : columns_) {
        const auto bytes = static_cast<double>(moves_[j].bytes_at(at.when));
        if (bytes != 0) row.entries.emplace_back(column[j], bytes / limit_bytes_);
      }
      milp.rows.push_back(std::move(row));
    }
    return milp;
  }

  void read(const MilpAnswer& answer) {
    std::fill(share_.begin(), share_.end(), 0);
    for (std::size_t k = 0; k < columns_.size(); ++k) share_[columns_[k]] = answer.columns[k];
  }

  /// Takes in the rows that the last answer violates most; false = there are none.
  bool activate() {
    std::vector<std::pair<double, Row*>> violated;
    const std::vector<double> added = added_bytes();
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const double above = added[r] - static_cast<double>(rows_[r].room_bytes);
      if (!rows_[r].active && above > 1e-6 * limit_bytes_) violated.emplace_back(-above, &rows_[r]);
    }
    std::sort(violated.begin(), violated.end());
    for (std::size_t i = 0; i < violated.size() && i < k_rows_at_once; ++i) {
      violated[i].second->active = true;
    }
    return !violated.empty();
  }

  /// By row, in one pass over the ends of all changes.
  [[nodiscard]] std::vector<double> added_bytes() const {
    std::vector<double> added(rows_.size() + 1, 0);
    const auto first = [this](Moment from) {
      const auto place = std::lower_bound(rows_.begin(), rows_.end(), from,
                                          [](const Row& r, Moment m) { return r.when < m; });
      return static_cast<std::size_t>(place - rows_.begin());
    };
    for (std::size_t j = 0; j < moves_.size(); ++j) {
      if (share_[j] < 1e-9) continue;
      for (const ByteChange& change : moves_[j].bytes) {
        const double bytes = share_[j] * static_cast<double>(change.bytes);
        added[first(change.after + 1)] += bytes;
        added[first(change.before)] -= bytes;
      }
    }
    double sum = 0;
    for (double& entry : added) entry = sum += entry;
    return added;
  }

  static constexpr int k_relax_rounds = 20;
  static constexpr int k_pick_rounds = 6;
  static constexpr std::size_t k_rows_at_once = 30;

  std::vector<Move> moves_;
  std::vector<Row> rows_;
  double limit_bytes_ = 1;
  double scale_ns_ = 1;
  double least_gain_ = 0;  // of the scaled cost
  std::vector<bool> candidate_;
  std::vector<double> share_;
  std::vector<std::size_t> columns_;  // moves of the last program, by column
  std::vector<std::vector<std::size_t>> by_value_;
};

/// One of the executions that `changes` add is above the limit.
bool is_over(const ScheduleState& state, const std::vector<Mover::Change>& changes) {
  return std::any_of(changes.begin(), changes.end(), [&](const Mover::Change& change) {
    if (!change.inserted) return false;
    const auto& added = state.added();
    const auto place = std::lower_bound(added.begin(), added.end(), change.when);
    const auto index = static_cast<std::size_t>(place - added.begin());
    return state.added_live_bytes(index) > state.limit_bytes();
  });
}

}  // namespace

bool combine(Mover& mover, const CombineRequest& request) {
  if (!milp_available()) return false;
  const std::vector<Moment> before = mover.state().added();
  const std::int64_t cost_ns = mover.state().cost_ns();
  Combination combination(sample(mover, request), mover.state());
  if (!combination.relax(request.timer)) return false;
  for (int round = 0; round < k_apply_rounds; ++round) {
    const std::vector<std::size_t> picked = combination.pick(request);
    if (picked.empty()) return false;
    for (const std::size_t move : picked) mover.apply(combination.changes(move));
    if (mover.state().excess_bytes() == 0 && mover.state().cost_ns() < cost_ns) return true;
    // An execution that a move adds has no row of its own: without that move, once more.
    bool excluded = false;
    for (const std::size_t move : picked) {
      if (!is_over(mover.state(), combination.changes(move))) continue;
      combination.exclude(move);
      excluded = true;
    }
    mover.adopt(before);
    if (!excluded) return false;
  }
  return false;
}

}  // namespace tidemark
