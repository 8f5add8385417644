// Static addresses: an offset for every owning buffer of a program, per space.
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace tidemark {

/// Gives every owning buffer of `space` an offset so that buffers that live at the same time do not
/// overlap, init and final included, and returns the height: the bytes an arena must have.
/// Best fit in the order of time, then the best of several greedy orders. Stops as soon as the
/// height is at most `enough_bytes`, and early when that is out of reach or the program is large;
/// 0 = as low as it gets.
std::int64_t place(Trace& trace, Space space = {}, std::int64_t enough_bytes = 0);

/// Places every space of the trace; returns the height on the device of the trace's rank.
/// `enough_bytes` is for the device; with it, host spaces take the first placement found.
std::int64_t place_all(Trace& trace, std::int64_t enough_bytes = 0);

/// Highest end of any placed buffer in `space`; 0 when there is none.
[[nodiscard]] std::int64_t placement_height(const Trace& trace, Space space = {});

/// The most bytes that live at once in `space`, init and final included: no placement is lower.
[[nodiscard]] std::int64_t placement_bound(const Trace& trace, Space space = {});

}  // namespace tidemark
