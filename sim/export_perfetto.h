// A trace for ui.perfetto.dev and its trace_processor.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// A perfetto.protos.Trace: for each memory a counter of bytes for each category and one of all of
/// them, a track of slices for each stream (ops, with layer and phase) and for steps, and one of
/// instants for allocations and frees, joined by flows, with bytes, category and layer. Times are
/// nanoseconds. Counters are named "device 0 weight", "device 0 all". Same losses as to_chrome().
[[nodiscard]] std::string to_perfetto(const Trace& trace);

}  // namespace tidemark
