#include "profiler/cupti/reconcile.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/table.h"
#include "sim/timeline.h"
#include "sim/units.h"

namespace tidemark {
namespace {

/// Most bytes of segments at once; -1 when there are none.
std::int64_t reserved_peak_bytes(const Trace& trace) {
  std::int64_t now = 0;
  std::int64_t most = -1;
  for (const Event& event : trace.events) {
    const bool grows =
        event.kind == EventKind::segment_alloc || event.kind == EventKind::segment_map;
    const bool shrinks =
        event.kind == EventKind::segment_free || event.kind == EventKind::segment_unmap;
    if (grows) now += event.size_bytes;
    if (shrinks) now -= event.size_bytes;
    most = std::max(most, grows ? now : most);
  }
  return most;
}

}  // namespace

std::vector<Reconciliation> reconcile(const Trace& trace) {
  std::vector<Reconciliation> out;
  for (const ArenaRecord& arena : trace.arenas) {
    if (arena.space.kind != SpaceKind::device) continue;
    const Peak peak = recorded_timeline(trace, arena.space).run_peak;
    const auto held = [&peak](Category category) {
      return peak.by_category[static_cast<std::size_t>(category)];
    };
    Reconciliation r{.device = arena.space.rank,
                     .time_ns = peak.time_ns,
                     .allocator_bytes = reserved_peak_bytes(trace),
                     .pool_slack_bytes = held(Category::allocator_slack),
                     .profiler_bytes = held(Category::profiler),
                     .used_bytes = arena.high_water_bytes,
                     .total_bytes = arena.capacity_bytes};
    r.device_bytes = peak.bytes - r.pool_slack_bytes - r.profiler_bytes - held(Category::framework);
    out.push_back(r);
  }
  return out;
}

std::string reconciliation_text(std::span<const Reconciliation> rows) {
  std::string out;
  for (const Reconciliation& r : rows) {
    out += fmt::format("device {}, {} of memory, when most was in use:\n", r.device,
                       format_bytes(r.total_bytes));
    Table table({"", ">bytes", ">share"});
    const auto add = [&](const char* name, std::int64_t bytes) {
      const double share =
          r.used_bytes > 0 ? 100.0 * static_cast<double>(bytes) / static_cast<double>(r.used_bytes)
                           : 0.0;
      table.add({name, format_bytes(bytes), fmt::format("{:.1f} %", share)});
    };
    if (r.allocator_bytes >= 0) {
      add("allocator of the program", r.allocator_bytes);
      add("libraries beside it", r.outside_bytes());
    } else {
      add("allocations", r.device_bytes);
    }
    add("slack of memory pools", r.pool_slack_bytes);
    add("profiler", r.profiler_bytes);
    add("residual: context, modules, other processes", r.residual_bytes());
    add("in use (cuMemGetInfo)", r.used_bytes);
    out += table.text();
  }
  return out;
}

}  // namespace tidemark
