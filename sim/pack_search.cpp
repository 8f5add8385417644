#include "sim/pack_search.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "sim/pack_changes.h"
#include "traces/trace.h"

namespace tidemark {

PackSections::PackSections(const PackProblem& problem) : step_bytes(pack_step(problem)) {
  std::vector<std::size_t> row(problem.size(), 0);  // of blocks
  for (std::size_t i = 0; i < problem.size(); ++i) {
    const PackBlock& b = problem[i];
    if (b.size_bytes == 0 || b.begin >= b.end) continue;
    row[i] = blocks.size();
    const std::int64_t size_bytes = round_up(b.size_bytes, step_bytes);
    blocks.push_back({.size_bytes = size_bytes,
                      .slack_bytes = size_bytes - b.size_bytes,
                      .alignment_bytes = std::max<std::int64_t>(b.alignment_bytes, 1),
                      .length = b.end - b.begin,
                      .source = i});
  }
  std::int64_t live = 0;
  bool grows = false;
  for (const PackChange& c : pack_changes(problem)) {
    Block& b = blocks[row[c.block]];
    const auto section = static_cast<std::int32_t>(total_bytes.size());
    if (c.begins) {
      b.begin = section;
      live += b.size_bytes;
    } else {
      if (grows) total_bytes.push_back(live);
      b.end = static_cast<std::int32_t>(total_bytes.size());
      live -= b.size_bytes;
    }
    grows = c.begins;
  }
  for (Block& b : blocks) {
    b.fullest_bytes = *std::max_element(total_bytes.begin() + b.begin, total_bytes.begin() + b.end);
  }
}

PackSearch::PackSearch(const PackSections& sections, std::int64_t capacity_bytes,
                       const std::vector<std::int32_t>& order)
    : sections_(&sections),
      capacity_bytes_(capacity_bytes),
      room_bytes_(round_up(capacity_bytes, sections.step_bytes)),
      words_((sections.total_bytes.size() + 63) / 64),
      rank_(order.size()),
      twin_(order.size(), -1),
      total_(sections.total_bytes),
      across_(sections.total_bytes.size(), 0),
      offset_(order.size(), 0),
      is_placed_(order.size(), 0),
      covered_(words_),
      stop_period_(std::clamp<std::int64_t>(
          k_work_between_looks / std::max<std::int64_t>(1, static_cast<std::int64_t>(order.size())),
          8, 1024)) {
  std::map<std::tuple<std::int32_t, std::int32_t, std::int64_t, std::int64_t>, std::int32_t> last;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int32_t block = order[i];
    rank_[static_cast<std::size_t>(block)] = static_cast<std::int32_t>(i);
    const PackSections::Block& b = sections.blocks[static_cast<std::size_t>(block)];
    for (std::int32_t s = b.begin; s + 1 < b.end; ++s) ++across_[static_cast<std::size_t>(s)];
    const auto [entry, fresh] =
        last.try_emplace({b.begin, b.end, b.size_bytes - b.slack_bytes, b.alignment_bytes}, block);
    if (!fresh) twin_[static_cast<std::size_t>(block)] = std::exchange(entry->second, block);
  }
}

PackSearch::Outcome PackSearch::run(std::int64_t most_nodes, const std::atomic<bool>& stop,
                                    const Deadline& deadline) {
  deadline_ = deadline;
  most_nodes_ = most_nodes;
  stop_ = &stop;
  stopped_ = stop.load();
  nodes_ = 0;
  if (stopped_) return Outcome::stopped;
  open_.clear();
  choices_.clear();
  parts_.clear();
  give_back_to(0);
  for (std::size_t i = 0; i < rank_.size(); ++i) {
    open_.push_back({0, 0, static_cast<std::int32_t>(i)});
  }
  const bool found = has_room({0, open_.size()}) &&
                     solve_parts({0, open_.size()}, 0, static_cast<std::int32_t>(across_.size()));
  if (found) return Outcome::found;
  return stopped_ ? Outcome::stopped : Outcome::none;
}

bool PackSearch::must_stop() const {
  return stop_->load(std::memory_order_relaxed) ||
         (deadline_ && std::chrono::steady_clock::now() >= *deadline_);
}

bool PackSearch::blocks_meet(std::int32_t a, std::int32_t b) const {
  const PackSections::Block& x = sections_->blocks[static_cast<std::size_t>(a)];
  const PackSections::Block& y = sections_->blocks[static_cast<std::size_t>(b)];
  return x.begin < y.end && y.begin < x.end;
}

/// Places all blocks of a list that no other open block meets.
bool PackSearch::solve(Range open) {
  if (open.first == open.last) return true;
  // Whoever would begin above the end of another leaves room for that one: it can wait. And a block
  // that hangs in the air waits for the one that will be below it.
  const std::size_t first_choice = choices_.size();
  std::int64_t lowest_end = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = open.first; i < open.last && open_[i].least < lowest_end; ++i) {
    const auto block = static_cast<std::size_t>(open_[i].block);
    lowest_end = std::min(lowest_end, open_[i].support + sections_->blocks[block].size_bytes);
    if (open_[i].support < open_[i].least) continue;
    const std::int32_t twin = twin_[block];
    if (twin >= 0 && is_placed_[static_cast<std::size_t>(twin)] == 0) continue;
    choices_.push_back(open_[i]);
  }
  while (choices_.size() > first_choice && choices_.back().least >= lowest_end) {
    choices_.pop_back();
  }
  std::sort(choices_.begin() + static_cast<std::ptrdiff_t>(first_choice), choices_.end(),
            [this](const Open& a, const Open& b) {
              return std::pair(a.least, rank_[static_cast<std::size_t>(a.block)]) <
                     std::pair(b.least, rank_[static_cast<std::size_t>(b.block)]);
            });
  const std::size_t last_choice = choices_.size();
  bool found = false;
  for (std::size_t i = first_choice; i < last_choice && !found && !stopped_; ++i) {
    found = try_block(open, choices_[i]);
  }
  choices_.resize(first_choice);
  return found;
}

bool PackSearch::try_block(Range open, Open choice) {
  stopped_ = ++nodes_ > most_nodes_ || (nodes_ % stop_period_ == 0 && must_stop());
  if (stopped_) return false;
  const PackSections::Block& placed = sections_->blocks[static_cast<std::size_t>(choice.block)];
  const std::size_t before = placed_.size();
  const std::size_t top = open_.size();
  take(choice.block);
  offset_[static_cast<std::size_t>(choice.block)] = choice.least;
  const bool found = rests_below(choice) && raise_open(open, choice) &&
                     has_room({top, open_.size()}) &&
                     solve_parts({top, open_.size()}, placed.begin, placed.end);
  open_.resize(top);
  if (!found) give_back_to(before);
  return found;
}

/// Cheap first test: what is still open over the placed block fits above it.
bool PackSearch::rests_below(Open choice) const {
  const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(choice.block)];
  if (choice.least + b.size_bytes - b.slack_bytes > capacity_bytes_) return false;
  const std::int64_t room = room_bytes_ - choice.least - b.size_bytes;
  return std::all_of(total_.begin() + b.begin, total_.begin() + b.end,
                     [room](std::int64_t total) { return total <= room; });
}

/// Appends the list of the other open blocks, raised to what `choice` leaves them, sorted again.
bool PackSearch::raise_open(Range open, Open choice) {
  const PackSections::Block& placed = sections_->blocks[static_cast<std::size_t>(choice.block)];
  const std::int64_t end = choice.least + placed.size_bytes;
  const std::int32_t rank = rank_[static_cast<std::size_t>(choice.block)];
  const std::size_t first = open_.size();
  raised_.clear();
  skipped_.clear();
  for (std::size_t i = open.first; i < open.last; ++i) {
    const Open o = open_[i];
    if (o.block == choice.block) continue;
    const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(o.block)];
    if (b.begin < placed.end && placed.begin < b.end) {
      if (o.support < end) {
        const std::int64_t support = round_up(end, b.alignment_bytes);
        raised_.push_back({std::max(o.least, support), support, o.block});
        continue;
      }
    } else if (o.least < choice.least ||
               (o.least == choice.least && rank_[static_cast<std::size_t>(o.block)] < rank)) {
      skipped_.push_back(static_cast<std::int32_t>(raised_.size()));
      raised_.push_back({choice.least, o.support, o.block});
      continue;
    }
    open_.push_back(o);
  }
  if (!skipped_fit(choice.least) || !raise_skipped(first)) return false;
  const auto less = [](const Open& a, const Open& b) { return a.least < b.least; };
  std::sort(raised_.begin(), raised_.end(), less);
  // Merge from the back, in place.
  std::size_t from = open_.size();
  open_.insert(open_.end(), raised_.begin(), raised_.end());
  std::size_t to = open_.size();
  for (std::size_t r = raised_.size(); r > 0;) {
    if (from > first && less(raised_[r - 1], open_[from - 1])) {
      open_[--to] = open_[--from];
    } else {
      open_[--to] = raised_[--r];
    }
  }
  return true;
}

/// Cheap test before raise_skipped(): nothing open lies below `least` any more.
bool PackSearch::skipped_fit(std::int64_t least) const {
  const std::int64_t room = room_bytes_ - least;
  return std::all_of(skipped_.begin(), skipped_.end(), [&](std::int32_t row) {
    const auto block = static_cast<std::size_t>(raised_[static_cast<std::size_t>(row)].block);
    const PackSections::Block& b = sections_->blocks[block];
    return std::all_of(total_.begin() + b.begin, total_.begin() + b.end,
                       [room](std::int64_t total) { return total <= room; });
  });
}

/// A block that could lie lower than the choice, yet comes later, will rest on another block that
/// is still open and keeps it from its present support; so it is at least as high as the lowest end
/// of such a block.
bool PackSearch::raise_skipped(std::size_t first) {
  for (const std::int32_t row : skipped_) {
    Open& skipped = raised_[static_cast<std::size_t>(row)];
    const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(skipped.block)];
    const std::int64_t top = skipped.support + b.size_bytes;
    std::int64_t rest = std::numeric_limits<std::int64_t>::max();
    const auto offer = [&](const Open& o) {
      if (o.least >= rest || o.least >= top || o.block == skipped.block) return;
      if (!blocks_meet(o.block, skipped.block)) return;
      const auto size = sections_->blocks[static_cast<std::size_t>(o.block)].size_bytes;
      rest = std::min(rest, o.least + size);
    };
    for (std::size_t i = first; i < open_.size(); ++i) {
      if (open_[i].least >= rest || open_[i].least >= top) break;
      offer(open_[i]);
    }
    for (const Open& o : raised_) offer(o);
    if (rest > room_bytes_) return false;
    skipped.least = round_up(rest, b.alignment_bytes);
  }
  return true;
}

/// In every section the open blocks lie above the lowest of their least offsets, on each other.
bool PackSearch::has_room(Range open) {
  std::fill(covered_.begin(), covered_.end(), 0);
  for (std::size_t i = open.first; i < open.last; ++i) {
    const auto [least, support, block] = open_[i];
    const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(block)];
    const auto begin = static_cast<std::size_t>(b.begin);
    const auto end = static_cast<std::size_t>(b.end);
    for (std::size_t w = begin / 64; w <= (end - 1) / 64; ++w) {
      std::uint64_t fresh = ~covered_[w];
      if (w == begin / 64) fresh &= ~std::uint64_t{0} << (begin % 64);
      if (w == (end - 1) / 64) fresh &= ~std::uint64_t{0} >> (63 - (end - 1) % 64);
      covered_[w] |= fresh;
      for (; fresh != 0; fresh &= fresh - 1) {
        const std::size_t s = w * 64 + static_cast<std::size_t>(__builtin_ctzll(fresh));
        if (least + total_[s] > room_bytes_) return false;
      }
    }
  }
  return true;
}

/// Where no open block reaches from one section into the next, the two sides are independent: they
/// are solved one by one, the smallest first, and the first that has no solution ends it.
bool PackSearch::solve_parts(Range open, std::int32_t first_section, std::int32_t last_section) {
  const auto end = across_.cbegin() + std::max(first_section, last_section - 1);
  auto cut = std::find(across_.cbegin() + first_section, end, 0);
  if (cut == end) return solve(open);
  const std::size_t top = open_.size();
  const std::size_t first_part = parts_.size();
  for (std::int32_t left = -1, right = 0; cut != across_.cend(); left = right) {
    right = cut == end ? std::numeric_limits<std::int32_t>::max()
                       : static_cast<std::int32_t>(cut - across_.cbegin());
    const std::size_t first = open_.size();
    for (std::size_t i = open.first; i < open.last; ++i) {
      const Open o = open_[i];
      const std::int32_t at = sections_->blocks[static_cast<std::size_t>(o.block)].begin;
      if (at > left && at <= right) open_.push_back(o);
    }
    if (first < open_.size()) parts_.push_back({first, open_.size()});
    cut = cut == end ? across_.cend() : std::find(cut + 1, end, 0);
  }
  const std::size_t last_part = parts_.size();
  std::stable_sort(parts_.begin() + static_cast<std::ptrdiff_t>(first_part), parts_.end(),
                   [](const Range& a, const Range& b) { return a.count() < b.count(); });
  bool found = true;
  for (std::size_t i = first_part; i < last_part && found; ++i) found = solve(parts_[i]);
  parts_.resize(first_part);
  open_.resize(top);
  return found;
}

void PackSearch::take(std::int32_t block) {
  const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(block)];
  for (auto s = static_cast<std::size_t>(b.begin); s < static_cast<std::size_t>(b.end); ++s) {
    total_[s] -= b.size_bytes;
    across_[s] -= static_cast<std::int32_t>(s + 1 < static_cast<std::size_t>(b.end));
  }
  is_placed_[static_cast<std::size_t>(block)] = 1;
  placed_.push_back(block);
}

void PackSearch::give_back_to(std::size_t placed_count) {
  for (; placed_.size() > placed_count; placed_.pop_back()) {
    const PackSections::Block& b = sections_->blocks[static_cast<std::size_t>(placed_.back())];
    for (auto s = static_cast<std::size_t>(b.begin); s < static_cast<std::size_t>(b.end); ++s) {
      total_[s] += b.size_bytes;
      across_[s] += static_cast<std::int32_t>(s + 1 < static_cast<std::size_t>(b.end));
    }
    is_placed_[static_cast<std::size_t>(placed_.back())] = 0;
  }
}

}  // namespace tidemark
