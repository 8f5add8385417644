#include "gui/view_range.h"

#include <algorithm>
#include <cmath>

namespace tidemark {
namespace {

// Traces of hours have 10^13 ns; times a width that still fits, but only just: be safe.
__extension__ using Wide = __int128;

std::int64_t floor_div(Wide numerator, std::int64_t denominator) {
  if (const auto narrow = static_cast<std::int64_t>(numerator); narrow == numerator) {
    // Nearly always, and several times as fast: pictures divide a hundred thousand times.
    return narrow / denominator - (narrow % denominator < 0 ? 1 : 0);
  }
  const Wide quotient = numerator / denominator;
  const bool below = numerator % denominator != 0 && numerator < 0;
  return static_cast<std::int64_t>(below ? quotient - 1 : quotient);
}

}  // namespace

ViewRange clamped(ViewRange range, ViewRange limits) {
  const std::int64_t least = std::min(k_least_span, limits.span());
  const std::int64_t span = std::clamp(range.span(), least, limits.span());
  const std::int64_t begin = std::clamp(range.begin, limits.begin, limits.end - span);
  return {begin, begin + span};
}

std::int64_t ColumnScale::column_begin(int x) const {
  return range.begin + floor_div(Wide{range.span()} * x, width_px);
}

int ColumnScale::column_of(std::int64_t position) const {
  // Largest x with column_begin(x) <= position: floor(span * x / width) <= d, so
  // span * x < (d + 1) * width.
  const Wide distance = Wide{position} - range.begin;
  const std::int64_t x = floor_div((distance + 1) * width_px - 1, range.span());
  return static_cast<int>(std::clamp<std::int64_t>(x, -1'000'000, 1'000'000));
}

ViewRange ColumnScale::zoomed(double factor, int at_px) const {
  const double share = static_cast<double>(at_px) / width_px;
  const double old_span = static_cast<double>(range.span());
  const double span = std::max(1.0, std::round(old_span * factor));
  const double fixed = static_cast<double>(range.begin) + share * old_span;
  const auto begin = static_cast<std::int64_t>(std::round(fixed - share * span));
  return {begin, begin + static_cast<std::int64_t>(span)};
}

ViewRange ColumnScale::panned(int delta_px) const {
  const std::int64_t delta = floor_div(Wide{range.span()} * delta_px, width_px);
  return {range.begin - delta, range.end - delta};
}

int ByteScale::row_of(std::int64_t bytes) const {
  const std::int64_t above = floor_div(Wide{bytes} * height_px + top_bytes / 2, top_bytes);
  return static_cast<int>(std::clamp<std::int64_t>(height_px - above, -1'000'000, 1'000'000));
}

std::int64_t ByteScale::bytes_at(int y) const {
  return floor_div(Wide{top_bytes} * (height_px - 1 - y), height_px);
}

std::int64_t tick_step(std::int64_t least) {
  std::int64_t power = 1;
  while (power * 10 <= least) power *= 10;
  for (const std::int64_t factor : {1, 2, 5}) {
    if (power * factor >= least) return power * factor;
  }
  return power * 10;
}

std::int64_t byte_tick_step(std::int64_t least_bytes) {
  std::int64_t unit_bytes = 1;
  while (least_bytes > 500 * unit_bytes) unit_bytes *= 1024;
  return unit_bytes * tick_step((least_bytes + unit_bytes - 1) / unit_bytes);
}

}  // namespace tidemark
