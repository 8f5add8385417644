// Texts about one instant, one range and one buffer, as small HTML pages for the tabs below the
// timeline. Names from the trace are escaped.
#pragma once

#include <string>
#include <vector>

#include "gui/view_state.h"

namespace tidemark {

/// Bytes of one group here and in another run at the same point of the program.
struct DifferenceRow {
  std::string name;
  std::int64_t here_bytes = 0;
  std::int64_t there_bytes = 0;
  [[nodiscard]] std::int64_t change_bytes() const { return there_bytes - here_bytes; }
  bool operator==(const DifferenceRow&) const = default;
};

struct Difference {
  std::vector<DifferenceRow> categories;  // bands that hold anything on either side
  std::vector<DifferenceRow> buffers;     // by name, largest change first, at most 50
  std::int64_t here_bytes = 0;
  std::int64_t there_bytes = 0;
  bool operator==(const Difference&) const = default;
};

/// Nothing where `other` has no such point. Buffers with the same name count together.
[[nodiscard]] std::optional<Difference> difference_at(const ViewState& state, const Overlay& other,
                                                      const Instant& instant);

[[nodiscard]] std::string difference_html(const ViewState& state, const Instant& instant);

/// Who made the buffer, who uses it, how long it lies idle, and what could take it away meanwhile:
/// recomputing it (the ops that make it, and their time) or moving it to the host (the rate that a
/// link needs to bring it there and back within the idle time).
[[nodiscard]] std::string why_alive_html(const Run& run, const AliveRow& row, std::int64_t zero_ns);

/// Peak, mean, least, what comes and goes, bytes x time by group, and what is allocated in the
/// range and still alive at its end.
[[nodiscard]] std::string range_html(const ViewState& state, ViewRange range);

/// Free and used parts of the allocator's or the arena's memory at an instant, where addresses are
/// known (placed buffers): from address 0 to the highest end of any buffer alive.
struct AddressPart {
  std::int64_t begin_bytes = 0;
  std::int64_t end_bytes = 0;
  BufferId buffer;  // not valid: free
  bool operator==(const AddressPart&) const = default;
};
[[nodiscard]] std::vector<AddressPart> address_parts(const Run& run, std::int64_t change);

}  // namespace tidemark
