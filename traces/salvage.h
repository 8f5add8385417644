// What is left of a damaged trace, made safe to walk.
#pragma once

#include "traces/trace.h"

namespace tidemark {

/// For a trace of which tables or rows were lost: drops what names a missing row, so that the rest
/// passes index_fault(). A missing layer, group or decision becomes "none"; a view whose storage is
/// lost counts for nothing; ops are cut at the first that names a missing buffer or stream; a
/// program that names a missing row is dropped (the trace is of level 1 then); events are cut at
/// the first that names a missing row, and counted in Health::dropped_events. A trace without
/// dangling ids is left as it is.
void salvage(Trace& trace);

}  // namespace tidemark
