#include "sim/exact.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sim/milp.h"
#include "sim/schedule_state.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// A 0/1 quantity: a constant or a column.
struct Term {
  std::int32_t column = -1;
  bool one = false;  // without a column: 1, else 0
};

class ExactProgram {
 public:
  ExactProgram(const Dataflow& flow, const ExactRequest& request)
      : flow_(flow),
        task_(task_of(flow)),
        request_(request),
        ops_(static_cast<Position>(flow.body.size())),
        again_(flow.body.size()),
        kept_(flow.body.size() + 1),
        scale_(costs_of(flow)) {}

  /// False = it would have too many columns.
  bool build() {
    for (Position t = 0; t < ops_; ++t) add_columns(t);
    kept_[at(ops_)].assign(task_.values.size(), {});
    for (Position t = 0; t < ops_; ++t) {
      if (columns() > request_.most_columns) return false;
      add_sources(t);
      add_bytes(t);
    }
    return columns() <= request_.most_columns;
  }

  [[nodiscard]] std::size_t columns() const { return milp_.columns.size(); }
  [[nodiscard]] const Milp& milp() const { return milp_; }
  [[nodiscard]] const CostScale& scale() const { return scale_; }

  [[nodiscard]] Schedule schedule_of(const std::vector<double>& solution) const {
    Schedule schedule = keep_all_schedule(flow_);
    for (Position t = 0; t < ops_; ++t) {
      for (Position i = 0; i < t; ++i) {
        const std::int32_t column = again_[at(t)][at(i)].column;
        if (column >= 0 && solution[static_cast<std::size_t>(column)] > 0.5) {
          schedule.again[at(t)].push_back(i);
        }
      }
    }
    return schedule;
  }

 private:
  static CostScale costs_of(const Dataflow& flow) {
    CostScale scale;
    for (const BodyOp& op : flow.body) scale.add(op.duration_ns);
    return scale;
  }

  [[nodiscard]] double scaled(std::int64_t bytes) const {
    const auto limit = std::max<std::int64_t>(1, request_.limit_bytes);
    return static_cast<double>(bytes) / static_cast<double>(limit);
  }

  void add_columns(Position t) {
    const std::int64_t most_ns = request_.upper_ns - flow_.compute_ns();
    again_[at(t)].assign(at(t) + 1, {});
    again_[at(t)][at(t)].one = true;
    for (Position i = 0; i < t; ++i) {
      const ScheduleTask::Op& op = task_.ops[at(i)];
      if (op.makes.empty() || t > op.again_until || op.cost_ns >= most_ns) continue;
      again_[at(t)][at(i)].column = milp_.add({.cost = scale_.scaled(op.cost_ns)});
    }
    kept_[at(t)].assign(task_.values.size(), {});
    for (std::size_t v = 0; v < task_.values.size(); ++v) {
      const ScheduleTask::Value& value = task_.values[v];
      if (value.begin < 0 || value.begin >= t) continue;
      if (value.producer < 0 && t <= value.last) {
        kept_[at(t)][v].one = true;
      } else {
        kept_[at(t)][v] = continuous();
      }
    }
  }

  Term continuous() { return {.column = milp_.add({.cost = 0, .upper = 1, .integer = false})}; }

  static void add_term(Milp::Row& row, const Term& term, double factor) {
    if (term.column >= 0) row.entries.emplace_back(term.column, factor);
    if (term.column >= 0 || !term.one) return;
    row.at_least -= factor;
    row.at_most -= factor;
  }

  /// `user` only when the value is kept at stage t or made in it.
  void add_source(const Term& user, std::size_t v, Position t) {
    const ScheduleTask::Value& value = task_.values[v];
    if ((user.column < 0 && !user.one) || value.begin == t) return;
    Milp::Row row{.entries = {}, .at_least = 0};
    add_term(row, user, -1);
    add_term(row, kept_[at(t)][v], 1);
    if (value.producer >= 0) add_term(row, again_[at(t)][at(value.producer)], 1);
    if (!row.entries.empty()) milp_.rows.push_back(std::move(row));
  }

  void add_sources(Position t) {
    for (Position i = 0; i <= t; ++i) {
      for (const std::int32_t v : task_.ops[at(i)].reads) {
        add_source(again_[at(t)][at(i)], static_cast<std::size_t>(v), t);
      }
    }
    if (t + 1 == ops_) return;
    for (std::size_t v = 0; v < task_.values.size(); ++v) add_source(kept_[at(t + 1)][v], v, t);
  }

  /// Not below `a` and `b`.
  Term larger(const Term& a, const Term& b) {
    if (a.one || (b.column < 0 && !b.one)) return a;
    if (b.one || (a.column < 0 && !a.one)) return b;
    const Term both = continuous();
    for (const Term* term : {&a, &b}) {
      milp_.rows.push_back({.entries = {{both.column, 1}, {term->column, -1}}, .at_least = 0});
    }
    return both;
  }

  /// Rows of one stage: the bytes while each op runs that may run in it.
  void add_bytes(Position t) {
    std::vector<Milp::Row> rows(at(t) + 1);
    for (Position k = 0; k <= t; ++k) {
      const ScheduleTask::Op& op = task_.ops[at(k)];
      rows[at(k)].at_most = scaled(request_.limit_bytes) - scaled(flow_.persistent_bytes);
      const std::int64_t own = k == t ? op.begin_bytes : op.output_bytes;
      add_term(rows[at(k)], again_[at(t)][at(k)], scaled(own));
    }
    for (std::size_t v = 0; v < task_.values.size(); ++v) {
      if (task_.values[v].begin >= 0 && task_.values[v].begin < t) add_value(v, t, rows);
    }
    for (Position k = 0; k <= t; ++k) {
      const Term& runs = again_[at(t)][at(k)];
      if (runs.column >= 0 || runs.one) milp_.rows.push_back(std::move(rows[at(k)]));
    }
  }

  /// A value that began before stage t, at each op of the stage.
  void add_value(std::size_t v, Position t, std::vector<Milp::Row>& rows) {
    const ScheduleTask::Value& value = task_.values[v];
    if (value.bytes == 0) return;
    const double bytes = scaled(value.bytes);
    // What cannot be made again stays to the last op that touches it, read or not.
    const bool fixed = value.producer < 0 && t <= value.last;
    Term needed = fixed ? Term{.column = -1, .one = true} : kept_[at(t + 1)][v];
    auto reader = value.readers.rbegin();
    while (reader != value.readers.rend() && *reader > t) ++reader;
    for (Position k = t; k > value.producer && k >= 0; --k) {
      if (reader != value.readers.rend() && *reader == k) {
        needed = larger(needed, again_[at(t)][at(k)]);
        ++reader;
      }
      add_term(rows[at(k)], needed, bytes);
    }
    for (Position k = 0; k <= value.producer; ++k) add_term(rows[at(k)], kept_[at(t)][v], bytes);
  }

  const Dataflow& flow_;
  ScheduleTask task_;
  const ExactRequest& request_;
  Position ops_ = 0;
  std::vector<std::vector<Term>> again_;  // by stage, op
  std::vector<std::vector<Term>> kept_;   // by stage, value
  Milp milp_;
  CostScale scale_;
};

}  // namespace

ExactResult solve_exactly(const Dataflow& flow, const ExactRequest& request) {
  ExactResult result;
  if (!milp_available()) {
    result.refused = "this build has no solver (CBC)";
    return result;
  }
  ExactProgram program(flow, request);
  if (!program.build()) {
    result.refused = fmt::format("too large: {} ops make a program of more than {} columns",
                                 flow.body.size(), request.most_columns);
    return result;
  }
  MilpLimits limits{.timer = request.timer, .nodes = request.nodes};
  const bool known = request.upper_ns < std::numeric_limits<std::int64_t>::max();
  if (known) limits.cutoff = program.scale().cutoff(request.upper_ns - flow.compute_ns());
  const MilpAnswer answer = solve(program.milp(), limits);
  result.finished = answer.finished;
  result.bound_ns = flow.compute_ns();
  if (answer.infeasible) {
    result.bound_ns = request.upper_ns;
    return result;
  }
  if (answer.bound > 0) result.bound_ns += program.scale().cost_ns(answer.bound);
  result.bound_ns = std::min(result.bound_ns, request.upper_ns);
  if (answer.columns.empty()) return result;
  result.schedule = program.schedule_of(answer.columns);
  const ScheduleFigures figures = evaluate(flow, result.schedule);
  result.found = figures.illegal.empty() && figures.peak_bytes <= request.limit_bytes &&
                 figures.cost_ns < request.upper_ns;
  result.cost_ns = figures.cost_ns;
  if (result.found) result.bound_ns = std::min(result.bound_ns, result.cost_ns);
  return result;
}

}  // namespace tidemark
