// Index safety of a trace that came from outside.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// Empty when every id of `trace` is a row of its table (or "none" where that is allowed), parents
/// come before children, storages are not views themselves, views lie inside their storage, sizes
/// and times are not negative and small enough to be summed (2^56 each, 2^62 in all), steps do
/// not overlap, ranks ascend, and stream 0 of at most 64 computes. Else the first fault: place,
/// what was expected and what was found. A trace without a fault is safe to walk.
[[nodiscard]] std::string index_fault(const Trace& trace);

}  // namespace tidemark
