// The mapping between what is measured (time or change index, bytes) and pixels, without a widget.
#pragma once

#include <cstdint>

namespace tidemark {

/// What the horizontal axis counts: nanoseconds, or changes (each allocation and free one unit, so
/// that dense parts are not squeezed).
enum class Axis : std::uint8_t { time, change };

/// Half-open [begin, end) in the units of the axis; never empty.
struct ViewRange {
  std::int64_t begin = 0;
  std::int64_t end = 1;
  [[nodiscard]] std::int64_t span() const { return end - begin; }
  bool operator==(const ViewRange&) const = default;
};

/// A range cannot be zoomed below this many units.
inline constexpr std::int64_t k_least_span = 16;

/// `range` moved and, when it is longer than `limits`, cut so that it lies within `limits`.
[[nodiscard]] ViewRange clamped(ViewRange range, ViewRange limits);

/// Horizontal pixels of a view `width_px` wide.
struct ColumnScale {
  ViewRange range;
  int width_px = 1;

  /// First unit of column `x`; column_begin(width_px) is range.end. Monotonic.
  [[nodiscard]] std::int64_t column_begin(int x) const;
  /// The column that shows `position`: column_begin(x) <= position < column_begin(x + 1) when it is
  /// in range; below 0 or from width_px on when it is not.
  [[nodiscard]] int column_of(std::int64_t position) const;

  /// `factor` < 1 shows less; the unit under column `at_px` stays there.
  [[nodiscard]] ViewRange zoomed(double factor, int at_px) const;
  /// Content moves by `delta_px` to the right.
  [[nodiscard]] ViewRange panned(int delta_px) const;
};

/// Vertical pixels: 0 bytes at the lower edge, `top_bytes` at the upper edge.
struct ByteScale {
  std::int64_t top_bytes = 1;
  int height_px = 1;

  /// Row of the boundary at `bytes`: rows y >= row_of(bytes) lie below it. height_px for 0 bytes.
  [[nodiscard]] int row_of(std::int64_t bytes) const;
  /// Bytes at the lower edge of row `y`.
  [[nodiscard]] std::int64_t bytes_at(int y) const;
};

/// Distance of axis labels: 1, 2 or 5 times a power of ten, at least `least` units.
[[nodiscard]] std::int64_t tick_step(std::int64_t least);
/// The same for bytes: 1, 2 or 5 times 10^n KiB, MiB, GiB below 1000 of the unit.
[[nodiscard]] std::int64_t byte_tick_step(std::int64_t least_bytes);

}  // namespace tidemark
