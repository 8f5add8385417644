#include "gui/alive_rows.h"

#include <algorithm>

namespace tidemark {

std::vector<AliveRow> alive_rows_without_uses(const Run& run, std::int64_t change,
                                              std::size_t limit) {
  std::vector<AliveRow> rows;
  const auto& changes = run.timeline().changes;
  for (const std::size_t index : run.alive().alive_after(change)) {
    if (rows.size() >= limit) break;
    const Lifetime lifetime = run.alive().lifetime(index);
    AliveRow row{.buffer = lifetime.buffer, .bytes = lifetime.bytes};
    row.alloc_ns = changes.time_ns(static_cast<std::size_t>(lifetime.alloc_change));
    if (lifetime.freed()) {
      row.free_ns = changes.time_ns(static_cast<std::size_t>(lifetime.free_change));
    }
    rows.push_back(row);
  }
  return rows;
}

void fill_uses(const Run& run, AliveRow& row) {
  const std::int64_t end_ns = row.free_ns < 0 ? run.whole(Axis::time).end : row.free_ns + 1;
  const auto& spans = run.timeline().spans;
  std::int64_t previous_end_ns = -1;
  for (const std::int32_t use : run.uses().uses(row.buffer, row.alloc_ns, end_ns)) {
    const OpSpan& span = spans[static_cast<std::size_t>(use)];
    if (row.first_use_ns < 0) row.first_use_ns = span.begin_ns;
    row.last_use_ns = span.begin_ns;
    if (previous_end_ns >= 0) {
      row.idle_ns = std::max(row.idle_ns, span.begin_ns - previous_end_ns);
    }
    previous_end_ns = std::max(previous_end_ns, span.end_ns);
  }
}

}  // namespace tidemark
