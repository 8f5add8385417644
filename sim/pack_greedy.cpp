#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "sim/pack.h"
#include "sim/pack_gap.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

/// Placed blocks by time: the axis is cut into slices, a query looks only at slices that it meets.
/// Blocks that live for more than half of the axis meet nearly everyone: they have a list of their
/// own that stays sorted.
class Placed {
 public:
  Placed(const PackProblem& blocks, std::int64_t length)
      : blocks_(blocks),
        half_(length / 2),
        slice_length_(std::max<std::int64_t>(1, length / k_slices)),
        slices_(static_cast<std::size_t>(length / slice_length_ + 1)),
        seen_(blocks.size(), -1) {}

  void add(std::size_t block, const std::vector<std::int64_t>& offsets) {
    if (blocks_[block].end - blocks_[block].begin > half_) {
      const auto at = std::upper_bound(
          long_.begin(), long_.end(), block,
          [&offsets](std::size_t a, std::size_t b) { return offsets[a] < offsets[b]; });
      long_.insert(at, block);
      return;
    }
    const auto [first, last] = range(block);
    for (std::size_t s = first; s <= last; ++s) slices_[s].push_back(block);
  }

  /// Occupied [begin, end) offsets of blocks that live at some time with `block`, by begin.
  const std::vector<std::pair<std::int64_t, std::int64_t>>& meeting(
      std::size_t block, const std::vector<std::int64_t>& offsets) {
    found_.clear();
    const PackBlock& b = blocks_[block];
    const auto [first, last] = range(block);
    for (std::size_t s = first; s <= last; ++s) {
      for (const std::size_t other : slices_[s]) {
        const PackBlock& o = blocks_[other];
        if (o.begin >= b.end || b.begin >= o.end) continue;
        if (std::exchange(seen_[other], query_) == query_) continue;
        found_.emplace_back(offsets[other], offsets[other] + o.size_bytes);
      }
    }
    ++query_;
    std::sort(found_.begin(), found_.end());
    if (long_.empty()) return found_;
    merged_.clear();
    auto next = found_.begin();
    for (const std::size_t other : long_) {
      const PackBlock& o = blocks_[other];
      if (o.begin >= b.end || b.begin >= o.end) continue;
      while (next != found_.end() && next->first < offsets[other]) merged_.push_back(*next++);
      merged_.emplace_back(offsets[other], offsets[other] + o.size_bytes);
    }
    merged_.insert(merged_.end(), next, found_.end());
    return merged_;
  }

 private:
  static constexpr std::int64_t k_slices = 256;

  std::pair<std::size_t, std::size_t> range(std::size_t block) const {
    const PackBlock& b = blocks_[block];
    return {static_cast<std::size_t>(b.begin / slice_length_),
            static_cast<std::size_t>(std::max(b.begin, b.end - 1) / slice_length_)};
  }

  const PackProblem& blocks_;
  std::int64_t half_;
  std::int64_t slice_length_;
  std::vector<std::vector<std::size_t>> slices_;
  std::vector<std::int64_t> seen_;
  std::int64_t query_ = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> found_;
  std::vector<std::size_t> long_;  // by offset
  std::vector<std::pair<std::int64_t, std::int64_t>> merged_;
};

class GreedyPacker {
 public:
  explicit GreedyPacker(PackProblem blocks) : blocks_(std::move(blocks)) {
    for (const PackBlock& b : blocks_) length_ = std::max(length_, b.end);
    bound_ = pack_bound(blocks_);
    // What lives nearly always would be in everyone's way: it goes to the bottom, once and for all.
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const bool spans = blocks_[i].end - blocks_[i].begin > length_ / 2;
      (spans ? long_ : short_).push_back(i);
    }
    std::stable_sort(long_.begin(), long_.end(), [this](std::size_t a, std::size_t b) {
      return blocks_[a].alignment_bytes > blocks_[b].alignment_bytes;
    });
  }

  Packing run(std::int64_t enough_bytes, const std::function<bool()>& is_late) {
    const std::int64_t enough = std::max(bound_, enough_bytes);
    Packing best{.offset_bytes = {}, .height_bytes = std::numeric_limits<std::int64_t>::max()};
    std::vector<std::size_t> best_order;
    bool best_sets_apart = true;
    const auto offer = [&](const std::vector<std::size_t>& order, Fit fit) {
      const bool tired =
          !best.offset_bytes.empty() && (work_ > k_most_work || (is_late && is_late()));
      if (best.height_bytes <= enough || tired) return;
      Packing layout = pack(order, fit);
      if (layout.height_bytes >= best.height_bytes) return;
      best = std::move(layout);
      best_order = order;
      best_sets_apart = sets_apart_;
    };
    // By size with nobody set apart comes within 0.1 % of the bound on most training steps.
    sets_apart_ = false;
    std::vector<std::size_t> all(blocks_.size());
    std::iota(all.begin(), all.end(), 0);
    offer(sorted(all, by_size), Fit::first);
    sets_apart_ = true;
    const auto hopeless = [&] { return enough_bytes > 0 && best.height_bytes / 17 > enough / 16; };
    for (const Fit fit : {Fit::first, Fit::best}) {
      for (const auto key : {by_size, by_area, by_length, by_begin})
        offer(sorted(short_, key), fit);
      if (hopeless()) break;
    }
    // Whoever stands out at the top goes earlier: a few rounds often reach the bound.
    sets_apart_ = best_sets_apart;
    for (int round = 0; round < k_rounds && best.height_bytes > enough && !hopeless(); ++round) {
      std::vector<std::size_t> order = best_order;
      lift_top(order, best, round);
      offer(order, round % 2 == 0 ? Fit::first : Fit::best);
    }
    return best;
  }

 private:
  static constexpr int k_rounds = 12;
  static constexpr std::int64_t k_most_work = 10'000'000;  // meetings of blocks, over all orders

  template <class KeyOf>
  std::vector<std::size_t> sorted(const std::vector<std::size_t>& blocks, KeyOf key) const {
    std::vector<std::size_t> order = blocks;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return key(blocks_[a]) > key(blocks_[b]);
    });
    return order;
  }

  Packing pack(const std::vector<std::size_t>& order, Fit fit) {
    Packing layout{.offset_bytes = std::vector<std::int64_t>(blocks_.size(), 0), .height_bytes = 0};
    std::int64_t floor_bytes = 0;
    for (const std::size_t i : sets_apart_ ? long_ : std::vector<std::size_t>{}) {
      layout.offset_bytes[i] = round_up(floor_bytes, blocks_[i].alignment_bytes);
      floor_bytes = layout.offset_bytes[i] + blocks_[i].size_bytes;
    }
    layout.height_bytes = floor_bytes;
    Placed placed(blocks_, length_);
    for (const std::size_t i : order) {
      if (blocks_[i].size_bytes == 0) continue;
      const auto& occupied = placed.meeting(i, layout.offset_bytes);
      work_ += static_cast<std::int64_t>(occupied.size()) + 1;
      layout.offset_bytes[i] = find_gap(occupied, blocks_[i], floor_bytes, fit);
      layout.height_bytes =
          std::max(layout.height_bytes, layout.offset_bytes[i] + blocks_[i].size_bytes);
      placed.add(i, layout.offset_bytes);
    }
    return layout;
  }

  /// Moves the blocks that end highest to the front, one more in every round.
  void lift_top(std::vector<std::size_t>& order, const Packing& layout, int round) const {
    const auto end_of = [&](std::size_t i) {
      return layout.offset_bytes[i] + blocks_[i].size_bytes;
    };
    std::vector<std::size_t> top = order;
    std::stable_sort(top.begin(), top.end(),
                     [&](std::size_t a, std::size_t b) { return end_of(a) > end_of(b); });
    top.resize(std::min<std::size_t>(top.size(), static_cast<std::size_t>(round) + 1));
    std::stable_partition(order.begin(), order.end(), [&top](std::size_t i) {
      return std::find(top.begin(), top.end(), i) != top.end();
    });
  }

  PackProblem blocks_;
  std::int64_t length_ = 0;
  std::int64_t bound_ = 0;
  std::int64_t work_ = 0;
  std::vector<std::size_t> long_;  // live for more than half of the axis
  std::vector<std::size_t> short_;
  bool sets_apart_ = true;  // long_ at the bottom
};

}  // namespace

Packing pack_greedily(const PackProblem& problem, std::int64_t enough_bytes,
                      const std::function<bool()>& is_late) {
  if (problem.empty()) return {};
  // Time as ranks of begins and ends, so that the slices of `Placed` hold about alike many.
  std::vector<std::int64_t> times;
  for (const PackBlock& b : problem) times.insert(times.end(), {b.begin, b.end});
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  const auto rank = [&times](std::int64_t time) {
    return std::lower_bound(times.begin(), times.end(), time) - times.begin();
  };
  PackProblem ranked = problem;
  for (PackBlock& b : ranked) {
    b.begin = rank(b.begin);
    b.end = rank(b.end);
  }
  return GreedyPacker(std::move(ranked)).run(enough_bytes, is_late);
}

}  // namespace tidemark
