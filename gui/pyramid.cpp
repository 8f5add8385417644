#include "gui/pyramid.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "gui/gallop.h"

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

/// The first change at or after `time_ns`, which is `from` or later and probably `leap` later.
std::int64_t next_change(const ChangeColumns& changes, std::int64_t from, std::int64_t leap,
                         std::int64_t time_ns) {
  return static_cast<std::int64_t>(
      gallop(static_cast<std::size_t>(from), changes.size(), static_cast<std::size_t>(leap),
             [&](std::size_t row) { return changes.time_ns(row) >= time_ns; }));
}

}  // namespace

Pyramid::Pyramid(const ChangeColumns& changes, const Grouping& grouping)
    : changes_(changes), grouping_(grouping) {
  build_levels();
  build_key_frames();
}

Pyramid::Pyramid(const ChangeColumns& changes, const Grouping& grouping, Arrays arrays)
    : changes_(changes), grouping_(grouping), arrays_(std::move(arrays)) {}

Pyramid::Pyramid(const Pyramid& totals, const Grouping& grouping)
    : changes_(totals.changes_), grouping_(grouping) {
  arrays_.levels = totals.arrays_.levels;
  build_key_frames();
}

void Pyramid::build_levels() {
  auto levels = std::make_shared<Levels>(1);
  FlatArray<Extremes>& leaves = levels->front();
  leaves.reserve(static_cast<std::size_t>(change_count() / k_leaf_changes + 1));
  std::int64_t total = 0;
  for (std::int64_t first = 0; first < change_count(); first += k_leaf_changes) {
    Extremes leaf{.max_bytes = std::numeric_limits<std::int64_t>::min(),
                  .max_change = -1,
                  .min_bytes = std::numeric_limits<std::int64_t>::max()};
    const std::int64_t last = std::min(first + k_leaf_changes, change_count());
    for (std::int64_t i = first; i < last; ++i) {
      total += changes_.delta_bytes(static_cast<std::size_t>(i));
      merge(leaf, {.max_bytes = total, .max_change = i, .min_bytes = total});
    }
    leaves.push_back(leaf);
  }
  while (levels->back().size() > 1) {
    FlatArray<Extremes> above;
    Extremes node;
    const FlatArray<Extremes>& below = levels->back();
    for (std::size_t i = 0; i < below.size(); ++i) {
      if (i % k_fan_out == 0) {
        if (i > 0) above.push_back(node);
        node = below[i];
      } else {
        merge(node, below[i]);
      }
    }
    above.push_back(node);
    levels->push_back(std::move(above));
  }
  arrays_.levels = std::move(levels);
}

void Pyramid::build_key_frames() {
  arrays_.key_frames.reserve(static_cast<std::size_t>(change_count() / k_leaf_changes + 1));
  BandBytes state{};
  for (std::int64_t i = 0; i < change_count(); ++i) {
    if (i % k_leaf_changes == 0) arrays_.key_frames.push_back(state);
    const auto row = static_cast<std::size_t>(i);
    state[grouping_.of_buffer[changes_.buffer_row(row)]] += changes_.delta_bytes(row);
  }
}

std::int64_t Pyramid::position_of(std::int64_t change, Axis axis) const {
  return axis == Axis::change ? change : changes_.time_ns(static_cast<std::size_t>(change));
}

std::int64_t Pyramid::first_change_from(std::int64_t position, Axis axis) const {
  if (axis == Axis::change) return std::clamp<std::int64_t>(position, 0, change_count());
  return static_cast<std::int64_t>(changes_.first_from(position));
}

BandBytes Pyramid::state_after(std::int64_t change) const {
  if (change < 0) return {};
  const std::int64_t leaf = change / k_leaf_changes;
  BandBytes state = arrays_.key_frames[static_cast<std::size_t>(leaf)];
  for (std::int64_t i = leaf * k_leaf_changes; i <= change; ++i) {
    const auto row = static_cast<std::size_t>(i);
    state[grouping_.of_buffer[changes_.buffer_row(row)]] += changes_.delta_bytes(row);
  }
  return state;
}

std::int64_t Pyramid::total_after(std::int64_t change) const {
  return total_bytes(state_after(change));
}

/// [first, last) lies within one leaf and is not empty.
Extremes Pyramid::scan_leaf(std::int64_t first, std::int64_t last) const {
  std::int64_t total = total_after(first);
  Extremes found{.max_bytes = total, .max_change = first, .min_bytes = total};
  for (std::int64_t i = first + 1; i < last; ++i) {
    total += changes_.delta_bytes(static_cast<std::size_t>(i));
    merge(found, {.max_bytes = total, .max_change = i, .min_bytes = total});
  }
  return found;
}

Extremes Pyramid::extremes(std::int64_t first, std::int64_t last) const {
  const Levels& levels = *arrays_.levels;
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
    while (level + 1 < levels.size() && at % (span * k_fan_out) == 0 &&
           at + span * k_fan_out <= last) {
      ++level;
      span *= k_fan_out;
    }
    merge(found, levels[level][static_cast<std::size_t>(at / span)]);
    at += span;
  }
  return found.value_or(Extremes{});
}

PixelColumn Pyramid::column_over(std::int64_t first, std::int64_t last, bool shows_before) const {
  std::optional<Extremes> found;
  if (shows_before) {
    const std::int64_t total = total_after(first - 1);
    found = Extremes{.max_bytes = total, .max_change = first - 1, .min_bytes = total};
  }
  if (first < last) merge(found, extremes(first, last));
  return {.extremes = *found, .at_max = state_after(found->max_change)};
}

std::vector<PixelColumn> Pyramid::columns(const ColumnScale& scale, Axis axis) const {
  std::vector<PixelColumn> columns;
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
    const std::int64_t leap = last - first;
    first = last;
    last =
        axis == Axis::time ? next_change(changes_, first, leap, end) : first_change_from(end, axis);
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
