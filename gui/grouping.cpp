#include "gui/grouping.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace tidemark {
namespace {

constexpr std::array<std::string_view, k_group_by_count> k_names = {"category", "layer", "module",
                                                                    "phase",    "type",  "tensor"};

/// The first `depth` parts of a path.
std::string head_of(const std::string& path, int depth) {
  std::size_t end = 0;
  for (int part = 0; part < depth && end != std::string::npos; ++part) {
    end = path.find('.', part == 0 ? 0 : end + 1);
  }
  return path.substr(0, end);
}

/// BufferKeys in the order of their first buffer, for what a buffer's name of the group is.
template <class NameOf>
BufferKeys keys_by_name(const Trace& trace, NameOf name_of) {
  BufferKeys keys;
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t row = 0; row < trace.buffers.size(); ++row) {
    std::string name = name_of(row);
    const auto [found, fresh] = known.try_emplace(std::move(name), keys.names.size());
    if (fresh) keys.names.push_back(found->first);
    keys.of_buffer.push_back(found->second);
  }
  return keys;
}

BufferKeys keys_by_layer(const Trace& trace, int depth) {
  return keys_by_name(trace, [&trace, depth](std::size_t row) {
    const LayerId layer = trace.buffers[row].layer;
    if (!layer.valid()) return std::string("no layer");
    return depth == 0 ? trace[layer].name : head_of(trace[layer].name, depth);
  });
}

/// As deep as it takes to tell layers apart.
BufferKeys keys_by_module(const Trace& trace) {
  constexpr int k_deepest = 6;
  for (int depth = 1; depth < k_deepest; ++depth) {
    BufferKeys keys = keys_by_layer(trace, depth);
    const auto none = std::ranges::count(keys.names, "no layer");
    if (static_cast<std::ptrdiff_t>(keys.names.size()) - none > 1) return keys;
  }
  return keys_by_layer(trace, 0);
}

BufferKeys keys_by_phase(const Trace& trace, const ChangeColumns& changes) {
  std::vector<std::uint8_t> phase(trace.buffers.size(), static_cast<std::uint8_t>(Phase::other));
  std::vector<bool> seen(trace.buffers.size(), false);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const std::size_t row = changes.buffer_row(i);
    if (seen[row] || changes.is_free(i)) continue;
    seen[row] = true;
    const OpId op = changes.op(i);
    if (op.valid()) phase[row] = static_cast<std::uint8_t>(trace[op].phase);
  }
  BufferKeys keys;
  for (const std::string_view name : EnumNames<Phase>::k_names) keys.names.emplace_back(name);
  keys.of_buffer.assign(phase.begin(), phase.end());
  return keys;
}

BufferKeys keys_by_category(const Trace& trace) {
  BufferKeys keys;
  for (const std::string_view name : EnumNames<Category>::k_names) keys.names.emplace_back(name);
  for (const Buffer& buffer : trace.buffers) {
    keys.of_buffer.push_back(static_cast<std::size_t>(buffer.category));
  }
  return keys;
}

/// Bytes x time of all lives, by key.
std::vector<double> weights_of(const RunTimeline& timeline, const AliveIndex& alive,
                               const BufferKeys& keys) {
  std::vector<double> weights(keys.names.size(), 0);
  const std::int64_t end_ns = timeline.changes.empty() ? 0 : timeline.changes.back().time_ns;
  const std::int64_t count = alive.count();
  for (std::int64_t row = 0; row < count; ++row) {
    const Lifetime life = alive.lifetime(static_cast<std::size_t>(row));
    const std::int64_t from_ns =
        timeline.changes.time_ns(static_cast<std::size_t>(life.alloc_change));
    const std::int64_t to_ns =
        life.freed() ? timeline.changes.time_ns(static_cast<std::size_t>(life.free_change))
                     : end_ns;
    weights[keys.of_buffer[life.buffer.index()]] +=
        static_cast<double>(life.bytes) * static_cast<double>(to_ns - from_ns + 1);
  }
  return weights;
}

Grouping group_by_category(const Trace& trace) {
  Grouping grouping;
  for (std::size_t k = 0; k < k_band_count; ++k) {
    grouping.names.emplace_back(to_string(static_cast<Band>(k)));
  }
  grouping.of_buffer.reserve(trace.buffers.size());
  for (const Buffer& buffer : trace.buffers) {
    grouping.of_buffer.push_back(static_cast<std::uint8_t>(band_of(buffer.category)));
  }
  return grouping;
}

}  // namespace

std::string_view to_string(StackBy by) {
  return k_names[static_cast<std::size_t>(by)];
}

std::optional<StackBy> group_by_of(std::string_view name) {
  const auto found = std::ranges::find(k_names, name);
  if (found == k_names.end()) return std::nullopt;
  return static_cast<StackBy>(found - k_names.begin());
}

BufferKeys buffer_keys(const Trace& trace, const RunTimeline& timeline, StackBy by) {
  switch (by) {
    case StackBy::category:
      return keys_by_category(trace);
    case StackBy::layer:
      return keys_by_layer(trace, 0);
    case StackBy::module:
      return keys_by_module(trace);
    case StackBy::phase:
      return keys_by_phase(trace, timeline.changes);
    case StackBy::dtype:
      return keys_by_name(trace, [&trace](std::size_t row) {
        return std::string(to_string(trace.buffers[row].dtype));
      });
    default: {
      BufferKeys keys;
      keys.of_buffer.resize(trace.buffers.size());
      std::iota(keys.of_buffer.begin(), keys.of_buffer.end(), std::size_t{0});
      for (const Buffer& buffer : trace.buffers) keys.names.push_back(buffer.name);
      return keys;
    }
  }
}

Grouping group_buffers(const Trace& trace, const RunTimeline& timeline, const AliveIndex& alive,
                       StackBy by) {
  if (by == StackBy::category) return group_by_category(trace);
  const BufferKeys keys = buffer_keys(trace, timeline, by);
  const std::vector<double> weights = weights_of(timeline, alive, keys);
  std::vector<std::size_t> used;  // keys, in their order
  for (std::size_t key = 0; key < weights.size(); ++key) {
    if (weights[key] > 0) used.push_back(key);
  }
  std::vector<std::size_t> shown = used;
  if (shown.size() > k_band_count) {
    std::stable_sort(shown.begin(), shown.end(),
                     [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
    shown.resize(k_band_count - 1);
    std::sort(shown.begin(), shown.end());
  }
  Grouping grouping{.by = by, .names = {}, .of_buffer = {}};
  constexpr auto k_other = static_cast<std::uint8_t>(k_band_count - 1);
  std::vector<std::uint8_t> place(keys.names.size(), k_other);
  for (const std::size_t key : shown) {
    place[key] = static_cast<std::uint8_t>(grouping.names.size());
    grouping.names.push_back(keys.names[key]);
  }
  if (shown.size() < used.size()) {
    grouping.names.push_back(fmt::format("{} others", used.size() - shown.size()));
  }
  for (const std::size_t key : keys.of_buffer) grouping.of_buffer.push_back(place[key]);
  return grouping;
}

}  // namespace tidemark
