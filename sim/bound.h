// Lower bounds that hold for every plan of a program.
#pragma once

#include <cstdint>

#include "sim/graph.h"
#include "sim/search.h"

namespace tidemark {

/// No plan fits in less: the largest, over the ops of the body, of what cannot be elsewhere while
/// the op runs (its operands, and buffers that no decision can remove), and what lives at once in
/// init and final, which no decision changes. Holds for every method and every link.
[[nodiscard]] Infeasible budget_bound(const Trace& source);

/// The same for the kinds of decisions that `request` allows; not below the other.
[[nodiscard]] Infeasible budget_bound(const Trace& source, const SearchRequest& request);

/// The same when the dataflow of the source is at hand.
[[nodiscard]] Infeasible budget_bound(const Trace& source, const Dataflow& flow,
                                      const SearchRequest& request);

/// No plan within `budget_bytes` has a shorter step. Covering bound: at each op the live bytes
/// above the budget must be covered by values that are not kept; each costs at least one more
/// execution of its producer, or, when offload is allowed, its transfer beyond what the links can
/// carry in a step; optimizer state that waits on the host comes back over them once. -1 when
/// no plan within the budget exists.
[[nodiscard]] std::int64_t step_bound_ns(const Trace& source, const SearchRequest& request);

/// The same when the dataflow of the source is at hand.
[[nodiscard]] std::int64_t step_bound_ns(const Trace& source, const Dataflow& flow,
                                         const SearchRequest& request);

/// The same by recomputation alone, for the dataflow of a plain graph.
[[nodiscard]] std::int64_t step_bound_ns(const Dataflow& flow, std::int64_t budget_bytes);

}  // namespace tidemark
