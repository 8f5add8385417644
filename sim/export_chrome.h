// A trace as Chrome trace events, which chrome://tracing, ui.perfetto.dev and `tidemark import`
// read.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// One JSON object with "traceEvents" (Google, "Trace Event Format"). Memory is written as
/// PyTorch's profiler writes it, instants "[memory]" with the new totals, and again as counters of
/// bytes by category; ops are slices on the track of their stream, steps are slices
/// "ProfilerStep#N". Times are microseconds with three decimals, so that no nanosecond is lost;
/// what happens at one time stands in the order in which it happened. Arguments that PyTorch does
/// not write ("Category", "Buffer Id", ...) keep what a trace knows: an import finds the same
/// totals by category. Left out: operands, the program, plans, views, frees that wait for a stream.
[[nodiscard]] std::string to_chrome(const Trace& trace);

}  // namespace tidemark
