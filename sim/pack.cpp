#include "sim/pack.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>
#include <thread>
#include <tuple>

#include "sim/pack_changes.h"
#include "sim/pack_search.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

/// Whether to give up, asked from any thread.
class Deadline {
 public:
  explicit Deadline(double seconds) {
    using namespace std::chrono;
    if (seconds > 0) {
      end_ = steady_clock::now() + duration_cast<steady_clock::duration>(duration<double>(seconds));
    }
  }
  [[nodiscard]] bool passed() const { return end_ && std::chrono::steady_clock::now() >= *end_; }
  [[nodiscard]] const std::optional<std::chrono::steady_clock::time_point>& end() const {
    return end_;
  }

 private:
  std::optional<std::chrono::steady_clock::time_point> end_;
};

/// The searches for one capacity: one per order, in rounds with a growing node limit. In a
/// round two threads take the searches in turn; the first search in the list that comes to an end
/// decides, whichever thread is faster, so the result depends on node counts alone.
class Race {
 public:
  Race(const PackSections& sections, std::int64_t capacity_bytes) : sections_(sections) {
    // Keys as minimalloc names them, the first decides: decreasing (W)idth, (A)rea, (T)otal of the
    // fullest section, si(Z)e; increasing (L)ower end and decreasing (U)pper end in time, which
    // grow the packing from one side.
    for (const char* keys : {"UTA", "LTA", "LTZ", "UTZ", "LUA", "ULA", "TWA", "TAW", "WAT"}) {
      searches_.emplace_back(sections, capacity_bytes, sorted(keys));
    }
  }

  /// `nodes` is what may be spent; what was spent is taken off.
  PackSearch::Outcome run(std::int64_t& nodes, const Deadline& deadline) {
    std::int64_t limit = k_first_nodes;
    while (nodes > 0 && !deadline.passed()) {
      const auto count = static_cast<std::int64_t>(searches_.size());
      const std::int64_t each = std::min(limit, (nodes + count - 1) / count);
      round(each, deadline);
      for (const PackSearch& s : searches_) nodes -= std::min(s.nodes(), each);
      if (winner_ < searches_.size()) return outcomes_[winner_];
      limit *= 4;
    }
    return PackSearch::Outcome::stopped;
  }

  [[nodiscard]] const std::vector<std::int64_t>& offsets() const {
    return searches_[winner_].offsets();
  }

 private:
  static constexpr std::int64_t k_first_nodes = 1024;
  static constexpr std::int64_t k_nodes_worth_a_thread = 4096;

  std::vector<std::int32_t> sorted(std::string_view keys) const {
    const auto key = [this](std::int32_t row, char letter) {
      const PackSections::Block& b = sections_.blocks[static_cast<std::size_t>(row)];
      const auto length = static_cast<double>(b.length);
      if (letter == 'W') return length;
      if (letter == 'A') return length * static_cast<double>(b.size_bytes);
      if (letter == 'Z') return static_cast<double>(b.size_bytes);
      if (letter == 'L') return -static_cast<double>(b.begin);
      if (letter == 'U') return static_cast<double>(b.end);
      return static_cast<double>(b.fullest_bytes);
    };
    std::vector<std::int32_t> order(sections_.blocks.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      for (const char letter : keys) {
        if (key(a, letter) != key(b, letter)) return key(a, letter) > key(b, letter);
      }
      return false;
    });
    return order;
  }

  void round(std::int64_t each, const Deadline& deadline) {
    const std::size_t count = searches_.size();
    outcomes_.assign(count, PackSearch::Outcome::stopped);
    std::vector<std::atomic<bool>> stops(count);
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < count; i = next++) {
        if (deadline.passed()) stops[i] = true;
        outcomes_[i] = searches_[i].run(each, stops[i], deadline.end());
        if (outcomes_[i] == PackSearch::Outcome::stopped) continue;
        for (std::size_t later = i + 1; later < count; ++later) stops[later] = true;
      }
    };
    if (each >= k_nodes_worth_a_thread && std::thread::hardware_concurrency() > 1) {
      std::thread other(work);
      work();
      other.join();
    } else {
      work();
    }
    winner_ = 0;
    while (winner_ < count && outcomes_[winner_] == PackSearch::Outcome::stopped) ++winner_;
    for (std::size_t i = winner_ + 1; i < count; ++i) searches_[i].forget_nodes();
  }

  const PackSections& sections_;
  std::vector<PackSearch> searches_;
  std::vector<PackSearch::Outcome> outcomes_;
  std::size_t winner_ = 0;
};

Packing packing_of(const PackProblem& problem, const PackSections& sections,
                   const std::vector<std::int64_t>& offsets) {
  Packing packing{.offset_bytes = std::vector<std::int64_t>(problem.size(), 0)};
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const PackSections::Block& b = sections.blocks[i];
    packing.offset_bytes[b.source] = offsets[i];
    packing.height_bytes =
        std::max(packing.height_bytes, offsets[i] + b.size_bytes - b.slack_bytes);
  }
  return packing;
}

/// Above this many blocks a node of the search is too dear to be worth it.
constexpr std::size_t k_most_searched = 3000;

}  // namespace

std::int64_t pack_step(const PackProblem& problem) {
  std::int64_t step = 0;
  for (const PackBlock& b : problem) step = std::gcd(step, b.alignment_bytes);
  return std::max<std::int64_t>(step, 1);
}

std::vector<PackChange> pack_changes(const PackProblem& problem) {
  std::vector<PackChange> changes;
  changes.reserve(2 * problem.size());
  for (std::size_t i = 0; i < problem.size(); ++i) {
    if (problem[i].size_bytes == 0 || problem[i].begin >= problem[i].end) continue;
    changes.push_back({problem[i].begin, true, i});
    changes.push_back({problem[i].end, false, i});
  }
  std::sort(changes.begin(), changes.end(), [&problem](const PackChange& a, const PackChange& b) {
    const auto size = [&problem](const PackChange& c) { return -problem[c.block].size_bytes; };
    return std::tuple(a.time, a.begins, size(a), a.block) <
           std::tuple(b.time, b.begins, size(b), b.block);
  });
  return changes;
}

std::int64_t pack_bound(const PackProblem& problem) {
  const std::int64_t step = pack_step(problem);
  std::int64_t live = 0;  // in whole steps
  std::int64_t most = 0;
  std::map<std::int64_t, std::int64_t> slacks;  // of the live blocks: how many have it
  for (const PackChange& c : pack_changes(problem)) {
    const std::int64_t size = round_up(problem[c.block].size_bytes, step);
    const std::int64_t slack = size - problem[c.block].size_bytes;
    live += c.begins ? size : -size;
    std::int64_t& count = slacks[slack];
    count += c.begins ? 1 : -1;
    if (count == 0) slacks.erase(slack);
    if (!slacks.empty()) most = std::max(most, live - slacks.rbegin()->first);
  }
  return most;
}

std::int64_t pack_peak_time(const PackProblem& problem) {
  std::int64_t live = 0;
  std::int64_t most = 0;
  std::int64_t time = 0;
  for (const PackChange& c : pack_changes(problem)) {
    live += c.begins ? problem[c.block].size_bytes : -problem[c.block].size_bytes;
    if (live <= most) continue;
    most = live;
    time = c.time;
  }
  return time;
}

std::string packing_error(const PackProblem& problem, const Packing& packing) {
  if (packing.offset_bytes.size() != problem.size()) return "not one offset per block";
  const auto name = [](std::size_t row) { return "block " + std::to_string(row); };
  std::map<std::int64_t, std::size_t> live;  // by offset
  for (const auto& [time, begins, row] : pack_changes(problem)) {
    const std::int64_t begin = packing.offset_bytes[row];
    const std::int64_t end = begin + problem[row].size_bytes;
    if (!begins) {
      live.erase(begin);
      continue;
    }
    if (begin < 0 || begin % problem[row].alignment_bytes != 0) return name(row) + " not aligned";
    if (end > packing.height_bytes) return name(row) + " ends above the height";
    const auto [here, fresh] = live.try_emplace(begin, row);
    if (!fresh) return name(row) + " overlaps " + name(here->second);
    const auto above = std::next(here);
    if (above != live.end() && above->first < end) {
      return name(row) + " overlaps " + name(above->second);
    }
    if (here == live.begin()) continue;
    const auto below = std::prev(here);
    if (below->first + problem[below->second].size_bytes > begin) {
      return name(row) + " overlaps " + name(below->second);
    }
  }
  return {};
}

PackResult pack(const PackProblem& problem, const PackLimits& limits) {
  const Deadline deadline(limits.seconds);
  PackResult result;
  result.bound_bytes = pack_bound(problem);
  result.packing =
      pack_greedily(problem, limits.capacity_bytes, [&deadline] { return deadline.passed(); });
  std::int64_t lowest = result.bound_bytes;  // no packing is lower
  const bool has_capacity = limits.capacity_bytes > 0;
  const std::int64_t goal = has_capacity ? limits.capacity_bytes : lowest;
  std::int64_t nodes = limits.nodes;
  const PackSections sections(problem);
  if (goal < lowest) result.state = PackState::impossible;
  const bool may_search = goal >= lowest && sections.blocks.size() <= k_most_searched;
  // First the goal itself; without a capacity then half-way between what failed and what is had.
  std::int64_t failed = goal - 1;  // no packing of this height was found
  for (std::int64_t target = goal; may_search && failed + 1 < result.packing.height_bytes &&
                                   result.packing.height_bytes > goal;) {
    const std::int64_t share = has_capacity ? nodes : nodes / 4 + 1;
    std::int64_t rest = share;
    Race race(sections, target);
    const PackSearch::Outcome outcome = race.run(rest, deadline);
    nodes -= share - rest;
    if (outcome == PackSearch::Outcome::found) {
      result.packing = packing_of(problem, sections, race.offsets());
    } else {
      failed = target;
    }
    if (outcome == PackSearch::Outcome::none) {
      lowest = target + 1;
      if (has_capacity) result.state = PackState::impossible;
    }
    if (has_capacity || nodes < limits.nodes / 64 || deadline.passed()) break;
    target = failed + 1 + (result.packing.height_bytes - failed - 1) / 2;
    target = std::min(target, result.packing.height_bytes - 1);
  }
  result.bound_bytes = std::max(result.bound_bytes, std::min(lowest, result.packing.height_bytes));
  const std::int64_t enough = has_capacity ? goal : result.bound_bytes;
  if (result.packing.height_bytes <= enough) result.state = PackState::fits;
  result.nodes = limits.nodes - nodes;
  result.timed_out = deadline.passed();
  return result;
}

}  // namespace tidemark
