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

/// The step of ranks with times. Those of a pipeline wait for each other; the others are alike.
std::int64_t step_of(std::vector<Trace>& ranks, const RankLayout& layout) {
  if (layout.sizes.pipeline > 1) return add_waiting(ranks);
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
      : plan_{.layout = layout}, firsts_(timed(shard_layout_first(source, layout), source)) {
    std::vector<Trace> copy = firsts_;
    plan_.bound_step_ns = step_of(copy, layout);
  }

  [[nodiscard]] const LayoutPlan& plan() const { return plan_; }

  /// Plans of all ranks at once, then by one kind of decision: what is the best for each rank alone
  /// need not be so for ranks that wait for each other.
  void search(const SearchRequest& request) {
    plan_.searched = true;
    try_kinds(request);
    const Layout& sizes = plan_.layout.sizes;
    const bool keeps_states = sizes.data == 1 || plan_.layout.states == ShardStage::data;
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
    const std::size_t each = out.size() / plan_.searches.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const Trace& first = plan_.searches[i / each].planned;
      out[i].streams = first.streams;  // with the host link
      out[i] = apply_plan(out[i], first.decisions);
      place_like(first, out[i]);
    }
    if (plan_.layout.sizes.pipeline == 1) return out;
    add_waiting(out);
    for (Trace& rank : out) {
      rank.plan.step_ns = plan_.step_ns;
      rank.plan.keep_all_step_ns = rank.plan.bound_step_ns = plan_.bound_step_ns;
    }
    return out;
  }

 private:
  void try_kinds(const SearchRequest& request) {
    std::vector<SearchResult> found;
    std::vector<Trace> ranks;
    std::int64_t height_bytes = 0;
    for (const Trace& first : firsts_) {
      found.push_back(tidemark::search(first, request));
      const SearchResult& one = found.back();
      if (!one.feasible) return give_up(one);
      height_bytes = std::max(height_bytes, one.planned.plan.height_bytes);
      ranks.push_back(one.planned);
    }
    const std::int64_t step_ns = step_of(ranks, plan_.layout);
    if (plan_.feasible && step_ns >= plan_.step_ns) return;
    plan_.feasible = true;
    plan_.step_ns = step_ns;
    plan_.height_bytes = height_bytes;
    plan_.searches = std::move(found);
  }

  void give_up(const SearchResult& rank) {
    if (plan_.feasible) return;
    const Infeasible& why = rank.infeasible;
    const bool less = plan_.height_bytes < 0 || why.smallest_found_bytes < plan_.height_bytes;
    if (less && why.smallest_found_bytes > 0) plan_.height_bytes = why.smallest_found_bytes;
    plan_.bound_bytes = std::max(plan_.bound_bytes, why.bound_bytes);
  }

  LayoutPlan plan_;
  std::vector<Trace> firsts_;  // one per pipeline rank, with times, without waiting
};

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
  std::vector<std::unique_ptr<LayoutSearch>> searches;  // none: refused
  for (const RankLayout& layout : layouts) {
    out.layouts.push_back({.layout = layout});
    try {
      searches.push_back(std::make_unique<LayoutSearch>(source, layout));
      out.layouts.back() = searches.back()->plan();
    } catch (const InputError& error) {
      if (out.layouts.size() == layouts.size() &&
          std::ranges::all_of(searches, [](const auto& s) { return s == nullptr; })) {
        throw;
      }
      out.layouts.back().refused = error.what();
      searches.push_back(nullptr);
    }
  }
  std::vector<std::size_t> order(layouts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return out.layouts[i].bound_step_ns; });
  SearchRequest watched = request;
  SearchProgress sum{.tried = 0, .best_step_ns = -1, .bound_step_ns = -1};
  watched.progress = [&](const SearchProgress& one) {
    SearchProgress all = sum;
    all.tried += one.tried;
    if (request.progress && !request.progress(all)) out.cancelled = true;
    return !out.cancelled;
  };
  for (const std::size_t i : order) {
    if (searches[i] == nullptr || out.cancelled) continue;
    const std::int64_t best_ns =
        out.best < 0 ? -1 : out.layouts[static_cast<std::size_t>(out.best)].step_ns;
    if (best_ns >= 0 && out.layouts[i].bound_step_ns >= best_ns) continue;
    searches[i]->search(watched);
    out.layouts[i] = searches[i]->plan();
    if (!out.layouts[i].feasible) continue;
    if (best_ns >= 0 && out.layouts[i].step_ns >= best_ns) continue;
    out.best = static_cast<std::ptrdiff_t>(i);
    sum.best_step_ns = out.layouts[i].step_ns;
  }
  if (out.best >= 0) out.planned = searches[static_cast<std::size_t>(out.best)]->planned(source);
  return out;
}

}  // namespace tidemark
