// Small programs for tests: drawn in a line of text, or random.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// A program written as "NAME=OP:INPUTS*KIB@US" words, e.g.
///   "x=load a=gelu:x b=add:a,x d=gelu_backward:b,a update:d"
/// load: the batch; gelu, add, scale (x + weight) in forward; gelu_backward:dy,x and what follows
/// in backward; update:d changes the weight by d (the optimizer); loss:y adds y to a persistent
/// buffer `probe`, so that it is seen. Every value has
/// `value_bytes`; every op takes `US` microseconds, 10 when nothing is said.
[[nodiscard]] Trace tiny(const std::string& drawing, std::int64_t value_bytes = 1024);

/// A chain of `depth` ops forward and back again; every backward op needs what came into its op.
[[nodiscard]] std::string chain_drawing(int depth);

/// A level-2 program of about `ops` ops on values of several sizes, with residual edges, ops with
/// several outputs, accumulated gradients and weight updates in the middle of the body.
[[nodiscard]] Trace random_program(std::uint64_t seed, int ops);

/// Buffer and op by name; the name must be there.
[[nodiscard]] BufferId buffer_named(const Trace& trace, const std::string& name);
[[nodiscard]] OpId op_named(const Trace& trace, const std::string& name);

/// A random legal plan with up to `most` decisions (fewer where they do not apply).
[[nodiscard]] std::vector<Decision> random_plan(const Trace& source, std::uint64_t seed, int most);

/// Every subset of the recompute decisions (buffer, op) that can apply to a tiny program, as far as
/// it is legal; at most 2^16 subsets.
[[nodiscard]] std::vector<std::vector<Decision>> all_recompute_plans(const Trace& source);

}  // namespace tidemark
