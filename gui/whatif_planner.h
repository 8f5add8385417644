// Answers of the what-if panel for one recorded run: first at once, then as good as `tidemark
// plan`. No widget and no thread of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gui/run.h"
#include "gui/whatif.h"
#include "sim/quick_plan.h"
#include "sim/search.h"

namespace tidemark {

/// One evaluated plan. Figures of time and bytes are those of its planned trace.
struct WhatIfResult {
  WhatIf asked;
  RunConfig config;  // that was planned
  std::optional<Spread> spread{};
  RankTraces ranks;      // all of them, without the plan; null unless it is spread
  RunPtr planned;        // to lay over the recording: of the first rank; never null
  bool fits = false;     // in the budget: its placement, or what the allocator reserves
  bool refined = false;  // found by the search of `tidemark plan`; else by one walk
  bool reproducible = true;
  std::int64_t recorded_peak_bytes = 0;
  std::int64_t recorded_step_ns = 0;  // one step with everything kept, as recorded
  std::int64_t reserved_bytes = -1;   // by the allocator; -1 = fixed addresses
  std::int64_t host_peak_bytes = 0;
  std::int64_t copied_bytes = 0;     // between device and host, per step
  Infeasible bound;                  // no plan fits below
  std::int64_t bound_step_ns = -1;   // no plan in this budget is faster; -1 = not known (yet)
  std::vector<std::string> changes;  // of the configuration
  std::string timing;                // where step_ns comes from
  std::vector<LayerRow> layers;

  [[nodiscard]] const PlanRecord& plan() const { return planned->trace().plan; }
  /// What the budget is compared with.
  [[nodiscard]] std::int64_t needed_bytes() const {
    return reserved_bytes >= 0 ? reserved_bytes : plan().height_bytes;
  }
  [[nodiscard]] double samples_per_s() const;
};
using WhatIfResultPtr = std::shared_ptr<const WhatIfResult>;

struct WhatIfProgress {
  std::int64_t done = 0;   // plans tried
  std::int64_t total = 0;  // 0 = not known
  SearchProgress search{};
};
/// Called between plans; false = stop with the best so far.
using KeepGoing = std::function<bool(const WhatIfProgress&)>;

class WhatIfPlanner {
 public:
  /// Throws InputError that says why nothing can be planned from `base`: memory events only (below
  /// level 2), or a plan whose source cannot be built again.
  explicit WhatIfPlanner(RunPtr base);

  [[nodiscard]] const RunConfig& recorded_config() const { return recorded_; }
  /// The trace carries its configuration: batch, precision, optimizer and device may be changed.
  [[nodiscard]] bool can_change() const { return can_change_; }
  /// Height of the lowest plan that is thinkable and of the program with everything kept.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> budget_range();

  /// The variant that was the best at the last choose(), by few walks.
  [[nodiscard]] WhatIfResultPtr quick(const WhatIf& what_if);
  /// The best of all variants that the controls allow: what fits; of that what learns as recorded;
  /// of that the most samples per second. When nothing fits, the lowest. Null when stopped.
  [[nodiscard]] WhatIfResultPtr choose(const WhatIf& what_if, const KeepGoing& going);
  /// The variant of the last choose(), searched as `tidemark plan` does with its defaults; with
  /// decided layers by all settings of the eviction. Never worse than quick(). Null when stopped
  /// before there was anything.
  [[nodiscard]] WhatIfResultPtr refine(const WhatIf& what_if, const KeepGoing& going);
  /// Plans for `count` budgets from the smallest possible to that of keeping everything, from the
  /// smallest on; none of them slower than one of a smaller budget.
  [[nodiscard]] std::vector<WhatIfResultPtr> front(const WhatIf& what_if, int count,
                                                   const KeepGoing& going);

 private:
  struct Prepared {
    Prepared(Variant of, RankTraces all_ranks, Trace source, const CopyLink& link)
        : variant(std::move(of)), ranks(std::move(all_ranks)), planner(std::move(source), link) {}
    Variant variant;
    RankTraces ranks;                                    // null unless it is spread
    QuickPlanner planner;                                // of the first rank
    std::map<std::pair<bool, bool>, Infeasible> bounds;  // by what is allowed
  };
  struct Answer {
    Trace planned{};
    Timeline timeline{};  // of `planned`; without changes: not known yet
    bool fits = false;
    bool refined = false;
    bool reproducible = true;
    std::int64_t bound_step_ns = -1;
    std::int64_t reserved_bytes = -1;
  };

  Prepared& prepared(const WhatIf& what_if, const Variant& variant);
  Prepared& current(const WhatIf& what_if);
  [[nodiscard]] WhatIfResultPtr walk(const WhatIf& what_if, Prepared& at);
  [[nodiscard]] WhatIfResultPtr result(const WhatIf& what_if, Prepared& at, Answer answer) const;
  [[nodiscard]] SearchRequest request_of(const WhatIf& what_if, const Prepared& at,
                                         const KeepGoing& going) const;
  [[nodiscard]] Answer search_all(const WhatIf& what_if, Prepared& at, const KeepGoing& going);
  [[nodiscard]] Answer search_open(const WhatIf& what_if, Prepared& at,
                                   const KeepGoing& going) const;
  [[nodiscard]] std::int64_t budget_of(const WhatIf& what_if, const Prepared& at) const;
  [[nodiscard]] std::int64_t reserved_by(const WhatIf& what_if, const Trace& planned) const;

  RunPtr base_;
  Trace source_;  // of the recorded run, without events
  RunConfig recorded_;
  bool can_change_ = false;
  std::int64_t recorded_step_ns_ = 0;
  std::map<std::string, std::unique_ptr<Prepared>> prepared_;
  Variant best_;  // of the last choose()
};

/// What each rank executes: `result.planned` alone, or the same plan on all that it is spread over.
[[nodiscard]] std::vector<Trace> planned_traces(const WhatIfResult& result);

/// Whether `a` is to be preferred over `b`, both for the same controls.
[[nodiscard]] bool is_better(const WhatIfResult& a, const WhatIfResult& b,
                             const RunConfig& recorded);

/// The model of allocator that the controls name; none for fixed addresses.
struct AllocatorChoice {
  AllocatorKind kind = AllocatorKind::static_plan;
  AllocatorConf conf;
};
[[nodiscard]] AllocatorChoice allocator_of(const WhatIf& what_if, const Trace& source);

}  // namespace tidemark
