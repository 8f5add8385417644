#include "gui/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gui/gallop.h"
#include "sim/units.h"

namespace tidemark {
namespace {

struct TimeUnit {
  std::int64_t ns;
  std::string_view name;
};
constexpr std::array<TimeUnit, 4> k_units = {
    {{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "µs"}, {1, "ns"}}};

int decimals_of(std::int64_t step_ns, std::int64_t unit_ns) {
  int decimals = 0;
  while (step_ns < unit_ns && decimals < 9) {
    step_ns *= 10;
    ++decimals;
  }
  return decimals;
}

/// "50 MiB": ticks are whole numbers of a unit.
std::string format_round_bytes(std::int64_t bytes) {
  constexpr std::array<std::string_view, 6> k_names = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (unit + 1 < k_names.size() && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return bytes == 0 ? "0" : fmt::format("{} {}", bytes, k_names[unit]);
}

/// The largest part of rows [first, past) that no line crosses in column `x`.
std::array<int, 2> widest_gap(std::array<int, 2> rows, std::span<const std::vector<int>> lines,
                              std::size_t x) {
  constexpr int k_clear_px = 3;  // half a line and its border
  std::vector<int> cuts;
  for (const std::vector<int>& line : lines) {
    if (line[x] + k_clear_px > rows[0] && line[x] - k_clear_px < rows[1]) cuts.push_back(line[x]);
  }
  std::sort(cuts.begin(), cuts.end());
  std::array<int, 2> best = {0, 0};
  int from = rows[0];
  const auto offer = [&best](int begin, int end) {
    if (end - begin > best[1] - best[0]) best = {begin, end};
  };
  for (const int cut : cuts) {
    offer(from, cut - k_clear_px);
    from = std::max(from, cut + k_clear_px);
  }
  offer(from, rows[1]);
  return best;
}

/// Asked for rising positions: the last op that has begun there, and its phase.
class PhaseWalk {
 public:
  PhaseWalk(const Run& run, Axis axis) : run_(run), axis_(axis) {}

  [[nodiscard]] Phase at(std::int64_t position) {
    OpId op;
    if (axis_ == Axis::change) {
      const std::int64_t change = run_.pyramid().change_at(position, axis_);
      if (change >= 0) op = run_.timeline().changes.op(static_cast<std::size_t>(change));
    } else {
      const auto& spans = run_.timeline().spans;
      const std::size_t from = begun_;
      begun_ = gallop(from, spans.size(), leap_,
                      [&](std::size_t row) { return spans[row].begin_ns > position; });
      leap_ = begun_ - from;
      if (begun_ > 0) op = spans[begun_ - 1].op;
    }
    return op.valid() ? run_.trace()[op].phase : Phase::other;
  }

 private:
  const Run& run_;
  Axis axis_;
  std::size_t begun_ = 0;  // spans until the last position
  std::size_t leap_ = 1;
};

}  // namespace

std::string format_tick_ns(std::int64_t ns, std::int64_t step_ns) {
  // The largest unit in which labels have at most three decimals.
  for (const TimeUnit& unit : k_units) {
    const int decimals = decimals_of(step_ns, unit.ns);
    const bool too_fine = decimals > 3 || (decimals > 1 && ns < unit.ns && ns > -unit.ns);
    if (too_fine && unit.ns > 1) continue;
    const double value = static_cast<double>(ns) / static_cast<double>(unit.ns);
    return fmt::format("{:.{}f} {}", value, decimals, unit.name);
  }
  return {};
}

std::string format_time_ns(std::int64_t ns) {
  const std::int64_t size_ns = ns < 0 ? -ns : ns;
  if (size_ns < 1'000) return fmt::format("{} ns", ns);
  if (size_ns < 1'000'000) return fmt::format("{:.3f} µs", static_cast<double>(ns) * 1e-3);
  if (size_ns < 1'000'000'000) return fmt::format("{:.3f} ms", static_cast<double>(ns) * 1e-6);
  return fmt::format("{:.6f} s", static_cast<double>(ns) * 1e-9);
}

std::vector<Tick> axis_ticks(const ColumnScale& scale, Axis axis, std::int64_t zero, int least_px) {
  const std::int64_t most = std::max(scale.width_px / std::max(least_px, 1), 1);
  const std::int64_t step = tick_step(std::max<std::int64_t>(scale.range.span() / most, 1));
  std::int64_t from = scale.range.begin - zero;
  from = (from >= 0 ? (from + step - 1) / step : -(-from / step)) * step;
  // One unit for the whole axis: that of its largest label.
  const std::int64_t widest = std::max(scale.range.end - zero, -(scale.range.begin - zero));
  const std::string sample = format_tick_ns(widest, step);
  const std::string unit = sample.substr(sample.find(' ') + 1);
  std::vector<Tick> ticks;
  for (std::int64_t at = from; at + zero < scale.range.end; at += step) {
    std::string text = fmt::format("{}", at);
    for (const TimeUnit& candidate : k_units) {
      if (axis != Axis::time || unit != candidate.name) continue;
      const double value = static_cast<double>(at) / static_cast<double>(candidate.ns);
      text = fmt::format("{:.{}f} {}", value, decimals_of(step, candidate.ns), unit);
    }
    ticks.push_back({scale.column_of(at + zero), std::move(text)});
  }
  return ticks;
}

std::vector<Tick> byte_ticks(const ByteScale& scale, int least_px) {
  const std::int64_t most = std::max(scale.height_px / std::max(least_px, 1), 1);
  const std::int64_t step = byte_tick_step(std::max<std::int64_t>(scale.top_bytes / most, 1));
  std::vector<Tick> ticks;
  for (std::int64_t bytes = 0; bytes <= scale.top_bytes; bytes += step) {
    ticks.push_back({scale.row_of(bytes), format_round_bytes(bytes)});
  }
  return ticks;
}

std::optional<LabelPlace> place_label(std::span<const PixelColumn> columns, const ByteScale& scale,
                                      Band band, LabelSize size,
                                      std::span<const std::vector<int>> lines) {
  constexpr int k_stride_px = 6;
  const auto k = static_cast<std::size_t>(band);
  std::vector<std::array<int, 2>> rows;  // first and past the last row of the band, sampled
  for (std::size_t x = 0; x < columns.size(); x += k_stride_px) {
    const auto tops = band_tops(columns[x], scale);
    const std::array<int, 2> whole = {tops[k], k == 0 ? scale.height_px : tops[k - 1]};
    rows.push_back(widest_gap(whole, lines, x));
  }
  const auto needed = static_cast<std::size_t>(size.width_px / k_stride_px + 2);
  std::optional<LabelPlace> best;
  int best_room_px = size.height_px - 1;
  for (std::size_t i = 0; i + needed <= rows.size(); ++i) {
    int first_row = 0;
    int last_row = scale.height_px;
    for (std::size_t j = i; j < i + needed && last_row - first_row > best_room_px; ++j) {
      first_row = std::max(first_row, rows[j][0]);
      last_row = std::min(last_row, rows[j][1]);
    }
    if (last_row - first_row <= best_room_px) continue;
    best_room_px = last_row - first_row;
    best = LabelPlace{static_cast<int>((2 * i + needed - 1) * k_stride_px / 2),
                      (first_row + last_row) / 2};
  }
  return best;
}

std::string spoken(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::vector<PhaseSpan> phase_spans(const Run& run, const ColumnScale& scale, Axis axis) {
  std::vector<PhaseSpan> spans;
  const std::int64_t end = run.whole(axis).end;
  PhaseWalk walk(run, axis);
  for (int x = 0; x < scale.width_px && scale.column_begin(x) < end; ++x) {
    const Phase phase = walk.at(scale.column_begin(x));
    if (spans.empty() || spans.back().phase != phase) spans.push_back({x, x, phase});
    spans.back().end_px = x + 1;
  }
  return spans;
}

}  // namespace tidemark
