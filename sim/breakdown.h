// Who holds the bytes at an instant: layer x category x phase, in any grouping.
#pragma once

#include <string>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

/// One group of live buffers. `keys` are in the order that was asked for.
struct Holding {
  std::vector<std::string> keys;
  std::int64_t bytes = 0;
  std::int64_t buffers = 0;
  bool operator==(const Holding&) const = default;
};

enum class GroupBy : std::uint8_t { layer, category, phase, buffer };

template <>
struct EnumNames<GroupBy> {
  static constexpr std::string_view k_type = "grouping";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"layer", "category", "phase", "buffer"});
};

/// Groups of what is live right after changes[change], largest first. The bytes add up to the total
/// at that instant. The phase is the one of the op for which the buffer was allocated.
[[nodiscard]] std::vector<Holding> breakdown(const Trace& trace, const Timeline& timeline,
                                             std::int64_t change, const std::vector<GroupBy>& by);

/// Bytes at the peak that belong to a leaf layer (one without layers below it).
[[nodiscard]] std::int64_t leaf_bytes(const Trace& trace, const Peak& peak);

/// The keys and values that inference keeps: all, and those of one token of one sequence in all
/// layers. 0 when the trace has no such cache.
struct CacheFigures {
  std::int64_t bytes = 0;
  std::int64_t bytes_per_token = 0;
};
[[nodiscard]] CacheFigures cache_figures(const Trace& trace);

/// Index of the last change at or before `time_ns`; -1 when there is none.
[[nodiscard]] std::int64_t change_at(const Timeline& timeline, std::int64_t time_ns);

}  // namespace tidemark
