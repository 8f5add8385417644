// Which buffers are live, and where in the file to look for them: what makes a trace seekable.
// FORMAT.md, section "Seeking", is the specification.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// A buffer that is live, as its alloc event told.
struct LiveBuffer {
  BufferId buffer;
  std::int64_t address_bytes = -1;
  std::int64_t size_bytes = 0;
  std::int64_t since_ns = 0;
  bool operator==(const LiveBuffer&) const = default;
};

/// Block `live`: what is live behind the first `first_event` events.
struct LiveSnapshot {
  std::int64_t first_event = 0;
  std::int64_t time_ns = 0;         // of the last of those events
  std::vector<LiveBuffer> buffers;  // ascending by buffer
  bool operator==(const LiveSnapshot&) const = default;
};

/// Row of block `index`: one block of the file.
struct IndexRow {
  std::string type;
  std::int64_t at = 0;  // offset of the block header
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // rows of this table in the blocks before
  std::int64_t begin_ns = 0;   // events: time of the first event; live: its time; else 0
  std::int64_t end_ns = 0;     // events: time of the last event; live: its time; else 0
  bool operator==(const IndexRow&) const = default;
};

/// Follows events in recording order.
class LiveSet {
 public:
  LiveSet() = default;
  explicit LiveSet(const LiveSnapshot& from);

  /// A second alloc of a live buffer replaces it; a free of what is not live changes nothing.
  void apply(const Event& event);
  [[nodiscard]] LiveSnapshot snapshot() const;
  [[nodiscard]] std::int64_t event_count() const { return event_count_; }

 private:
  std::unordered_map<std::int32_t, LiveBuffer> live_;
  std::int64_t event_count_ = 0;
  std::int64_t time_ns_ = 0;
};

}  // namespace tidemark
