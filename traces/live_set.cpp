#include "traces/live_set.h"

#include <algorithm>

namespace tidemark {

LiveSet::LiveSet(const LiveSnapshot& from)
    : event_count_(from.first_event), time_ns_(from.time_ns) {
  for (const LiveBuffer& b : from.buffers) live_.insert_or_assign(b.buffer.value, b);
}

void LiveSet::apply(const Event& event) {
  if (event.kind == EventKind::alloc) {
    LiveBuffer& b = live_[event.index];
    b.buffer.value = event.index;
    b.address_bytes = event.address_bytes;
    b.size_bytes = event.size_bytes;
    b.since_ns = event.time_ns;
  }
  if (event.kind == EventKind::free) live_.erase(event.index);
  ++event_count_;
  time_ns_ = event.time_ns;
}

LiveSnapshot LiveSet::snapshot() const {
  LiveSnapshot out{.first_event = event_count_, .time_ns = time_ns_, .buffers = {}};
  out.buffers.reserve(live_.size());
  for (const auto& [row, buffer] : live_) out.buffers.push_back(buffer);
  // Not in the order of a hash table: the same trace gives the same bytes.
  std::ranges::sort(out.buffers, {}, [](const LiveBuffer& b) { return b.buffer.value; });
  return out;
}

}  // namespace tidemark
