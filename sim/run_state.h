// What a trace is and what became of its run, in words that every front end shows.
#pragma once

#include <string>

#include "sim/timeline.h"
#include "traces/trace.h"

namespace tidemark {

/// Nothing was lost and the recording was closed in order.
[[nodiscard]] bool is_whole(const Health& health);

/// "complete", or "NOT COMPLETE: " and what was lost; counts of 0 are left out.
[[nodiscard]] std::string health_line(const Health& health);

/// The request that ended the run: an out-of-memory event after which nothing was allocated any
/// more. Null when the run did not end so.
[[nodiscard]] const Event* ending_shortage(const Trace& trace);

/// "ended OUT OF MEMORY: 1.00 MiB for 'x' did not fit"; empty when the run did not end so.
[[nodiscard]] std::string shortage_line(const Trace& trace);

/// True when a run of our trainer was cancelled: it was recorded in order, and did not end as its
/// program ends.
[[nodiscard]] bool was_cancelled(const Trace& trace);

/// One line: kind, level, where it ran, what was lost, and whether it ended out of memory or was
/// cancelled.
[[nodiscard]] std::string state_line(const Trace& trace);

/// What casts doubt on the figures of `trace`, one sentence without a full stop: damage, out of
/// memory, cancelled before the end of a step. Empty when there is nothing.
[[nodiscard]] std::string warning_line(const Trace& trace);

/// What the peak of `timeline` is the peak of: "of one steady step", "of the recording", "so far:
/// the run ended out of memory before a step was done" (or was cancelled); "not known" when nothing
/// was allocated.
[[nodiscard]] std::string peak_scope(const Trace& trace, const Timeline& timeline);

}  // namespace tidemark
