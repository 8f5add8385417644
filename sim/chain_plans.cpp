// Optimal reversals of chains: revolve for equal steps, rotor's dynamic programme for others.
#include <algorithm>
#include <limits>
#include <map>

#include "sim/checkpoints.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_no_plan = std::numeric_limits<std::int64_t>::max() / 4;

std::size_t at(std::int32_t index) {
  return static_cast<std::size_t>(index);
}

/// steps[s][l]: steps run again; first[s][l]: length of the first part.
struct RevolveTable {
  std::vector<std::vector<std::int64_t>> again;
  std::vector<std::vector<std::int32_t>> first;

  RevolveTable(std::int32_t steps, std::int32_t slots) {
    again.assign(at(slots) + 1, std::vector<std::int64_t>(at(steps) + 1, 0));
    first.assign(at(slots) + 1, std::vector<std::int32_t>(at(steps) + 1, 0));
    for (std::int32_t l = 2; l <= steps; ++l) again[1][at(l)] = std::int64_t{l} * (l - 1) / 2;
    for (std::size_t s = 2; s <= at(slots); ++s) {
      for (std::int32_t l = 2; l <= steps; ++l) {
        std::int64_t best = k_no_plan;
        for (std::int32_t j = 1; j < l; ++j) {
          const std::int64_t sum = j + again[s - 1][at(l - j)] + again[s][at(j)];
          if (sum >= best) continue;
          best = sum;
          first[s][at(l)] = j;
        }
        again[s][at(l)] = best;
      }
    }
  }
};

class RevolvePlan {
 public:
  RevolvePlan(std::int32_t steps, std::int32_t slots) : table_(steps, slots) {
    reverse(0, steps, slots);
  }
  std::vector<Reversal> reversals;

 private:
  /// Steps begin .. begin + count; the state before `begin` is stored.
  void reverse(std::int32_t begin, std::int32_t count, std::int32_t slots) {
    if (count == 1 || slots == 1) {
      for (std::int32_t i = begin + count; i-- > begin;) reversals.push_back({i, stored_, {}});
      return;
    }
    const std::int32_t first = table_.first[at(slots)][at(count)];
    stored_.push_back(begin + first - 1);
    reverse(begin + first, count - first, slots - 1);
    stored_.pop_back();
    reverse(begin, first, slots);
  }

  RevolveTable table_;
  std::vector<std::int32_t> stored_;
};

/// Opt[interval][slots], after Beaumont et al. 2019. Intervals of equal content share an entry.
class Rotor {
 public:
  Rotor(const ChainCosts& chain, std::int32_t slots)
      : chain_(chain), count_(static_cast<std::int32_t>(chain.forward_ns.size())), slots_(slots) {
    name_intervals();
    for (std::int32_t length = 1; length <= count_; ++length) {
      for (std::int32_t begin = 0; begin + length <= count_; ++begin) solve(begin, begin + length);
    }
  }

  RotorPlan plan(std::int32_t slots) {
    RotorPlan plan;
    plan.solved = static_cast<std::int64_t>(entries_.size());
    const std::int64_t total = cost(0, count_, slots);
    if (total >= k_no_plan) return plan;
    plan.fits = true;
    plan.again_ns = total;
    for (const std::int64_t ns : chain_.forward_ns) plan.again_ns -= ns;
    cuts_.clear();
    whole_.clear();
    reversals_ = &plan.reversals;
    reverse(0, count_, slots);
    return plan;
  }

 private:
  struct Entry {
    bool solved = false;
    std::vector<std::int64_t> cost_ns;
    std::vector<std::int32_t> first;  // segments before the next checkpoint; 0 = keep the first
  };

  void name_intervals() {
    std::map<std::tuple<std::int64_t, std::int32_t, std::int32_t>, std::int32_t> kinds;
    std::vector<std::int32_t> kind;
    for (std::int32_t i = 0; i < count_; ++i) {
      const std::tuple key(chain_.forward_ns[at(i)], chain_.cut_slots[at(i)],
                           chain_.whole_slots[at(i)]);
      kind.push_back(kinds.emplace(key, static_cast<std::int32_t>(kinds.size())).first->second);
    }
    std::map<std::pair<std::int32_t, std::int32_t>, std::int32_t> names;
    name_.assign(at(count_), std::vector<std::int32_t>(at(count_) + 1, -1));
    for (std::int32_t begin = 0; begin < count_; ++begin) {
      std::int32_t name = -1;
      for (std::int32_t end = begin + 1; end <= count_; ++end) {
        const std::pair key(name, kind[at(end - 1)]);
        name = names.emplace(key, static_cast<std::int32_t>(names.size())).first->second;
        name_[at(begin)][at(end)] = name;
      }
    }
    entries_.resize(names.size());
  }

  Entry& entry(std::int32_t begin, std::int32_t end) {
    return entries_[at(name_[at(begin)][at(end)])];
  }

  std::int64_t cost(std::int32_t begin, std::int32_t end, std::int32_t slots) {
    return slots < 0 ? k_no_plan : entry(begin, end).cost_ns[at(slots)];
  }

  void solve(std::int32_t begin, std::int32_t end) {
    Entry& e = entry(begin, end);
    if (e.solved) return;
    e.solved = true;
    e.cost_ns.assign(at(slots_) + 1, k_no_plan);
    e.first.assign(at(slots_) + 1, 0);
    const std::int64_t own_ns = chain_.forward_ns[at(begin)];
    const std::int32_t whole = chain_.whole_slots[at(begin)];
    for (std::int32_t m = 0; m <= slots_; ++m) {
      std::int64_t& best = e.cost_ns[at(m)];
      if (m >= whole) best = own_ns;
      if (end - begin == 1) continue;
      best = std::min(k_no_plan, own_ns + cost(begin + 1, end, m - whole));
      std::int64_t way_ns = 0;
      for (std::int32_t split = begin + 1; split < end; ++split) {
        way_ns += chain_.forward_ns[at(split - 1)];
        const std::int64_t sum =
            way_ns + cost(split, end, m - chain_.cut_slots[at(split - 1)]) + cost(begin, split, m);
        if (sum >= best) continue;
        best = sum;
        e.first[at(m)] = split - begin;
      }
    }
  }

  void reverse(std::int32_t begin, std::int32_t end, std::int32_t slots) {
    if (end - begin == 1) {
      reversals_->push_back({begin, cuts_, whole_});
      return;
    }
    const std::int32_t first = entry(begin, end).first[at(slots)];
    if (first == 0) {
      cuts_.push_back(begin);
      whole_.push_back(begin);
      reverse(begin + 1, end, slots - chain_.whole_slots[at(begin)]);
      cuts_.pop_back();
      whole_.pop_back();
      reversals_->push_back({begin, cuts_, whole_});
      return;
    }
    cuts_.push_back(begin + first - 1);
    reverse(begin + first, end, slots - chain_.cut_slots[at(begin + first - 1)]);
    cuts_.pop_back();
    reverse(begin, begin + first, slots);
  }

  const ChainCosts& chain_;
  std::int32_t count_;
  std::int32_t slots_;
  std::vector<std::vector<std::int32_t>> name_;  // of the interval [begin, end)
  std::vector<Entry> entries_;
  std::vector<std::int32_t> cuts_;
  std::vector<std::int32_t> whole_;
  std::vector<Reversal>* reversals_ = nullptr;
};

}  // namespace

std::int64_t revolve_steps(std::int32_t steps, std::int32_t slots) {
  return RevolveTable(steps, slots).again[at(slots)][at(steps)];
}

std::vector<Reversal> revolve(std::int32_t steps, std::int32_t slots) {
  return RevolvePlan(steps, slots).reversals;
}

std::vector<RotorPlan> rotor(const ChainCosts& chain, std::int32_t slots) {
  if (chain.forward_ns.empty()) return {};
  Rotor solver(chain, slots);
  std::vector<RotorPlan> plans;
  for (std::int32_t m = 0; m <= slots; ++m) plans.push_back(solver.plan(m));
  return plans;
}

}  // namespace tidemark
