#include <map>
#include <queue>
#include <set>

#include "sim/checkpoints.h"
#include "tests/catch.h"

using namespace tidemark;

namespace {

std::int64_t binomial(std::int64_t n, std::int64_t k) {
  std::int64_t value = 1;
  for (std::int64_t i = 1; i <= k; ++i) value = value * (n - k + i) / i;
  return value;
}

/// Griewank and Walther 2000: r l - beta(s + 1, r - 1), beta(s, r) = (s + r)! / (s! r!), with the
/// least r such that beta(s, r) >= l.
std::int64_t closed_form(std::int64_t steps, std::int64_t slots) {
  std::int64_t r = 0;
  while (binomial(slots + r, slots) < steps) ++r;
  return r == 0 ? 0 : r * steps - binomial(slots + r, r - 1);
}

/// What is stored: the next segment to reverse, cuts and whole segments as bits.
struct Stored {
  int left = 0;
  unsigned cuts = 0;
  unsigned whole = 0;
  auto operator<=>(const Stored&) const = default;
};

/// Dijkstra over everything that can be stored: shares nothing with the dynamic programme.
std::int64_t least_again(const ChainCosts& chain, std::int32_t slots) {
  const int count = static_cast<int>(chain.forward_ns.size());
  const auto used = [&](const Stored& s) {
    std::int32_t sum = 0;
    for (int i = 0; i < count; ++i) {
      if ((s.whole >> i & 1U) != 0)
        sum += chain.whole_slots[static_cast<std::size_t>(i)];
      else if ((s.cuts >> i & 1U) != 0)
        sum += chain.cut_slots[static_cast<std::size_t>(i)];
    }
    return sum;
  };
  std::map<Stored, std::int64_t> best;
  using Entry = std::pair<std::int64_t, Stored>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  const auto reach = [&](std::int64_t cost, const Stored& s) {
    if (used(s) > slots) return;
    const auto [entry, fresh] = best.emplace(s, cost);
    if (!fresh && entry->second <= cost) return;
    entry->second = cost;
    open.emplace(cost, s);
  };
  reach(0, {.left = count});
  std::int64_t total = 0;
  for (const std::int64_t ns : chain.forward_ns) total += ns;
  while (!open.empty()) {
    const auto [cost, s] = open.top();
    open.pop();
    if (best[s] < cost) continue;
    if (s.left == 0) return cost - total;
    const unsigned last = 1U << (s.left - 1);
    const bool input = s.left == 1 || ((s.cuts | s.whole) & last >> 1U) != 0;
    if ((s.whole & last) != 0 && input) {
      reach(cost, {s.left - 1, s.cuts & (last - 1), s.whole & (last - 1)});
      continue;
    }
    // Run from any stored point up to any later segment, storing any subset on the way.
    for (int from = 0; from < s.left; ++from) {
      const bool stored = from == 0 || ((s.cuts | s.whole) >> (from - 1) & 1U) != 0;
      if (!stored) continue;
      const int length = s.left - from;
      for (int code = 0, most = 1; code < most; ++code) {
        for (int i = 0, p = 1; i < length; ++i) most = (p *= 3);
        Stored next = s;
        int rest = code;
        for (int i = 0; i < length; ++i, rest /= 3) {
          if (rest % 3 == 1) next.cuts |= 1U << (from + i);
          if (rest % 3 == 2) next.whole |= 1U << (from + i);
        }
        if (next == s) continue;
        int end = from;
        for (int i = from; i < s.left; ++i) {
          if (((next.cuts | next.whole) >> i & 1U) != 0) end = std::max(end, i + 1);
        }
        std::int64_t way = 0;
        for (int i = from; i < end; ++i) way += chain.forward_ns[static_cast<std::size_t>(i)];
        reach(cost + way, next);
      }
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("revolve: as many repeated steps as the closed form says") {
  for (std::int32_t slots = 1; slots <= 7; ++slots) {
    for (std::int32_t steps = 1; steps <= 60; ++steps) {
      INFO(steps << " steps, " << slots << " slots");
      CHECK(revolve_steps(steps, slots) == closed_form(steps, slots));
    }
  }
}

TEST_CASE("revolve: every segment is reversed once, last first, within the slots") {
  const auto reversals = revolve(23, 4);
  REQUIRE(reversals.size() == 23);
  for (std::size_t i = 0; i < reversals.size(); ++i) {
    CHECK(reversals[i].segment == 22 - static_cast<std::int32_t>(i));
    CHECK(reversals[i].cuts.size() < 4);  // the initial state takes one
    CHECK(std::set(reversals[i].cuts.begin(), reversals[i].cuts.end()).size() ==
          reversals[i].cuts.size());
  }
}

TEST_CASE("rotor: equals brute force on small chains") {
  std::uint32_t state = 7;
  const auto next = [&state](std::uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::int32_t>((state >> 16) % below);
  };
  for (int round = 0; round < 12; ++round) {
    ChainCosts chain;
    for (int i = 0; i < 4; ++i) {
      chain.forward_ns.push_back(1 + next(9));
      chain.cut_slots.push_back(1 + next(2));
      chain.whole_slots.push_back(chain.cut_slots.back() + next(4));
    }
    const auto plans = rotor(chain, 14);
    for (std::int32_t slots = 0; slots <= 14; ++slots) {
      const RotorPlan& plan = plans[static_cast<std::size_t>(slots)];
      INFO("round " << round << ", " << slots << " slots");
      CHECK((plan.fits ? plan.again_ns : -1) == least_again(chain, slots));
    }
  }
}

TEST_CASE("rotor: identical blocks are solved once") {
  const ChainCosts same{std::vector<std::int64_t>(40, 5), std::vector<std::int32_t>(40, 1),
                        std::vector<std::int32_t>(40, 3)};
  CHECK(rotor(same, 60).back().solved == 40);  // one per length
  CHECK(rotor(same, 120).back().again_ns == 0);
}
