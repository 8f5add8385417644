#include "sim/placement.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "sim/pack_gap.h"
#include "sim/pack_trace.h"

namespace tidemark {
namespace {

/// Placed blocks by time: the axis is cut into slices, a query looks only at slices that it meets.
class Placed {
 public:
  Placed(const PackProblem& blocks, std::int64_t length, std::int64_t slices)
      : blocks_(blocks),
        slice_length_(std::max<std::int64_t>(1, length / slices)),
        slices_(static_cast<std::size_t>(length / slice_length_ + 1)),
        seen_(blocks.size(), -1) {}

  void add(std::size_t block) {
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
    return found_;
  }

 private:
  std::pair<std::size_t, std::size_t> range(std::size_t block) const {
    const PackBlock& b = blocks_[block];
    return {static_cast<std::size_t>(b.begin / slice_length_),
            static_cast<std::size_t>(std::max(b.begin, b.end - 1) / slice_length_)};
  }

  const PackProblem& blocks_;
  std::int64_t slice_length_;
  std::vector<std::vector<std::size_t>> slices_;
  std::vector<std::int64_t> seen_;
  std::int64_t query_ = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> found_;
};

/// The highest end of what has been placed, by time: range maximum and range assignment.
class Skyline {
 public:
  explicit Skyline(std::int64_t length) : length_(length) {
    while (leaves_ < length_) leaves_ *= 2;
    most_.assign(static_cast<std::size_t>(2 * leaves_), 0);
    all_.assign(most_.size(), -1);
  }

  [[nodiscard]] std::int64_t highest(std::int64_t begin, std::int64_t end) {
    return highest(1, 0, leaves_, begin, end);
  }
  void raise(std::int64_t begin, std::int64_t end, std::int64_t height) {
    raise(1, 0, leaves_, begin, end, height);
  }

 private:
  std::int64_t highest(std::size_t node, std::int64_t low, std::int64_t high, std::int64_t begin,
                       std::int64_t end) {
    if (end <= low || high <= begin) return 0;
    if (all_[node] >= 0 || (begin <= low && high <= end)) return most_[node];
    const std::int64_t middle = (low + high) / 2;
    return std::max(highest(2 * node, low, middle, begin, end),
                    highest(2 * node + 1, middle, high, begin, end));
  }

  void raise(std::size_t node, std::int64_t low, std::int64_t high, std::int64_t begin,
             std::int64_t end, std::int64_t height) {
    if (end <= low || high <= begin) return;
    if (begin <= low && high <= end) {
      most_[node] = all_[node] = height;
      return;
    }
    if (all_[node] >= 0) {
      for (const std::size_t child : {2 * node, 2 * node + 1}) {
        most_[child] = all_[child] = all_[node];
      }
      all_[node] = -1;
    }
    const std::int64_t middle = (low + high) / 2;
    raise(2 * node, low, middle, begin, end, height);
    raise(2 * node + 1, middle, high, begin, end, height);
    most_[node] = std::max(most_[2 * node], most_[2 * node + 1]);
  }

  std::int64_t length_;
  std::int64_t leaves_ = 1;
  std::vector<std::int64_t> most_;
  std::vector<std::int64_t> all_;  // the height of the whole range when it is one; else -1
};

class Packer {
 public:
  explicit Packer(PackProblem blocks) : blocks_(std::move(blocks)) {
    for (const PackBlock& b : blocks_) length_ = std::max(length_, b.end);
    bound_ = max_live();
    rows_ = by_life(blocks_, length_);
  }

  [[nodiscard]] std::int64_t bound() const { return bound_; }

  Packing run(std::int64_t enough_bytes) {
    const std::int64_t enough = std::max(bound_, enough_bytes);
    Packing best{.offset_bytes = {}, .height_bytes = std::numeric_limits<std::int64_t>::max()};
    std::vector<std::size_t> best_order;
    const auto offer = [&](const std::vector<std::size_t>& order, Fit fit) {
      const std::int64_t most = enough_bytes > 0 ? k_most_work / 8 : k_most_work;
      const bool tired = work_ > most && !best.offset_bytes.empty();
      if (best.height_bytes <= enough || tired) return;
      Packing layout = pack(order, fit);
      if (layout.height_bytes >= best.height_bytes) return;
      best = std::move(layout);
      best_order = order;
    };
    // A search asks for many placements of large programs: 2 to 4 % too high, but at once.
    if (enough_bytes > 0 && rows_.brief.size() > k_many) {
      for (const std::int64_t lasting : {128, 256, 512, 64}) {
        Packing layout = stack(lasting);
        if (layout.height_bytes < best.height_bytes) best = std::move(layout);
        if (best.height_bytes <= enough) break;
      }
      return legal(best) ? best : one_above_the_other();
    }
    const auto hopeless = [&] { return enough_bytes > 0 && best.height_bytes / 17 > enough / 16; };
    for (const Fit fit : {Fit::first, Fit::best}) {
      for (const auto key : {by_size, by_area, by_length, by_begin})
        offer(sorted_by(blocks_, rows_.brief, key), fit);
      if (hopeless()) break;
    }
    // Whoever stands out at the top goes earlier: a few rounds often reach the bound.
    for (int round = 0; round < k_rounds && best.height_bytes > enough && !hopeless(); ++round) {
      std::vector<std::size_t> order = best_order;
      lift_top(blocks_, best, rows_.brief, static_cast<std::size_t>(round) + 1, order);
      offer(order, round % 2 == 0 ? Fit::first : Fit::best);
    }
    assert(legal(best));
    return legal(best) ? best : one_above_the_other();
  }

 private:
  static constexpr int k_rounds = 12;
  static constexpr std::int64_t k_slices = 256;
  static constexpr std::size_t k_many = 2500;
  static constexpr std::int64_t k_most_work = 10'000'000;  // meetings of blocks, over all orders

  std::int64_t max_live() const {
    std::vector<std::int64_t> change(static_cast<std::size_t>(length_) + 1, 0);
    for (const PackBlock& b : blocks_) {
      change[static_cast<std::size_t>(b.begin)] += b.size_bytes;
      change[static_cast<std::size_t>(b.end)] -= b.size_bytes;
    }
    std::int64_t live = 0;
    std::int64_t most = 0;
    for (const std::int64_t c : change) most = std::max(most, live += c);
    return most;
  }

  Packing pack(const std::vector<std::size_t>& order, Fit fit) {
    Packing layout = stacked(blocks_, rows_.lasting);
    const std::int64_t floor_bytes = layout.height_bytes;
    Placed placed(blocks_, length_, k_slices);
    for (const std::size_t i : order) {
      if (blocks_[i].size_bytes == 0) continue;
      const auto& occupied = placed.meeting(i, layout.offset_bytes);
      work_ += static_cast<std::int64_t>(occupied.size()) + 1;
      layout.offset_bytes[i] = find_gap(occupied, blocks_[i], floor_bytes, fit);
      layout.height_bytes =
          std::max(layout.height_bytes, layout.offset_bytes[i] + blocks_[i].size_bytes);
      placed.add(i);
    }
    return layout;
  }

  /// What lives for more than `lasting` lines is stacked, each on the highest of those before it
  /// that it meets; that is the floor for the others, which fill the gaps among themselves.
  Packing stack(std::int64_t lasting) const {
    const std::vector<std::size_t> large = sorted_by(blocks_, rows_.brief, by_area);
    const std::vector<std::size_t> brief = sorted_by(blocks_, rows_.brief, by_length);
    Packing layout{.offset_bytes = std::vector<std::int64_t>(blocks_.size(), 0)};
    Skyline skyline(length_ + 1);
    const auto put = [&](std::size_t i, std::int64_t at) {
      layout.offset_bytes[i] = at;
      layout.height_bytes = std::max(layout.height_bytes, at + blocks_[i].size_bytes);
    };
    const auto lasts = [&](std::size_t i) { return blocks_[i].end - blocks_[i].begin > lasting; };
    for (const auto* list : {&rows_.lasting, &large}) {
      for (const std::size_t i : *list) {
        if (!lasts(i)) continue;
        const PackBlock& b = blocks_[i];
        put(i, round_up(skyline.highest(b.begin, b.end), b.alignment_bytes));
        skyline.raise(b.begin, b.end, layout.offset_bytes[i] + b.size_bytes);
      }
    }
    Placed placed(blocks_, length_, std::max<std::int64_t>(length_ / lasting, k_slices));
    for (const std::size_t i : brief) {
      if (lasts(i) || blocks_[i].size_bytes == 0) continue;
      const std::int64_t floor_bytes = skyline.highest(blocks_[i].begin, blocks_[i].end);
      put(i, find_gap(placed.meeting(i, layout.offset_bytes), blocks_[i], floor_bytes, Fit::best));
      placed.add(i);
    }
    return layout;
  }

  bool legal(const Packing& layout) const { return packing_error(blocks_, layout).empty(); }

  /// One above the other: always legal. Only reached if packing were wrong.
  Packing one_above_the_other() const {
    std::vector<std::size_t> all(blocks_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return stacked(blocks_, all);
  }

  PackProblem blocks_;
  std::int64_t length_ = 0;
  std::int64_t bound_ = 0;
  std::int64_t work_ = 0;
  ByLife rows_;
};

}  // namespace

std::int64_t place(Trace& trace, Space space, std::int64_t enough_bytes) {
  const SpaceProblem problem = program_problem_of(trace, space);
  if (problem.blocks.empty()) return 0;
  const Packing layout = Packer(problem.blocks).run(enough_bytes);
  for (std::size_t i = 0; i < problem.buffers.size(); ++i) {
    trace.buffers[problem.buffers[i].index()].offset_bytes = layout.offset_bytes[i];
  }
  return layout.height_bytes;
}

std::int64_t place_all(Trace& trace, std::int64_t enough_bytes) {
  std::set<Space> spaces;
  for (const Buffer& buffer : trace.buffers) spaces.insert(buffer.space);
  std::int64_t device_height = 0;
  for (const Space& space : spaces) {
    const bool device = space == Space{SpaceKind::device, trace.meta.rank};
    const std::int64_t any = enough_bytes > 0 ? std::numeric_limits<std::int64_t>::max() / 2 : 0;
    const std::int64_t height = place(trace, space, device ? enough_bytes : any);
    if (device) device_height = height;
  }
  return device_height;
}

std::int64_t placement_height(const Trace& trace, Space space) {
  std::int64_t height = 0;
  for (const Buffer& buffer : trace.buffers) {
    if (buffer.space != space || buffer.offset_bytes < 0) continue;
    height = std::max(height, buffer.offset_bytes + counted_bytes(buffer));
  }
  return height;
}

std::int64_t placement_bound(const Trace& trace, Space space) {
  return Packer(program_problem_of(trace, space).blocks).bound();
}

}  // namespace tidemark
