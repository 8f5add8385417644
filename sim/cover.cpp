#include "sim/cover.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

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

constexpr std::size_t k_most_peaks = 96;

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

}  // namespace tidemark
