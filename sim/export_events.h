// What every exporter walks: the events of a trace and the bytes that are live after each.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/timeline.h"

namespace tidemark {

/// The recording; of a trace that never ran, the replay of one step of its program.
[[nodiscard]] std::vector<Event> events_of(const Trace& trace);

/// Live bytes by category in each space while events pass by. Counts as a Timeline does: bytes are
/// counted_bytes(); a second alloc of a live buffer and a free of what is not live change nothing.
class LiveBytes {
 public:
  explicit LiveBytes(const Trace& trace);

  /// True when the event changed what is live.
  bool apply(const Event& event);

  [[nodiscard]] const CategoryBytes& in(Space space) const { return bytes_.at(space); }
  [[nodiscard]] std::int64_t total(Space space) const { return totals_.at(space); }
  /// Every space that a buffer lies in, ascending.
  [[nodiscard]] std::vector<Space> spaces() const;

 private:
  const Trace& trace_;
  std::vector<char> live_;  // by buffer
  std::map<Space, CategoryBytes> bytes_;
  std::map<Space, std::int64_t> totals_;
};

/// Categories that some buffer has, in the order of the enumeration.
[[nodiscard]] std::vector<Category> categories_of(const Trace& trace);

/// "device 0", "host_pinned 0".
[[nodiscard]] std::string space_name(Space space);

/// The path of a layer; empty when there is none.
[[nodiscard]] std::string layer_path(const Trace& trace, LayerId layer);

}  // namespace tidemark
