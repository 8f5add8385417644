#include "sim/export_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/replay_events.h"

namespace tidemark {

std::vector<Event> events_of(const Trace& trace) {
  return trace.events.empty() ? replay_events(trace) : trace.events;
}

LiveBytes::LiveBytes(const Trace& trace) : trace_(trace), live_(trace.buffers.size(), 0) {
  for (const Buffer& b : trace.buffers) {
    bytes_.try_emplace(b.space);
    totals_.try_emplace(b.space);
  }
}

bool LiveBytes::apply(const Event& event) {
  const bool is_alloc = event.kind == EventKind::alloc;
  if (!is_alloc && event.kind != EventKind::free) return false;
  const auto row = static_cast<std::size_t>(event.index);
  const Buffer& buffer = trace_.buffers[row];
  const std::int64_t bytes = counted_bytes(buffer);
  if (bytes == 0 || (live_[row] != 0) == is_alloc) return false;
  live_[row] = is_alloc ? 1 : 0;
  const std::int64_t delta = is_alloc ? bytes : -bytes;
  bytes_.at(buffer.space)[static_cast<std::size_t>(buffer.category)] += delta;
  totals_.at(buffer.space) += delta;
  return true;
}

std::vector<Space> LiveBytes::spaces() const {
  std::vector<Space> out;
  for (const auto& [space, bytes] : bytes_) out.push_back(space);
  return out;
}

std::vector<Category> categories_of(const Trace& trace) {
  std::array<bool, k_category_count> seen{};
  for (const Buffer& b : trace.buffers) seen[static_cast<std::size_t>(b.category)] = true;
  std::vector<Category> out;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (seen[i]) out.push_back(static_cast<Category>(i));
  }
  return out;
}

std::string space_name(Space space) {
  return fmt::format("{} {}", to_string(space.kind), space.rank);
}

std::string layer_path(const Trace& trace, LayerId layer) {
  return layer.valid() ? trace[layer].name : std::string();
}

}  // namespace tidemark
