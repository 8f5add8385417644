#include "gui/pyramid.h"

#include <algorithm>
#include <optional>

namespace tidemark {
namespace {

/// `later` lies after `earlier`, so of equal maxima the earlier stays.
void merge(Extremes& earlier, const Extremes& later) {
  if (later.max_bytes > earlier.max_bytes) {
    earlier.max_bytes = later.max_bytes;
    earlier.max_change = later.max_change;
  }
  earlier.min_bytes = std::min(earlier.min_bytes, later.min_bytes);
}

void merge(std::optional<Extremes>& earlier, const Extremes& later) {
  if (earlier) {
    merge(*earlier, later);
  } else {
    earlier = later;
  }
}

}  // namespace

Pyramid::Pyramid(const Trace& trace, const Timeline& timeline) : timeline_(timeline) {
  category_.reserve(timeline.changes.size());
  CategoryBytes state{};
  for (const MemoryChange& change : timeline.changes) {
    if (change_count() % k_leaf_changes == 0) key_frames_.push_back(state);
    const auto category = static_cast<std::uint8_t>(trace[change.buffer].category);
    category_.push_back(category);
    state[category] += change.delta_bytes;
  }
  Level leaves;
  for (std::int64_t first = 0; first < change_count(); first += k_leaf_changes) {
    leaves.push_back(scan_leaf(first, std::min(first + k_leaf_changes, change_count())));
  }
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) levels_.push_back(level_above(levels_.back()));
}

Pyramid::Level Pyramid::level_above(const Level& below) const {
  Level above;
  for (std::size_t i = 0; i < below.size(); ++i) {
    if (i % k_fan_out == 0) {
      above.push_back(below[i]);
    } else {
      merge(above.back(), below[i]);
    }
  }
  return above;
}

std::int64_t Pyramid::position_of(std::int64_t change, Axis axis) const {
  return axis == Axis::change ? change
                              : timeline_.changes[static_cast<std::size_t>(change)].time_ns;
}

std::int64_t Pyramid::first_change_from(std::int64_t position, Axis axis) const {
  if (axis == Axis::change) return std::clamp<std::int64_t>(position, 0, change_count());
  const auto& changes = timeline_.changes;
  const auto found = std::lower_bound(
      changes.begin(), changes.end(), position,
      [](const MemoryChange& change, std::int64_t time_ns) { return change.time_ns < time_ns; });
  return found - changes.begin();
}

CategoryBytes Pyramid::state_after(std::int64_t change) const {
  if (change < 0) return {};
  const std::int64_t leaf = change / k_leaf_changes;
  CategoryBytes state = key_frames_[static_cast<std::size_t>(leaf)];
  for (std::int64_t i = leaf * k_leaf_changes; i <= change; ++i) {
    const auto row = static_cast<std::size_t>(i);
    state[category_[row]] += timeline_.changes[row].delta_bytes;
  }
  return state;
}

std::int64_t Pyramid::total_after(std::int64_t change) const {
  return total_bytes(state_after(change));
}

/// [first, last) lies within one leaf and is not empty.
Extremes Pyramid::scan_leaf(std::int64_t first, std::int64_t last) const {
  const std::int64_t leaf = first / k_leaf_changes;
  std::int64_t total = total_bytes(key_frames_[static_cast<std::size_t>(leaf)]);
  for (std::int64_t i = leaf * k_leaf_changes; i <= first; ++i) {
    total += timeline_.changes[static_cast<std::size_t>(i)].delta_bytes;
  }
  Extremes found{.max_bytes = total, .max_change = first, .min_bytes = total};
  for (std::int64_t i = first + 1; i < last; ++i) {
    total += timeline_.changes[static_cast<std::size_t>(i)].delta_bytes;
    merge(found, {.max_bytes = total, .max_change = i, .min_bytes = total});
  }
  return found;
}

Extremes Pyramid::extremes(std::int64_t first, std::int64_t last) const {
  std::optional<Extremes> found;
  std::int64_t at = first;
  while (at < last) {
    // The largest node that begins at `at` and ends within the range; else part of a leaf.
    std::size_t level = 0;
    std::int64_t span = k_leaf_changes;
    if (at % span != 0 || at + span > last) {
      const std::int64_t leaf_end = (at / span + 1) * span;
      merge(found, scan_leaf(at, std::min(leaf_end, last)));
      at = leaf_end;
      continue;
    }
    while (level + 1 < levels_.size() && at % (span * k_fan_out) == 0 &&
           at + span * k_fan_out <= last) {
      ++level;
      span *= k_fan_out;
    }
    merge(found, levels_[level][static_cast<std::size_t>(at / span)]);
    at += span;
  }
  return found.value_or(Extremes{});
}

Column Pyramid::column_over(std::int64_t first, std::int64_t last, bool shows_before) const {
  std::optional<Extremes> found;
  if (shows_before) {
    const std::int64_t total = total_after(first - 1);
    found = Extremes{.max_bytes = total, .max_change = first - 1, .min_bytes = total};
  }
  if (first < last) merge(found, extremes(first, last));
  return {.extremes = *found, .at_max = state_after(found->max_change)};
}

std::vector<Column> Pyramid::columns(const ColumnScale& scale, Axis axis) const {
  std::vector<Column> columns;
  columns.reserve(static_cast<std::size_t>(scale.width_px));
  std::int64_t first = 0;
  std::int64_t last = first_change_from(scale.column_begin(0), axis);
  for (int x = 0; x < scale.width_px; ++x) {
    const std::int64_t begin = scale.column_begin(x);
    if (x > 0 && begin == scale.column_begin(x - 1)) {  // several pixels per unit
      columns.push_back(columns.back());
      continue;
    }
    const std::int64_t end = std::max(scale.column_begin(x + 1), begin + 1);
    first = last;
    last = first_change_from(end, axis);
    if (x > 0 && first == last && columns.back().extremes.max_change == first - 1) {
      // Nothing happens here and the state is at hand. Its minimum is that of this column alone.
      columns.push_back(columns.back());
      columns.back().extremes.min_bytes = columns.back().extremes.max_bytes;
      continue;
    }
    // The state before the column is visible in it unless a change takes effect at its very begin.
    const bool shows_before = first == last || position_of(first, axis) > begin;
    columns.push_back(column_over(first, last, shows_before));
  }
  return columns;
}

}  // namespace tidemark
