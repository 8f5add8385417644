// A plan: decisions about buffers of a source trace. Its text form round-trips.
#pragma once

#include <string>
#include <vector>

#include "sim/graph.h"
#include "traces/trace.h"

namespace tidemark {

/// One line per decision, '#' starts a comment, names as in the trace:
///   recompute block0.gelu.y until block0.proj.backward_weight   # reason
///   offload block0.attention.probabilities until block0.attention.backward release OP fetch OP
/// A name that is not unique in the trace, or that the text form cannot carry, is written as #ID.
[[nodiscard]] std::string print_plan(const Trace& source, const std::vector<Decision>& decisions);

/// The decisions of a text, legal for `source`; reasons are read back from the comments.
/// "release OP" and "fetch OP" may be left out: as soon as possible, at the last moment.
/// Throws InputError with the line when a name is unknown or a decision cannot apply.
[[nodiscard]] std::vector<Decision> parse_plan(const Trace& source, const std::string& text,
                                               const std::string& file);

/// The planned trace: `source` with `decisions` carried out. A plan is a function from trace to
/// trace: original ops and buffers keep their rows, added ones are appended with origin, copy and
/// decision; the schedule, lifetimes and versions are made again; the placement is dropped.
/// Steps and digests of the source are carried as what is expected.
///
/// A buffer is needed by op o when it is an operand of o or an input of a producer that is executed
/// again for o. Each decision names a gap between two such needs by its end. Another output of a
/// producer that is executed again for o may be named as well, and a value that is needed later may
/// be made again before o although nobody needs it there: it is kept from there on.
/// Throws InputError when a decision cannot apply (unknown rows, not recomputable, no such gap).
[[nodiscard]] Trace apply_plan(const Trace& source, const std::vector<Decision>& decisions);

/// The same when the dataflow of the source is at hand.
[[nodiscard]] Trace apply_plan(const Trace& source, const Dataflow& flow,
                               const std::vector<Decision>& decisions);

}  // namespace tidemark
