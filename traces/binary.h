// The block container of `.tmk` files. FORMAT.md is the specification.
#pragma once

#include <string>
#include <string_view>

#include "traces/trace.h"

namespace tidemark {

/// First bytes of every binary trace.
inline constexpr std::string_view k_magic{"\x89TMK\r\n\x1a\n", 8};
inline constexpr std::uint16_t k_major_version = 1;  // readers refuse another
inline constexpr std::uint16_t k_minor_version = 2;  // readers accept any
inline constexpr std::size_t k_events_per_block = 16384;

[[nodiscard]] std::string to_binary(const Trace& trace);

/// The same with at most `rows_per_block` rows in a block, 1 to k_events_per_block.
[[nodiscard]] std::string to_binary(const Trace& trace, std::size_t rows_per_block);

/// Whether from_binary() reads the events, or everything else.
enum class Events : bool { read, skip };

/// Damage is counted in the health of the result; InputError when nothing usable is left.
[[nodiscard]] Trace from_binary(std::string_view bytes, Events events = Events::read);

}  // namespace tidemark
