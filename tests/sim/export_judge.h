// What an export must hold, by brute force: the bytes of each category behind every event, summed
// up anew each time. Shares no code with the exporters.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "traces/trace.h"

namespace tidemark::test {

struct Level {
  std::int64_t time_ns = 0;
  Space space;
  std::array<std::int64_t, k_category_count> bytes{};
  bool operator==(const Level&) const = default;
};

inline std::vector<Level> levels_of(const Trace& trace, const std::vector<Event>& events) {
  std::vector<Level> out;
  std::set<std::int32_t> live;
  for (const Event& e : events) {
    if (e.kind != EventKind::alloc && e.kind != EventKind::free) continue;
    const Buffer& changed = trace.buffers[static_cast<std::size_t>(e.index)];
    if (changed.storage.valid() || changed.size_bytes == 0) continue;
    const bool changes =
        e.kind == EventKind::alloc ? live.insert(e.index).second : live.erase(e.index) == 1;
    if (!changes) continue;
    Level level{e.time_ns, changed.space};
    for (const std::int32_t row : live) {
      const Buffer& b = trace.buffers[static_cast<std::size_t>(row)];
      if (b.space != changed.space) continue;
      level.bytes[static_cast<std::size_t>(b.category)] += (b.size_bytes + 255) / 256 * 256;
    }
    out.push_back(level);
  }
  return out;
}

/// Each of `devices` gets a buffer that lives from the first event on: an import then makes a trace
/// for each.
inline void begin_with_memory(Trace& trace, std::int32_t devices) {
  for (std::int32_t device = devices - 1; device >= 0; --device) {
    Buffer b;
    b.name = "first";
    b.space = {SpaceKind::device, device};
    b.size_bytes = 1000;
    trace.buffers.push_back(b);
    const auto row = static_cast<std::int32_t>(trace.buffers.size() - 1);
    trace.events.insert(trace.events.begin(), {EventKind::alloc, 0, row, -1, 1024});
  }
}

}  // namespace tidemark::test
