// A trace as two tables for spreadsheets and scripts.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark {

/// One row for each allocation and free that changes what is live: time_ns, step (-1 outside),
/// event, buffer, layer, category, space, rank, requested_bytes (exact), counted_bytes (rounded up
/// to k_granule_bytes), address_bytes (-1 = not known), live_bytes of the space behind the event,
/// and of them the bytes of each category that the trace has.
[[nodiscard]] std::string events_csv(const Trace& trace);

/// One row for each space, peak (of the last step, of the run, of an evaluation where there was
/// one) and category, and one of category "total": time_ns, bytes.
[[nodiscard]] std::string peaks_csv(const Trace& trace);

}  // namespace tidemark
