// Index safety of a trace that came from outside.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// Empty when every id of `trace` is a row of its table (or "none" where that is allowed), parents
/// come before children, storages are not views themselves, views lie inside their storage, sizes
/// are not negative and small enough to be summed (2^56 each), and stream 0 computes. Else the
/// first fault: place, what was expected and what was found. A trace without a fault is safe to
/// walk.
[[nodiscard]] std::string index_fault(const Trace& trace);

}  // namespace tidemark
