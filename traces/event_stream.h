// Reads a trace whose events are handed over block by block: they are most of a long recording, and
// not everybody needs all of each at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "traces/trace.h"

namespace tidemark {

/// What an event is about; the other fields of Event are not read.
struct BriefEvent {
  EventKind kind = EventKind::alloc;
  std::int64_t time_ns = 0;
  std::int32_t index = -1;
  std::int64_t size_bytes = 0;
  bool operator==(const BriefEvent&) const = default;
};

struct EventReceiver {
  std::function<void(std::int64_t event_count)> begin;    // once, when all other tables are there
  std::function<void(std::span<const BriefEvent>)> take;  // in recording order
};

/// Fills `trace` with all tables but the events. False, possibly after some calls, when `bytes` are
/// not a binary trace without damage that was closed in order and is safe to walk: read_trace()
/// says what is wrong, or saves what can be saved.
[[nodiscard]] bool stream_trace(std::string_view bytes, Trace& trace,
                                const EventReceiver& receiver);

/// A number that changes when any block of an uncompressed binary trace does: from all block
/// headers, each of which has a checksum of its block. 0 for anything else.
[[nodiscard]] std::uint64_t fingerprint_of(std::string_view bytes);

}  // namespace tidemark
