// What can be said about one instant, one range and one buffer: the text of cards, tables and the
// status line comes from here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gui/run.h"

namespace tidemark {

/// The state right after `change`, looked at when the axis is at `time_ns`.
struct Instant {
  std::int64_t change = -1;
  std::int64_t time_ns = 0;
  std::int32_t step = -1;
  OpId op;  // that runs, or that the change belongs to
  std::int64_t total_bytes = 0;
  BandBytes by_band{};
  bool operator==(const Instant&) const = default;
};

/// The state that stands after `change`; `position` (axis units) may lie later, before the next.
[[nodiscard]] Instant instant_at(const Run& run, std::int64_t change, std::int64_t position,
                                 Axis axis);
[[nodiscard]] Instant instant_of_change(const Run& run, std::int64_t change);

/// One row of the table of what is alive. Times are -1 where there is none.
struct AliveRow {
  BufferId buffer;
  std::int64_t bytes = 0;
  std::int64_t alloc_ns = 0;
  std::int64_t free_ns = -1;
  std::int64_t first_use_ns = -1;
  std::int64_t last_use_ns = -1;
  std::int64_t idle_ns = -1;  // longest time between two uses in a row
  bool operator==(const AliveRow&) const = default;
};

/// Everything alive right after `change`, largest first; at most `limit` rows.
[[nodiscard]] std::vector<AliveRow> alive_rows(const Run& run, std::int64_t change,
                                               std::size_t limit = SIZE_MAX);

struct RangeStatistics {
  ViewRange range;
  std::int64_t peak_bytes = 0;
  std::int64_t peak_change = -1;
  std::int64_t min_bytes = 0;
  double mean_bytes = 0;  // over the units of the axis
  std::int64_t alloc_count = 0;
  std::int64_t free_count = 0;
  std::int64_t allocated_bytes = 0;
  std::int64_t largest_bytes = 0;   // of one allocation
  std::int64_t survivor_count = 0;  // allocated in the range and alive at its end
  std::int64_t survivor_bytes = 0;
  bool operator==(const RangeStatistics&) const = default;
};

[[nodiscard]] RangeStatistics range_statistics(const Run& run, ViewRange range, Axis axis);

/// "block0.attention", "-" when there is no layer.
[[nodiscard]] std::string layer_name(const Trace& trace, LayerId layer);
[[nodiscard]] std::string phase_name(const Trace& trace, OpId op);
[[nodiscard]] std::string op_name(const Trace& trace, OpId op);

}  // namespace tidemark
