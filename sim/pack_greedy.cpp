#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "sim/pack.h"
#include "sim/pack_gap.h"
#include "traces/trace.h"

namespace tidemark {
namespace {

/// Some placed blocks by offset, in chunks so that one more costs little, each property in an array
/// of its own so that a walk over all of them is a short loop without branches.
class Pile {
 public:
  void add(std::int64_t offset, const PackBlock& block) {
    auto at = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                               [](std::int64_t o, const Chunk& c) { return o < c.offset.front(); });
    if (at != chunks_.begin()) --at;
    if (at == chunks_.end()) at = chunks_.emplace(at);
    at->insert(offset, block);
    if (at->offset.size() < k_chunk) return;
    Chunk upper = at->split();
    chunks_.insert(std::next(at), std::move(upper));
  }

  /// Calls f(offset, top) for the blocks that live at some time of `block`, by offset, until it
  /// says true. Blocks that do not meet it are passed as (offset, 0).
  template <class Function>
  void each(const PackBlock& block, Function f) const {
    for (const Chunk& c : chunks_) {
      for (std::size_t i = 0; i < c.offset.size(); ++i) {
        const bool meets = (c.begin[i] < block.end) & (block.begin < c.end[i]);
        if (f(c.offset[i], meets ? c.top[i] : 0)) return;
      }
    }
  }

 private:
  static constexpr std::size_t k_chunk = 512;

  struct Chunk {
    std::vector<std::int64_t> offset;
    std::vector<std::int64_t> top;
    std::vector<std::int64_t> begin;
    std::vector<std::int64_t> end;

    void insert(std::int64_t at_offset, const PackBlock& block) {
      const auto row = std::upper_bound(offset.begin(), offset.end(), at_offset) - offset.begin();
      offset.insert(offset.begin() + row, at_offset);
      top.insert(top.begin() + row, at_offset + block.size_bytes);
      begin.insert(begin.begin() + row, block.begin);
      end.insert(end.begin() + row, block.end);
    }

    Chunk split() {
      Chunk upper;
      for (const auto column : {&Chunk::offset, &Chunk::top, &Chunk::begin, &Chunk::end}) {
        const auto half = (this->*column).begin() + k_chunk / 2;
        (upper.*column).assign(half, (this->*column).end());
        (this->*column).erase(half, (this->*column).end());
      }
      return upper;
    }
  };
  std::vector<Chunk> chunks_;
};

/// Placed blocks by time. A problem of a training step is one pile; of a longer run the time axis
/// is cut into slices with a pile each, and a block stands in all piles that it meets.
class Placed {
 public:
  /// Times of the blocks are ranks, so that slices hold about alike many.
  Placed(const PackProblem& blocks, std::int64_t length)
      : blocks_(blocks),
        slice_length_(std::max<std::int64_t>(1, length / slices_for(blocks.size()) + 1)),
        slices_(static_cast<std::size_t>(length / slice_length_ + 1)) {}

  void add(std::size_t block, std::int64_t offset) {
    const auto [first, last] = range(block);
    for (std::size_t s = first; s <= last; ++s) slices_[s].add(offset, blocks_[block]);
    ++count_;
  }
  [[nodiscard]] std::int64_t count() const { return count_; }

  [[nodiscard]] std::int64_t find_gap(std::size_t block, std::int64_t floor_bytes, Fit fit) {
    GapSearch search(blocks_[block], floor_bytes, fit);
    const auto pass = [&search](std::int64_t begin, std::int64_t end) {
      return search.pass(begin, end);
    };
    const auto [first, last] = range(block);
    if (first == last) {
      slices_[first].each(blocks_[block], pass);
      return search.offset();
    }
    found_.clear();
    for (std::size_t s = first; s <= last; ++s) {
      slices_[s].each(blocks_[block], [this](std::int64_t begin, std::int64_t end) {
        if (end != 0) found_.emplace_back(begin, end);
        return false;
      });
    }
    std::sort(found_.begin(), found_.end());  // those of several slices stand there several times
    for (const auto& [begin, end] : found_) {
      if (pass(begin, end)) break;
    }
    return search.offset();
  }

 private:
  static constexpr std::size_t k_most_in_a_slice = 16384;

  static std::int64_t slices_for(std::size_t blocks) {
    return static_cast<std::int64_t>((blocks + k_most_in_a_slice - 1) / k_most_in_a_slice);
  }

  std::pair<std::size_t, std::size_t> range(std::size_t block) const {
    const PackBlock& b = blocks_[block];
    return {static_cast<std::size_t>(b.begin / slice_length_),
            static_cast<std::size_t>(std::max(b.begin, b.end - 1) / slice_length_)};
  }

  const PackProblem& blocks_;
  std::int64_t slice_length_;
  std::vector<Pile> slices_;
  std::int64_t count_ = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> found_;
};

class GreedyPacker {
 public:
  explicit GreedyPacker(PackProblem blocks) : blocks_(std::move(blocks)) {
    for (const PackBlock& b : blocks_) length_ = std::max(length_, b.end);
    bound_ = pack_bound(blocks_);
    rows_ = by_life(blocks_, length_);
  }

  Packing run(std::int64_t enough_bytes, const std::function<bool()>& is_late,
              std::int64_t most_work) {
    const std::int64_t enough = std::max(bound_, enough_bytes);
    Packing best{.offset_bytes = {}, .height_bytes = k_none};
    std::vector<std::size_t> best_order;
    bool best_sets_apart = true;
    const auto offer = [&](const std::vector<std::size_t>& order, Fit fit) {
      const bool tired =
          !best.offset_bytes.empty() && (work_ > most_work || (is_late && is_late()));
      if (best.height_bytes <= enough || tired) return;
      std::optional<Packing> layout = pack(order, fit, best.height_bytes, is_late);
      if (!layout) return;
      best = *std::move(layout);
      best_order = order;
      best_sets_apart = sets_apart_;
    };
    // By size with nobody set apart comes within 0.1 % of the bound on most training steps.
    sets_apart_ = false;
    std::vector<std::size_t> all(blocks_.size());
    std::iota(all.begin(), all.end(), 0);
    offer(sorted_by(blocks_, all, by_size), Fit::first);
    sets_apart_ = true;
    const auto hopeless = [&] { return enough_bytes > 0 && best.height_bytes / 17 > enough / 16; };
    for (const Fit fit : {Fit::first, Fit::best}) {
      for (const auto key : {by_size, by_area, by_length, by_begin})
        offer(sorted_by(blocks_, rows_.brief, key), fit);
      if (hopeless()) break;
    }
    // Whoever stands out at the top goes earlier: a few rounds often reach the bound.
    sets_apart_ = best_sets_apart;
    for (int round = 0; round < k_rounds && best.height_bytes > enough && !hopeless(); ++round) {
      std::vector<std::size_t> order = best_order;
      lift_top(blocks_, best, order, static_cast<std::size_t>(round) + 1, order);
      offer(order, round % 2 == 0 ? Fit::first : Fit::best);
    }
    return best;
  }

 private:
  static constexpr int k_rounds = 12;
  static constexpr std::int64_t k_none = std::numeric_limits<std::int64_t>::max();

  /// Nothing when it does not come below `best_bytes`, or not in time.
  std::optional<Packing> pack(const std::vector<std::size_t>& order, Fit fit,
                              std::int64_t best_bytes, const std::function<bool()>& is_late) {
    Packing layout = stacked(blocks_, sets_apart_ ? rows_.lasting : std::vector<std::size_t>{});
    const std::int64_t floor_bytes = layout.height_bytes;
    Placed placed(blocks_, length_);
    for (const std::size_t i : order) {
      if (blocks_[i].size_bytes == 0) continue;
      work_ += placed.count();
      layout.offset_bytes[i] = placed.find_gap(i, floor_bytes, fit);
      layout.height_bytes =
          std::max(layout.height_bytes, layout.offset_bytes[i] + blocks_[i].size_bytes);
      const bool late = placed.count() % 64 == 0 && is_late && is_late();
      if (layout.height_bytes >= best_bytes || (best_bytes < k_none && late)) return std::nullopt;
      placed.add(i, layout.offset_bytes[i]);
    }
    return layout;
  }

  PackProblem blocks_;
  std::int64_t length_ = 0;
  std::int64_t bound_ = 0;
  std::int64_t work_ = 0;
  ByLife rows_;
  bool sets_apart_ = true;  // what lasts, at the bottom
};

}  // namespace

Packing pack_greedily(const PackProblem& problem, std::int64_t enough_bytes,
                      const std::function<bool()>& is_late, std::int64_t most_work) {
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
  return GreedyPacker(std::move(ranked)).run(enough_bytes, is_late, most_work);
}

}  // namespace tidemark
