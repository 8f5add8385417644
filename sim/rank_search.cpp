#include "sim/rank_search.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "sim/bound.h"
#include "sim/device.h"
#include "sim/meeting_times.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/shard_source.h"
#include "sim/timeline.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// CPU time that a thread needs to meet others, beside the sleep, what it does with their data and
/// what any op takes: collectives of 64 numbers on 2 and 4 threads took 1.3 us in all.
constexpr std::int64_t k_meeting_ns = 800;

std::vector<Trace> timed(std::vector<Trace> ranks, const Trace& source) {
  const Device device = as_measured(find_device("laptop-core"), source);
  for (Trace& rank : ranks) {
    fill_modelled_times(device, rank);
    for (Op& op : rank.ops) {
      if (is_meeting(op)) op.duration_ns += k_meeting_ns;
    }
  }
  return ranks;
}

/// Whether ranks of the layout are busy for unequal times, and so wait for each other.
bool has_waiting(const RankLayout& layout) {
  return layout.sizes.pipeline > 1 || layout.sizes.context > 1;
}

/// The step of ranks with times.
std::int64_t step_of(std::vector<Trace>& ranks, const RankLayout& layout) {
  if (has_waiting(layout)) return add_waiting(ranks);
  return replay(ranks.front(), {SpaceKind::device, ranks.front().meta.rank}).step_ns;
}

/// The row of the first of all ranks that are alike but for their place.
std::size_t first_like(const std::vector<Trace>& ranks, std::size_t rank,
                       const RankLayout& layout) {
  const std::size_t each = ranks.size() / static_cast<std::size_t>(layout.sizes.pipeline);
  return rank / each * each;
}

/// Rows, lifetimes and sizes are alike, so the placement of the first fits the other.
void place_like(const Trace& first, Trace& rank) {
  for (std::size_t row = 0; row < first.buffers.size(); ++row) {
    rank.buffers[row].offset_bytes = first.buffers[row].offset_bytes;
  }
  rank.plan = first.plan;
}

std::vector<Trace> placed(std::vector<Trace> ranks, const RankLayout& layout,
                          const std::string& method) {
  const std::int64_t step_ns = step_of(ranks, layout);
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    Trace& rank = ranks[i];
    if (const std::size_t first = first_like(ranks, i, layout); first != i) {
      place_like(ranks[first], rank);
      continue;
    }
    const std::int64_t height_bytes = place_all(rank);
    rank.plan = {.method = method,
                 .height_bytes = height_bytes,
                 .peak_bytes = replay(rank, {SpaceKind::device, rank.meta.rank}).peak.bytes,
                 .step_ns = step_ns,
                 .keep_all_step_ns = step_ns};
  }
  return ranks;
}

/// One layout on its way through the search.
class LayoutSearch {
 public:
  LayoutSearch(const Trace& source, const RankLayout& layout)
      : firsts_(timed(shard_layout_first(source, layout), source)) {
    plan_.layout = layout;
    std::vector<Trace> copy = firsts_;
    plan_.bound_step_ns = step_of(copy, layout);
  }

  [[nodiscard]] const LayoutPlan& plan() const { return plan_; }

  /// Plans of all ranks at once, then by one kind of decision: what is the best for each rank alone
  /// need not be so for ranks that wait for each other.
  void search(const SearchRequest& request) {
    plan_.searched = true;
    for (const Trace& first : firsts_) {
      plan_.bound_bytes = std::max(plan_.bound_bytes, budget_bound(first, request).bound_bytes);
    }
    if (plan_.bound_bytes > request.budget_bytes) return;
    try_kinds(request);
    const Layout& sizes = plan_.layout.sizes;
    const bool keeps_states =
        sizes.data * sizes.context == 1 || plan_.layout.states == ShardStage::data;
    const bool may_gain = !plan_.feasible || plan_.step_ns > plan_.bound_step_ns;
    const bool has_both = request.allow_recompute && request.allow_offload;
    if (!may_gain || !has_both || (!keeps_states && sizes.pipeline == 1)) return;
    for (const bool recompute : {true, false}) {
      SearchRequest alone = request;
      alone.allow_recompute = recompute;
      alone.allow_offload = !recompute;
      try_kinds(alone);
    }
  }

  /// All ranks with the decisions that were found.
  [[nodiscard]] std::vector<Trace> planned(const Trace& source) const {
    std::vector<Trace> out = timed(shard_layout(source, plan_.layout), source);
    const std::size_t each = out.size() / planned_.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const Trace& first = planned_[i / each];
      out[i].streams = first.streams;  // with the host link
      out[i] = apply_plan(out[i], first.decisions);
      place_like(first, out[i]);
    }
    if (!has_waiting(plan_.layout)) return out;
    add_waiting(out);
    for (Trace& rank : out) {
      rank.plan.step_ns = plan_.step_ns;
      rank.plan.keep_all_step_ns = rank.plan.bound_step_ns = plan_.bound_step_ns;
    }
    return out;
  }

 private:
  void try_kinds(const SearchRequest& request) {
    std::vector<Trace> found;
    for (const Trace& first : firsts_) {
      SearchResult one = tidemark::search(first, request);
      if (!one.feasible) return give_up(one.infeasible.smallest_found_bytes);
      found.push_back(std::move(one.planned));
    }
    std::vector<Trace> copy = found;
    const std::int64_t step_ns = step_of(copy, plan_.layout);
    if (plan_.feasible && step_ns >= plan_.step_ns) return;
    plan_.feasible = true;
    plan_.step_ns = step_ns;
    plan_.height_bytes = 0;
    plan_.decisions = 0;
    for (const Trace& rank : found) {
      plan_.height_bytes = std::max(plan_.height_bytes, rank.plan.height_bytes);
      plan_.decisions += std::ssize(rank.decisions);
    }
    planned_ = std::move(found);
  }

  void give_up(std::int64_t smallest_found_bytes) {
    if (plan_.feasible || smallest_found_bytes <= 0) return;
    const bool less = plan_.height_bytes < 0 || smallest_found_bytes < plan_.height_bytes;
    if (less) plan_.height_bytes = smallest_found_bytes;
  }

  LayoutPlan plan_;
  std::vector<Trace> firsts_;   // one per pipeline rank, with times, without waiting
  std::vector<Trace> planned_;  // the same with the best decisions
};

/// Bounds of all layouts, or why they are not possible. Nothing else is kept: there are many.
std::vector<LayoutPlan> bounds_of(const Trace& source, const std::vector<RankLayout>& layouts,
                                  const SearchRequest& watched) {
  std::vector<LayoutPlan> out;
  for (const RankLayout& layout : layouts) {
    out.emplace_back().layout = layout;
    if (!watched.progress({})) continue;
    try {
      out.back() = LayoutSearch(source, layout).plan();
    } catch (const InputError& error) {
      out.back().refused = error.what();
    }
  }
  const bool none =
      std::ranges::none_of(out, [](const LayoutPlan& p) { return p.refused.empty(); });
  if (none && !out.empty()) throw InputError(out.front().refused);
  return out;
}

}  // namespace

RankLayout layout_of(ShardStage stage, std::int32_t ranks) {
  RankLayout layout{.states = stage};
  if (stage == ShardStage::tensor) {
    layout.sizes.tensor = ranks;
    layout.states = ShardStage::data;
  } else {
    layout.sizes.data = ranks;
  }
  return layout;
}

std::vector<RankLayout> layouts_of(const std::vector<ShardStage>& stages, std::int32_t ranks) {
  std::vector<RankLayout> out;
  for (const ShardStage stage : stages) out.push_back(layout_of(stage, ranks));
  return out;
}

namespace {

/// The layout, and with it each way to share states among its ranks with the same weights.
void add_states(RankLayout layout, std::vector<RankLayout>& out) {
  out.push_back(layout);
  const std::int64_t same = layout.sizes.data * layout.sizes.context;
  if (same == 1) return;
  for (const ShardStage states : {ShardStage::zero1, ShardStage::zero2, ShardStage::zero3}) {
    layout.states = states;
    for (std::int64_t shard = same; shard > 1; --shard) {
      if (same % shard != 0 || shard % layout.sizes.expert != 0) continue;
      layout.sizes.shard = shard == same ? 0 : shard;
      out.push_back(layout);
    }
  }
}

/// The same for each way to spread so many experts of a block over those ranks; 0 = there are none.
void add_experts(RankLayout layout, std::int64_t experts, std::vector<RankLayout>& out) {
  const std::int64_t same = layout.sizes.data * layout.sizes.context;
  for (std::int64_t expert = 1; expert <= (experts > 0 ? same : 1); ++expert) {
    if (same % expert != 0 || experts % expert != 0) continue;
    layout.sizes.expert = expert;
    add_states(layout, out);
  }
}

}  // namespace

std::vector<RankLayout> layouts_of(std::int32_t ranks, std::int64_t experts) {
  std::vector<RankLayout> out;
  for (std::int64_t tensor = 1; tensor <= ranks; ++tensor) {
    for (std::int64_t pipeline = 1; pipeline <= ranks / tensor; ++pipeline) {
      for (std::int64_t context = 1; context <= ranks / (tensor * pipeline); ++context) {
        const std::int64_t others = tensor * pipeline * context;
        if (ranks % others != 0) continue;
        RankLayout layout;
        layout.sizes = {
            .tensor = tensor, .pipeline = pipeline, .data = ranks / others, .context = context};
        add_experts(layout, experts, out);
        layout.sizes.sequence_parallel = true;
        if (tensor > 1) add_experts(layout, experts, out);
      }
    }
  }
  return out;
}

std::vector<Trace> layout_placed(const Trace& source, const RankLayout& layout) {
  return placed(timed(shard_layout(source, layout), source), layout, to_text(layout));
}

std::vector<Trace> shard_placed(const Trace& source, ShardStage stage, std::int32_t ranks) {
  if (stage != ShardStage::none) return layout_placed(source, layout_of(stage, ranks));
  return placed(timed(shard(source, stage, ranks), source), {}, "none");
}

RankSearchResult search_layouts(const Trace& source, const std::vector<RankLayout>& layouts,
                                const SearchRequest& request) {
  RankSearchResult out;
  SearchRequest watched = request;
  SearchProgress sum;  // over all layouts
  watched.progress = [&, before = std::int64_t{0}](const SearchProgress& one) mutable {
    sum.tried += std::max<std::int64_t>(0, one.tried - std::exchange(before, one.tried));
    if (request.progress && !request.progress(sum)) out.cancelled = true;
    return !out.cancelled;
  };
  out.layouts = bounds_of(source, layouts, watched);
  std::vector<std::size_t> order(layouts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return out.layouts[i].bound_step_ns; });
  std::unique_ptr<LayoutSearch> best;
  for (const std::size_t i : order) {
    LayoutPlan& plan = out.layouts[i];
    if (!plan.refused.empty() || out.cancelled) continue;
    if (best != nullptr && plan.bound_step_ns >= best->plan().step_ns) continue;
    auto search = std::make_unique<LayoutSearch>(source, layouts[i]);
    search->search(watched);
    plan = search->plan();
    if (!plan.feasible || (best != nullptr && plan.step_ns >= best->plan().step_ns)) continue;
    best = std::move(search);
    out.best = static_cast<std::ptrdiff_t>(i);
    sum.best_step_ns = plan.step_ns;
  }
  if (best != nullptr) out.planned = best->planned(source);
  return out;
}

}  // namespace tidemark
