// Level-of-detail pyramid over the changes of a timeline. It never loses a peak and never invents a
// state: what a pixel column shows is a state that the run was in.
//
// A leaf covers k_leaf_changes changes, a node of the next level k_fan_out nodes. A node holds the
// largest total, the change that led to it, and the smallest total. Each leaf begins with a key
// frame (the composition before its first change), so the composition after any change costs at
// most k_leaf_changes - 1 additions; nodes need none of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gui/flat_array.h"
#include "gui/grouping.h"
#include "gui/view_range.h"

namespace tidemark {

/// Largest and smallest total after any change of a range. Of equal maxima the first is named.
struct Extremes {
  std::int64_t max_bytes = 0;
  std::int64_t max_change = -1;  // -1: before the first change
  std::int64_t min_bytes = 0;
  bool operator==(const Extremes&) const = default;
};

/// One pixel column: its highest state, complete, and its lowest total.
struct PixelColumn {
  Extremes extremes;
  BandBytes at_max{};  // by group; sums to extremes.max_bytes
  bool operator==(const PixelColumn&) const = default;
};

class Pyramid {
 public:
  static constexpr std::int64_t k_leaf_changes = 64;
  static constexpr std::int64_t k_fan_out = 4;

  using Levels = std::vector<FlatArray<Extremes>>;  // [0]: leaves
  /// What a view index stores (gui/view_index.h). The totals are the same for every grouping.
  struct Arrays {
    std::shared_ptr<const Levels> levels;
    FlatArray<BandBytes> key_frames;  // before the first change of each leaf
  };

  /// Both must outlive the pyramid.
  Pyramid(const ChangeColumns& changes, const Grouping& grouping);
  /// Over stored arrays of the same changes and the same grouping.
  Pyramid(const ChangeColumns& changes, const Grouping& grouping, Arrays arrays);
  /// Another grouping of the changes of `totals`.
  Pyramid(const Pyramid& totals, const Grouping& grouping);

  [[nodiscard]] std::int64_t change_count() const {
    return static_cast<std::int64_t>(changes_.size());
  }

  /// Position of a change on an axis: its time, or its index.
  [[nodiscard]] std::int64_t position_of(std::int64_t change, Axis axis) const;
  /// First change at or after `position`; change_count() when there is none.
  [[nodiscard]] std::int64_t first_change_from(std::int64_t position, Axis axis) const;
  /// The last change that has taken effect at `position`; -1 when there is none.
  [[nodiscard]] std::int64_t change_at(std::int64_t position, Axis axis) const {
    return first_change_from(position + 1, axis) - 1;
  }

  /// Live bytes by group right after a change; all zero for -1.
  [[nodiscard]] BandBytes state_after(std::int64_t change) const;
  [[nodiscard]] std::int64_t total_after(std::int64_t change) const;

  /// Over the states right after each of the changes [first, last); first < last.
  [[nodiscard]] Extremes extremes(std::int64_t first, std::int64_t last) const;

  /// What a view shows, one entry per pixel. A column covers the states in [column_begin(x),
  /// column_begin(x + 1)): that which it begins with and those after the changes in it.
  [[nodiscard]] std::vector<PixelColumn> columns(const ColumnScale& scale, Axis axis) const;

  [[nodiscard]] const Arrays& arrays() const { return arrays_; }

 private:
  void build_levels();
  void build_key_frames();
  [[nodiscard]] Extremes scan_leaf(std::int64_t first, std::int64_t last) const;
  [[nodiscard]] PixelColumn column_over(std::int64_t first, std::int64_t last,
                                        bool shows_before) const;

  const ChangeColumns& changes_;
  const Grouping& grouping_;
  Arrays arrays_;
};

}  // namespace tidemark
