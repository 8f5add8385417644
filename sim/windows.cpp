#include "sim/windows.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "sim/milp.h"
#include "sim/schedule_state.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_columns = 5000;
constexpr std::size_t k_rows_at_once = 24;
constexpr int k_relax_rounds = 24;

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// At most `count` ops above the limit, ascending: the highest first, then far from each other.
std::vector<Position> cuts_of(const std::vector<std::int64_t>& live, std::int64_t limit_bytes,
                              std::size_t count) {
  std::vector<Position> over;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i] > limit_bytes) over.push_back(static_cast<Position>(i));
  }
  const auto apart = static_cast<Position>(std::max<std::size_t>(1, over.size() / count));
  std::stable_sort(over.begin(), over.end(),
                   [&](Position a, Position b) { return live[at(a)] > live[at(b)]; });
  std::vector<Position> cuts;
  for (const Position op : over) {
    const bool near = std::any_of(cuts.begin(), cuts.end(),
                                  [&](Position cut) { return std::abs(cut - op) < apart; });
    if (!near && cuts.size() < count) cuts.push_back(op);
  }
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

class WindowProgram {
 public:
  WindowProgram(const Dataflow& flow, std::int64_t limit_bytes, std::size_t cuts,
                std::int64_t upper_ns)
      : flow_(flow),
        task_(task_of(flow)),
        live_(keep_all_bytes(flow)),
        limit_bytes_(limit_bytes),
        cuts_(cuts_of(live_, limit_bytes, cuts)),
        runs_(flow.body.size(), Columns(cuts_.size() + 1, -1)),
        kept_(flow.values.size(), Columns(cuts_.size() + 1, -1)),
        has_row_(flow.body.size(), false) {
    add_runs(upper_ns - flow.compute_ns());
    if (milp_.columns.size() > k_most_columns) return;
    for (std::size_t w = 1; w <= cuts_.size(); ++w) add_cut(w);
    add_needs();
    for (const Position cut : cuts_) add_cover(cut);
  }

  [[nodiscard]] bool is_empty() const { return cuts_.empty(); }
  [[nodiscard]] bool is_too_large() const { return milp_.columns.size() > k_most_columns; }
  [[nodiscard]] const Milp& milp() const { return milp_; }

  void make_integer() {
    for (Milp::Column& column : milp_.columns) column.integer = true;
  }

  /// Adds rows of ops that `solution` violates most; false = there are none.
  bool add_violated(const std::vector<double>& solution) {
    std::vector<std::pair<double, Position>> violated;
    for (std::size_t i = 0; i < live_.size(); ++i) {
      if (live_[i] <= limit_bytes_ || has_row_[i]) continue;
      const Milp::Row row = cover(static_cast<Position>(i));
      double sum = -row.at_least;
      for (const auto& [column, factor] : row.entries) {
        sum += factor * solution[static_cast<std::size_t>(column)];
      }
      if (sum < -1e-6) violated.emplace_back(sum, static_cast<Position>(i));
    }
    std::sort(violated.begin(), violated.end());
    for (std::size_t i = 0; i < violated.size() && i < k_rows_at_once; ++i) {
      add_cover(violated[i].second);
    }
    return !violated.empty();
  }

  [[nodiscard]] const CostScale& scale() const { return scale_; }

 private:
  using Columns = std::vector<std::int32_t>;  // by window; -1 = none

  [[nodiscard]] double scaled(std::int64_t bytes) const {
    return static_cast<double>(bytes) /
           static_cast<double>(std::max<std::int64_t>(1, limit_bytes_));
  }
  /// The window of the stage that ends with the original of `op`; window w begins after cut w - 1.
  [[nodiscard]] std::size_t window_of(Position op) const {
    return static_cast<std::size_t>(std::lower_bound(cuts_.begin(), cuts_.end(), op) -
                                    cuts_.begin());
  }
  [[nodiscard]] Position cut(std::size_t window) const { return cuts_[window - 1]; }

  /// One column for each op that may run again and each window from its own on.
  void add_runs(std::int64_t most_ns) {
    for (const ScheduleTask::Op& op : task_.ops) scale_.add(op.cost_ns);
    for (std::size_t i = 0; i < task_.ops.size(); ++i) {
      const ScheduleTask::Op& op = task_.ops[i];
      if (op.makes.empty() || op.cost_ns >= most_ns) continue;
      const double cost = scale_.scaled(op.cost_ns);
      for (std::size_t w = window_of(static_cast<Position>(i)); w <= cuts_.size(); ++w) {
        const Position first = w == 0 ? 0 : cut(w) + 1;
        if (std::max(first, static_cast<Position>(i) + 1) > op.again_until) break;
        runs_[i][w] = milp_.add({.cost = cost, .upper = 1, .integer = false});
      }
    }
  }

  /// What is kept while the cut before window `w` runs, and that it fits.
  void add_cut(std::size_t w) {
    Milp::Row row{.entries = {}, .at_most = 0};
    std::int64_t bytes = flow_.persistent_bytes;
    for (std::size_t v = 0; v < task_.values.size(); ++v) {
      const ScheduleTask::Value& value = task_.values[v];
      if (value.begin < 0 || value.begin > cut(w)) continue;
      if (stays(v, cut(w))) {
        bytes += value.bytes;
        continue;
      }
      kept_[v][w] = milp_.add({.cost = 0, .upper = 1, .integer = false});
      if (value.bytes > 0) row.entries.emplace_back(kept_[v][w], scaled(value.bytes));
    }
    row.at_most = scaled(limit_bytes_) - scaled(bytes);
    milp_.rows.push_back(std::move(row));
  }

  /// Live in every schedule while the original of `op` runs.
  [[nodiscard]] bool stays(std::size_t value, Position op) const {
    const Value& v = flow_.values[value];
    if (task_.values[value].producer < 0) return v.uses.front() <= op && op <= v.last_use();
    return std::binary_search(v.uses.begin(), v.uses.end(), op);
  }

  /// Adds to `row` the ways in which `value` may be there for an execution of window `w`; false =
  /// it is there in any case.
  bool add_sources(Milp::Row& row, std::size_t value, std::size_t w) const {
    const ScheduleTask::Value& v = task_.values[value];
    if (w == 0 || window_of(v.begin) == w || stays(value, cut(w))) return false;
    if (v.producer < 0 && v.last > cut(w)) return false;
    if (kept_[value][w] >= 0) row.entries.emplace_back(kept_[value][w], 1);
    if (v.producer >= 0 && runs_[at(v.producer)][w] >= 0) {
      row.entries.emplace_back(runs_[at(v.producer)][w], 1);
    }
    return true;
  }

  void add_needs() {
    for (std::size_t i = 0; i < task_.ops.size(); ++i) {
      for (const std::int32_t id : task_.ops[i].reads) {
        const auto value = static_cast<std::size_t>(id);
        Milp::Row original{.entries = {}, .at_least = 1};
        if (add_sources(original, value, window_of(static_cast<Position>(i)))) {
          milp_.rows.push_back(std::move(original));
        }
        for (std::size_t w = 1; w <= cuts_.size(); ++w) {
          if (runs_[i][w] < 0) continue;
          Milp::Row again{.entries = {{runs_[i][w], -1}}, .at_least = 0};
          if (add_sources(again, value, w)) milp_.rows.push_back(std::move(again));
        }
      }
    }
    for (std::size_t v = 0; v < kept_.size(); ++v) {
      for (std::size_t w = 2; w <= cuts_.size(); ++w) {
        if (kept_[v][w] < 0) continue;
        Milp::Row row{.entries = {{kept_[v][w], -1}}, .at_least = 0};
        if (add_sources(row, v, w - 1)) milp_.rows.push_back(std::move(row));
      }
    }
  }

  /// While the original of `op` runs, what is between two uses is there, or runs again from this
  /// window to that of its next use.
  [[nodiscard]] Milp::Row cover(Position op) const {
    Milp::Row row{.entries = {}, .at_least = scaled(live_[at(op)]) - scaled(limit_bytes_)};
    std::vector<std::pair<std::int32_t, double>> all;
    for (std::size_t v = 0; v < flow_.values.size(); ++v) {
      const Value& value = flow_.values[v];
      if (task_.values[v].producer < 0 || value.bytes == 0) continue;
      if (op <= value.uses.front() || op >= value.uses.back()) continue;
      const auto next = std::lower_bound(value.uses.begin(), value.uses.end(), op);
      if (*next == op) continue;
      const auto& runs = runs_[at(value.producer)];
      for (std::size_t w = window_of(op); w <= window_of(*next); ++w) {
        if (runs[w] >= 0) all.emplace_back(runs[w], scaled(value.bytes));
      }
    }
    std::sort(all.begin(), all.end());
    for (const auto& [column, bytes] : all) {
      const bool same = !row.entries.empty() && row.entries.back().first == column;
      same ? static_cast<void>(row.entries.back().second += bytes)
           : row.entries.push_back({column, bytes});
    }
    return row;
  }

  void add_cover(Position op) {
    has_row_[at(op)] = true;
    milp_.rows.push_back(cover(op));
  }

  const Dataflow& flow_;
  ScheduleTask task_;
  std::vector<std::int64_t> live_;
  std::int64_t limit_bytes_ = 0;
  std::vector<Position> cuts_;
  Milp milp_;
  CostScale scale_;
  std::vector<Columns> runs_;  // by op
  std::vector<Columns> kept_;  // by value; window w: at the cut before it
  std::vector<bool> has_row_;  // by op
};

}  // namespace

RecomputeBound window_bound(const Dataflow& flow, std::int64_t limit_bytes,
                            const WindowLimits& limits) {
  RecomputeBound bound = step_cover_bound(flow, limit_bytes);
  if (!bound.possible || !milp_available() || bound.cost_ns >= limits.upper_ns) return bound;
  WindowProgram program(flow, limit_bytes, limits.cuts, limits.upper_ns);
  if (program.is_empty() || program.is_too_large()) return bound;
  const auto raise = [&](double objective) {
    const std::int64_t cost_ns = flow.compute_ns() + program.scale().cost_ns(objective);
    bound.cost_ns = std::min(limits.upper_ns, std::max(bound.cost_ns, cost_ns));
  };
  const bool known = limits.upper_ns < std::numeric_limits<std::int64_t>::max();
  const auto nothing = [&] {
    bound.possible = known;
    bound.cost_ns = limits.upper_ns;
    return bound;
  };
  for (int round = 0; round < k_relax_rounds; ++round) {
    const MilpAnswer answer = solve(program.milp(), {.timer = limits.timer});
    if (answer.infeasible) return nothing();
    if (!answer.finished) return bound;
    raise(answer.bound);
    if (!program.add_violated(answer.columns)) break;
  }
  if (bound.cost_ns >= limits.upper_ns) return bound;
  program.make_integer();
  MilpLimits tree{.timer = limits.timer, .nodes = limits.nodes};
  if (known) tree.cutoff = program.scale().cutoff(limits.upper_ns - flow.compute_ns());
  const MilpAnswer answer = solve(program.milp(), tree);
  if (answer.infeasible) return nothing();
  if (answer.bound > 0) raise(answer.bound);
  return bound;
}

}  // namespace tidemark
