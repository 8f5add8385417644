#include "sim/cover.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "sim/milp.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

/// Ops [begin, end) while which a value may be absent, between two of its uses.
struct Absence {
  BufferId value;
  Position producer = -1;
  std::int64_t bytes = 0;
  Position begin = 0;
  Position end = 0;
};

/// The new execution comes before an op up to valid_until, so that from that op on the value is
/// there again.
std::vector<Absence> absences_of(const Dataflow& flow) {
  std::vector<Absence> found;
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    if (!value.recomputable || value.bytes == 0) continue;
    for (std::size_t i = 0; i + 1 < value.uses.size(); ++i) {
      const Position begin = value.uses[i] + 1;
      const Position end = std::min(value.uses[i + 1], value.valid_until);
      if (begin < end) found.push_back({BufferId{row}, value.producer, value.bytes, begin, end});
    }
  }
  return found;
}

/// 0/1 knapsack cover: least cost of items whose bytes sum to at least `need`.
class KnapsackCover {
 public:
  struct Item {
    std::int64_t cost = 0;
    std::int64_t bytes = 0;
  };
  explicit KnapsackCover(std::vector<Item> items) : items_(std::move(items)) {
    std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
      return static_cast<double>(a.cost) * static_cast<double>(b.bytes) <
             static_cast<double>(b.cost) * static_cast<double>(a.bytes);
    });
  }

  /// -1 when all together do not suffice. A lower bound in any case.
  std::int64_t least(std::int64_t need) {
    std::int64_t all = 0;
    for (const Item& item : items_) all += item.bytes;
    if (all < need) return -1;
    const double relaxed = fraction(0, need);
    best_ = std::numeric_limits<std::int64_t>::max();
    nodes_ = 0;
    descend(0, 0, need);
    return nodes_ < most_nodes() ? best_ : static_cast<std::int64_t>(std::ceil(relaxed - 1e-6));
  }

 private:
  double fraction(std::size_t from, std::int64_t need) const {
    double cost = 0;
    for (std::size_t i = from; i < items_.size() && need > 0; ++i) {
      const Item& item = items_[i];
      const double share =
          std::min(1.0, static_cast<double>(need) / static_cast<double>(item.bytes));
      cost += share * static_cast<double>(item.cost);
      need -= item.bytes;
    }
    return need > 0 ? std::numeric_limits<double>::infinity() : cost;
  }

  void descend(std::size_t from, std::int64_t cost, std::int64_t need) {
    if (++nodes_ >= most_nodes()) return;
    if (need <= 0) {
      best_ = std::min(best_, cost);
      return;
    }
    // Costs are whole numbers: a better solution is better by one.
    if (static_cast<double>(cost) + fraction(from, need) > static_cast<double>(best_ - 1) + 1e-6) {
      return;
    }
    if (from == items_.size()) return;
    descend(from + 1, cost + items_[from].cost, need - items_[from].bytes);
    descend(from + 1, cost, need);
  }

  /// A node looks at every item at worst.
  [[nodiscard]] std::int64_t most_nodes() const {
    return 1000000 / static_cast<std::int64_t>(items_.size() + 1);
  }

  std::vector<Item> items_;
  std::int64_t best_ = 0;
  std::int64_t nodes_ = 0;
};

/// Ops at which the need is not below that of their neighbours, the largest first.
std::vector<Position> peaks_of(const std::vector<std::int64_t>& live, std::int64_t limit_bytes,
                               std::size_t most) {
  std::vector<Position> peaks;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i] > limit_bytes) peaks.push_back(static_cast<Position>(i));
  }
  std::stable_sort(peaks.begin(), peaks.end(),
                   [&](Position a, Position b) { return live[at(a)] > live[at(b)]; });
  if (peaks.size() > most) peaks.resize(most);
  return peaks;
}

/// The 0/1 program of all peaks.
class CoverProgram {
 public:
  CoverProgram(const Dataflow& flow, std::int64_t limit_bytes, const std::vector<Position>& peaks)
      : flow_(flow), absences_(absences_of(flow)) {
    for (const Absence& absence : absences_) {
      const std::int64_t cost = flow.body[at(absence.producer)].duration_ns;
      scale_ = std::max(scale_, static_cast<double>(cost));
      divisor_ = std::gcd(divisor_, cost);
    }
    for (const Absence& absence : absences_) add(absence);
    const std::vector<std::int64_t> live = keep_all_bytes(flow);
    for (const Position peak : peaks) add_row(peak, live[at(peak)] - limit_bytes);
  }

  [[nodiscard]] const Milp& milp() const { return milp_; }
  /// Whole cost of a value of the objective, rounded up where that is safe.
  [[nodiscard]] std::int64_t cost_of(double objective) const {
    const auto unit = static_cast<double>(std::max<std::int64_t>(divisor_, 1));
    const double slack = 1e-7 * std::max(1.0, objective) * scale_;
    const double units = std::ceil((objective * scale_ - slack) / unit - 1e-9);
    return static_cast<std::int64_t>(units) * std::max<std::int64_t>(divisor_, 1);
  }

 private:
  /// One column for the absence. A producer with several outputs runs once for all of them: it has
  /// a column of its own, and each of its outputs a row that says so.
  void add(const Absence& absence) {
    const BodyOp& producer = flow_.body[at(absence.producer)];
    const double cost = static_cast<double>(producer.duration_ns) / scale_;
    const bool alone = producer.outputs.size() == 1;
    const std::int32_t column = milp_.add({.cost = alone ? cost : 0});
    columns_.push_back(column);
    if (alone) return;
    const auto [runs, fresh] = runs_.try_emplace(absence.producer, -1);
    if (fresh) runs->second = milp_.add({.cost = cost, .upper = 1e6, .integer = false});
    const auto [row, first] = row_of_.try_emplace(absence.value, milp_.rows.size());
    if (first) milp_.rows.push_back({.entries = {{runs->second, 1}}, .at_least = 0});
    milp_.rows[row->second].entries.emplace_back(column, -1);
  }

  void add_row(Position peak, std::int64_t need) {
    Milp::Row row{.entries = {}, .at_least = 1};
    for (std::size_t i = 0; i < absences_.size(); ++i) {
      const Absence& absence = absences_[i];
      if (peak < absence.begin || absence.end <= peak) continue;
      row.entries.emplace_back(columns_[i],
                               static_cast<double>(absence.bytes) / static_cast<double>(need));
    }
    milp_.rows.push_back(std::move(row));
  }

  const Dataflow& flow_;
  std::vector<Absence> absences_;
  Milp milp_;
  double scale_ = 1;
  std::int64_t divisor_ = 0;
  std::vector<std::int32_t> columns_;  // by absence
  std::map<Position, std::int32_t> runs_;
  std::map<BufferId, std::size_t> row_of_;
};

constexpr std::size_t k_most_peaks = 96;
constexpr std::size_t k_most_columns = 4000;

}  // namespace

RecomputeBound step_cover_bound(const Dataflow& flow, std::int64_t limit_bytes) {
  RecomputeBound bound{.cost_ns = flow.compute_ns()};
  const std::vector<std::int64_t> live = keep_all_bytes(flow);
  const std::vector<Absence> absences = absences_of(flow);
  for (const Position peak : peaks_of(live, limit_bytes, k_most_peaks)) {
    std::map<Position, KnapsackCover::Item> by_producer;
    for (const Absence& absence : absences) {
      if (peak < absence.begin || absence.end <= peak) continue;
      KnapsackCover::Item& item = by_producer[absence.producer];
      item.cost = flow.body[at(absence.producer)].duration_ns;
      item.bytes += absence.bytes;
    }
    std::vector<KnapsackCover::Item> items;
    for (const auto& entry : by_producer) items.push_back(entry.second);
    const std::int64_t least = KnapsackCover(std::move(items)).least(live[at(peak)] - limit_bytes);
    if (least < 0) return {.cost_ns = 0, .possible = false};
    bound.cost_ns = std::max(bound.cost_ns, flow.compute_ns() + least);
  }
  return bound;
}

RecomputeBound cover_bound(const Dataflow& flow, std::int64_t limit_bytes,
                           const CoverLimits& limits) {
  RecomputeBound bound = step_cover_bound(flow, limit_bytes);
  if (!bound.possible || !milp_available()) return bound;
  const std::vector<Position> peaks = peaks_of(keep_all_bytes(flow), limit_bytes, flow.body.size());
  if (peaks.empty()) return bound;
  const CoverProgram program(flow, limit_bytes, peaks);
  if (program.milp().columns.size() > k_most_columns) return bound;
  const MilpAnswer answer =
      solve(program.milp(), {.seconds = limits.seconds, .nodes = limits.nodes});
  if (answer.infeasible) return {.cost_ns = 0, .possible = false};
  if (answer.bound > 0) {
    bound.cost_ns = std::max(bound.cost_ns, flow.compute_ns() + program.cost_of(answer.bound));
  }
  return bound;
}

}  // namespace tidemark
