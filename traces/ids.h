// Typed indices into the tables of a Trace. A LayerId does not compile as a BufferId.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace tidemark {

/// Row number in one table of a Trace; negative means "none".
template <class Tag>
struct Id {
  std::int32_t value = -1;

  constexpr Id() = default;
  constexpr explicit Id(std::size_t row) : value(static_cast<std::int32_t>(row)) {}

  [[nodiscard]] constexpr bool valid() const { return value >= 0; }
  [[nodiscard]] constexpr std::size_t index() const { return static_cast<std::size_t>(value); }
  friend constexpr auto operator<=>(Id, Id) = default;
};

using LayerId = Id<struct LayerTag>;
using StreamId = Id<struct StreamTag>;
using GroupId = Id<struct GroupTag>;
using BufferId = Id<struct BufferTag>;
using OpId = Id<struct OpTag>;
using DecisionId = Id<struct DecisionTag>;

}  // namespace tidemark
