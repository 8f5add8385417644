#include "sim/breakdown.h"

#include <algorithm>
#include <map>

namespace tidemark {
namespace {

/// Phase in which each live buffer was allocated, by buffer row.
std::vector<Phase> allocation_phases(const Trace& trace, const Timeline& timeline,
                                     std::int64_t change) {
  std::vector<Phase> phases(trace.buffers.size(), Phase::other);
  for (std::int64_t i = 0; i <= change; ++i) {
    const MemoryChange& c = timeline.changes[static_cast<std::size_t>(i)];
    if (c.delta_bytes > 0 && c.op.valid()) phases[c.buffer.index()] = trace[c.op].phase;
  }
  return phases;
}

}  // namespace

std::vector<Holding> breakdown(const Trace& trace, const Timeline& timeline, std::int64_t change,
                               const std::vector<GroupBy>& by) {
  const std::vector<Phase> phases = allocation_phases(trace, timeline, change);
  const auto key_of = [&](BufferId id, GroupBy group) -> std::string {
    const Buffer& b = trace[id];
    switch (group) {
      case GroupBy::layer:
        return b.layer.valid() ? trace[b.layer].name : "(no layer)";
      case GroupBy::category:
        return std::string(to_string(b.category));
      case GroupBy::phase:
        return std::string(to_string(phases[id.index()]));
      case GroupBy::buffer:
        break;
    }
    return b.name;
  };
  std::map<std::vector<std::string>, Holding> groups;
  for (BufferId id : live_after(trace, timeline, change)) {
    std::vector<std::string> keys;
    for (GroupBy group : by) keys.push_back(key_of(id, group));
    Holding& holding = groups[keys];
    holding.keys = std::move(keys);
    holding.bytes += counted_bytes(trace[id]);
    ++holding.buffers;
  }
  std::vector<Holding> out;
  for (auto& [keys, holding] : groups) out.push_back(std::move(holding));
  std::stable_sort(out.begin(), out.end(),
                   [](const Holding& a, const Holding& b) { return a.bytes > b.bytes; });
  return out;
}

std::int64_t leaf_bytes(const Trace& trace, const Peak& peak) {
  std::vector<char> has_children(trace.layers.size(), 0);
  for (const Layer& layer : trace.layers) {
    if (layer.parent.valid()) has_children[layer.parent.index()] = 1;
  }
  std::int64_t bytes = 0;
  for (BufferId id : peak.owners) {
    const LayerId layer = trace[id].layer;
    if (layer.valid() && has_children[layer.index()] == 0) bytes += counted_bytes(trace[id]);
  }
  return bytes;
}

CacheFigures cache_figures(const Trace& trace) {
  CacheFigures f;
  for (const Buffer& b : trace.buffers) {
    if (b.category != Category::kv_cache || b.storage.valid() || b.copy != 0) continue;
    f.bytes += b.size_bytes;
    const bool has_tokens = b.shape.size() == 3 && b.shape[0] > 0 && b.shape[1] > 0;
    if (has_tokens) f.bytes_per_token += b.size_bytes / b.shape[0] / b.shape[1];
  }
  return f;
}

std::int64_t change_at(const Timeline& timeline, std::int64_t time_ns) {
  const auto after =
      std::ranges::upper_bound(timeline.changes, time_ns, {}, &MemoryChange::time_ns);
  return static_cast<std::int64_t>(after - timeline.changes.begin()) - 1;
}

}  // namespace tidemark
