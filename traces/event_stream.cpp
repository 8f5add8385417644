#include "traces/event_stream.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "traces/binary.h"
#include "traces/blocks.h"
#include "traces/columns.h"
#include "traces/validate.h"

namespace tidemark {

template <>
struct Fields<BriefEvent> {
  using Row = BriefEvent;
  template <class Visit>
  static constexpr void each(Visit&& visit) {
    visit("kind", &Row::kind);
    visit("time_ns", &Row::time_ns);
    visit("index", &Row::index);
    visit("size_bytes", &Row::size_bytes);
  }
};

namespace {

/// The part of index_fault() that is about events.
class SafeEvents {
 public:
  explicit SafeEvents(const Trace& trace)
      : buffer_count_(trace.buffers.size()), op_count_(trace.ops.size()) {}

  [[nodiscard]] bool holds(const BriefEvent& event) {
    const bool in_time = event.time_ns >= last_ns_ && event.time_ns <= std::int64_t{1} << 62;
    last_ns_ = event.time_ns;
    return in_time && holds_by_kind(event);
  }

 private:
  bool holds_by_kind(const BriefEvent& event) {
    const auto row = static_cast<std::size_t>(event.index);
    switch (event.kind) {
      case EventKind::alloc:
      case EventKind::free:
      case EventKind::free_requested:
        return event.index >= 0 && row < buffer_count_;
      case EventKind::op_begin:
      case EventKind::op_end:
        return event.index >= 0 && row < op_count_;
      case EventKind::step_begin:
      case EventKind::step_end: {
        const bool begins = event.kind == EventKind::step_begin;
        return std::exchange(in_step_, begins) != begins;
      }
      default:
        return true;
    }
  }

  std::size_t buffer_count_;
  std::size_t op_count_;
  std::int64_t last_ns_ = 0;
  bool in_step_ = false;
};

template <class Visit>
void each_block(std::string_view bytes, Visit visit) {
  Block block;
  for (std::size_t at = k_file_header_size; find_block(bytes, at, block); at = block.end()) {
    visit(block);
  }
}

bool stream_events(std::string_view bytes, const Trace& trace, const EventReceiver& receiver) {
  SafeEvents safe(trace);
  std::vector<BriefEvent> rows;
  bool good = true;
  each_block(bytes, [&](const Block& block) {
    if (!good || block.type != "events") return;
    const std::string payload = payload_of(bytes, block);
    ColumnReader reader(payload);
    rows.assign(block.rows, BriefEvent{});
    reader.all(std::span<BriefEvent>(rows));
    reader.finish();
    for (const BriefEvent& event : rows) good = good && safe.holds(event);
    if (good) receiver.take(rows);
  });
  return good;
}

}  // namespace

bool stream_trace(std::string_view bytes, Trace& trace, const EventReceiver& receiver) {
  if (!bytes.starts_with(k_magic)) return false;
  try {
    trace = from_binary(bytes, Events::skip);
    const Health& health = trace.health;
    const bool whole = health.complete && health.damaged_blocks == 0 && health.truncated_bytes == 0;
    if (!whole || !index_fault(trace).empty()) return false;
    std::uint64_t count = 0;
    each_block(bytes, [&count, &bytes](const Block& block) {
      if (block.type == "events") count += std::min<std::uint64_t>(block.rows, bytes.size());
    });
    receiver.begin(static_cast<std::int64_t>(count));
    return stream_events(bytes, trace, receiver);
  } catch (const std::exception&) {  // InputError, or no memory for what a header claims
    return false;
  }
}

std::uint64_t fingerprint_of(std::string_view bytes) {
  if (!bytes.starts_with(k_magic)) return 0;
  // FNV-1a, 64 bit (Fowler, Noll, Vo).
  std::uint64_t hash = 14695981039346656037ULL;
  const auto mix = [&hash](std::string_view part) {
    for (const char c : part) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211ULL;
  };
  mix(bytes.substr(0, k_file_header_size));
  each_block(bytes, [&](const Block& block) {
    mix(bytes.substr(block.begin - k_block_header_size, k_block_header_size));
  });
  return hash;
}

}  // namespace tidemark
