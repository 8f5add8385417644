// From a budget to the cheapest plan that fits, with its bound and its reasons.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

struct SearchProgress {
  std::int64_t tried = 0;
  std::int64_t best_step_ns = -1;   // -1 = none yet
  std::int64_t bound_step_ns = -1;  // no plan is faster; -1 = no plan is possible
};

struct SearchRequest {
  std::int64_t budget_bytes = 0;  // of the device arena: the placement must fit
  bool allow_recompute = true;
  bool allow_offload = true;
  std::string method = "auto";  // see search_methods()
  /// Walks and plans tried at most by each way of searching; 0 = as many as suit the size of the
  /// body. The result is a function of this and seed.
  std::int64_t nodes = 0;
  std::int64_t seed = 1;
  double link_bytes_per_s = 0;  // host link per direction; 0 = offload not possible
  std::int64_t link_latency_ns = 0;
  double time_limit_s = 0;  // 0 = none; a result cut by the clock is marked not reproducible
  /// Called between plans; return false to stop with the best plan so far.
  std::function<bool(const SearchProgress&)> progress;
};

/// Why nothing fits, in one value: no plan of this program needs less than bound_bytes, because
/// while `binding_op` runs all of `binding_buffers` must be on the device.
struct Infeasible {
  std::int64_t bound_bytes = 0;           // proven: nothing below fits
  std::int64_t smallest_found_bytes = 0;  // a plan of this height was found
  OpId binding_op;
  std::vector<BufferId> binding_buffers;  // largest first
};

struct SearchResult {
  std::int64_t budget_bytes = 0;  // that was asked for
  bool feasible = false;
  bool proven_infeasible = false;  // budget_bytes < infeasible.bound_bytes
  bool reproducible = true;
  bool out_of_time = false;  // no plan was found in time: whether one fits is not known
  std::string method;  // the one that found the plan; under auto the winner, else as requested
  Trace planned;       // placed, with plan, decisions and reasons, when feasible
  Infeasible infeasible;
  std::int64_t tried = 0;
};

struct SearchMethod {
  std::string_view name;
  std::string_view about;  // one line with its source
};
[[nodiscard]] const std::vector<SearchMethod>& search_methods();

/// `source` is a level-2 trace with a duration on every op (measured or modelled).
/// Throws InputError for an unknown method or a trace below level 2.
[[nodiscard]] SearchResult search(const Trace& source, const SearchRequest& request);

/// Plans for `count` budgets from the smallest to the largest, never slower at a larger budget
/// (invariant 6): a plan of a smaller budget is passed upward when nothing better is found. On a
/// large body most budgets are searched by the way that was the best at the one before.
[[nodiscard]] std::vector<SearchResult> sweep(const Trace& source, const SearchRequest& request,
                                              std::int64_t from_bytes, std::int64_t to_bytes,
                                              int count);

}  // namespace tidemark
