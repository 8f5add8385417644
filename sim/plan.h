// A plan: decisions about buffers of a source trace. Its text form round-trips.
#pragma once

#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// One line per decision, '#' starts a comment, names as in the trace:
///   recompute block0.gelu.y until block0.proj.backward_weight
///   offload block0.attention.probabilities until block0.attention.backward release OP fetch OP
/// A name that is not unique in the trace is written as #ID.
[[nodiscard]] std::string print_plan(const Trace& source, const std::vector<Decision>& decisions);

/// Throws InputError with the line when a name is unknown or a decision cannot apply.
[[nodiscard]] std::vector<Decision> parse_plan(const Trace& source, const std::string& text,
                                               const std::string& file);

/// The planned trace: `source` with `decisions` carried out. A plan is a function from trace to
/// trace: original ops and buffers keep their rows, added ones are appended with origin, copy and
/// decision; the schedule, lifetimes and versions are made again; the placement is dropped.
/// Steps and digests of the source are carried as what is expected.
/// Throws InputError when a decision cannot apply (unknown rows, not recomputable, no such gap).
[[nodiscard]] Trace apply_plan(const Trace& source, const std::vector<Decision>& decisions);

}  // namespace tidemark
