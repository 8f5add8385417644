// What the stacked area is divided by: categories, layers, modules, phases, types or tensors. At
// most k_band_count groups, each with the colour of its place in the stack.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gui/bands.h"
#include "gui/lifetimes.h"
#include "gui/run_timeline.h"

namespace tidemark {

enum class StackBy : std::uint8_t { category, layer, module, phase, dtype, tensor };
inline constexpr std::size_t k_group_by_count = 6;

[[nodiscard]] std::string_view to_string(StackBy by);
/// Nothing for a name that is none of these.
[[nodiscard]] std::optional<StackBy> group_by_of(std::string_view name);

struct Grouping {
  StackBy by = StackBy::category;
  std::vector<std::string> names;       // of each place in the stack, from the bottom
  std::vector<std::uint8_t> of_buffer;  // place in the stack, by row of trace.buffers
  bool operator==(const Grouping&) const = default;
};

/// What each buffer belongs to, by one kind of group.
struct BufferKeys {
  std::vector<std::size_t> of_buffer;  // row of `names`, by row of trace.buffers
  std::vector<std::string> names;      // in the order of group_buffers(); some may have no buffer
};
[[nodiscard]] BufferKeys buffer_keys(const Trace& trace, const RunTimeline& timeline, StackBy by);

/// By category: the bands, in their order. Else in the order of the trace (layers: that of the
/// model); of more groups than places those with the most bytes x time of all their lives stay, and
/// the others are one group on top. A buffer belongs to the phase that allocates it first; a module
/// is the first part of a layer's path by which layers differ.
[[nodiscard]] Grouping group_buffers(const Trace& trace, const RunTimeline& timeline,
                                     const AliveIndex& alive, StackBy by);

}  // namespace tidemark
