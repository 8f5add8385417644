// Where the blocks of a recording lie, as a snapshot of PyTorch's allocator can say it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

struct LaidSegment {
  std::int64_t address = 0;
  std::int64_t size_bytes = 0;
  bool is_small = false;
  bool is_expandable = false;
};

/// A recorded row of a device, with its place.
struct LaidEvent {
  EventKind kind = EventKind::alloc;
  std::int64_t time_ns = 0;
  std::int32_t index = -1;      // buffer or step
  std::int64_t address = 0;     // alloc, free, free_requested, segment_*
  std::int64_t size_bytes = 0;  // alloc: set aside; segment_*, out_of_memory
  bool is_pending = false;      // free: requested earlier
};

/// Events of one device in order, and what is there at the end. Each alloc of a buffer is followed
/// by its free before the next one; blocks lie in segments and do not overlap.
struct SnapshotLayout {
  std::vector<LaidEvent> events;
  std::map<std::int64_t, LaidSegment> segments;                          // at the end, by address
  std::map<std::int64_t, std::pair<std::int32_t, std::int64_t>> blocks;  // buffer and bytes
};

/// Keeps addresses and segments as recorded where they are consistent, else lays the blocks anew
/// (to_snapshot). `events` are those of the trace or of its replay.
[[nodiscard]] SnapshotLayout lay_out(const Trace& trace, const std::vector<Event>& events,
                                     std::int32_t rank);

}  // namespace tidemark
