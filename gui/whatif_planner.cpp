#include "gui/whatif_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "sim/allocator_replay.h"
#include "sim/bound.h"
#include "sim/compare.h"
#include "sim/methods.h"
#include "sim/rebuild.h"
#include "sim/reserved_search.h"
#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_prepared = 200;  // programs; a new set of controls begins anew

[[noreturn]] void refuse(const std::string& expected, const std::string& found) {
  throw InputError({.file = {}, .place = "what-if", .expected = expected, .found = found});
}

/// What can be planned: a level-2 program without decisions, with a time for every op.
Trace source_of(const Trace& base, bool can_change, const RunConfig& config) {
  if (base.meta.level < 2 || base.program.body.empty()) {
    refuse("an executable trace (level 2), which recompute and offload need",
           fmt::format("level {}: what was allocated, but not by which program", base.meta.level));
  }
  if (!base.ranks.empty() || base.meta.rank_count > 1) {
    refuse("the trace of a single rank",
           fmt::format("rank {} of {}", base.meta.rank, base.meta.rank_count));
  }
  if (!base.decisions.empty() && !can_change) {
    refuse("the recording that this plan was made from", "a plan without its configuration");
  }
  Trace source = program_of(base);
  if (!base.decisions.empty()) return rebuild(source, config);
  fill_modelled_times(modelled_device_of(source), source);
  source.plan = {};
  return source;
}

std::int64_t median_or_replayed_ns(const Run& base, const QuickPlanner& kept) {
  const bool ran = !base.trace().steps.empty() && base.trace().meta.kind != TraceKind::planned;
  return ran ? median_step_ns(base.trace()) : kept.keep_all_step_ns();
}

/// "modelled", "replayed from measured times of ops", or how much of the step is which.
std::string timing_of(const Trace& planned) {
  std::int64_t modelled_ns = 0;
  std::int64_t all_ns = 0;
  for (const Instruction& line : planned.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = planned[line.op()];
    const std::int64_t ns = std::max<std::int64_t>(op.duration_ns, 0);
    all_ns += ns;
    if (op.time_source != TimeSource::measured && op.kind != OpKind::copy) modelled_ns += ns;
  }
  if (modelled_ns == 0) return "replayed from measured times of ops";
  if (modelled_ns == all_ns) return "modelled";
  // Rounded down: "100 %" and a rest would contradict each other.
  const double percent =
      std::floor(100.0 * static_cast<double>(modelled_ns) / static_cast<double>(all_ns));
  return fmt::format("{:.0f} % of the time modelled, the rest replayed from measured ops", percent);
}

/// What the host holds, and what goes over the link.
void fill_host_figures(const Trace& planned, WhatIfResult& result) {
  std::set<Space> hosts;
  for (const Buffer& buffer : planned.buffers) {
    if (buffer.space.kind != SpaceKind::device) hosts.insert(buffer.space);
  }
  for (const Space& host : hosts) result.host_peak_bytes += replay(planned, host).run_peak.bytes;
  for (const Instruction& line : planned.program.body) {
    if (line.kind != InstructionKind::run || planned[line.op()].kind != OpKind::copy) continue;
    result.copied_bytes += planned[planned[line.op()].operands.front().buffer].size_bytes;
  }
}

/// What is proven must hold for what layers are told as well.
SearchRequest widest_of(const WhatIf& what_if, SearchRequest request) {
  request.allow_recompute = what_if.recompute != Decider::recorded;
  request.allow_offload = what_if.offload != Decider::recorded;
  return request;
}

bool by_model(const AllocatorChoice& choice) {
  return choice.kind != AllocatorKind::static_plan;
}

}  // namespace

double WhatIfResult::samples_per_s() const {
  const std::int64_t step_ns = plan().step_ns;
  return step_ns <= 0 ? 0 : 1e9 * static_cast<double>(config.batch) / static_cast<double>(step_ns);
}

std::vector<Trace> planned_traces(const WhatIfResult& result) {
  const Trace& planned = result.planned->trace();
  return result.ranks ? planned_ranks(*result.ranks, planned) : std::vector<Trace>{planned};
}

AllocatorChoice allocator_of(const WhatIf& what_if, const Trace& source) {
  AllocatorChoice choice;
  if (what_if.allocator.by == Decider::chosen) choice.kind = what_if.allocator.value;
  const bool recorded = what_if.allocator.by == Decider::recorded;
  if (recorded && source.meta.allocator.starts_with("pytorch")) {
    choice = {.kind = AllocatorKind::pytorch, .conf = recorded_conf(source)};
  }
  return choice;
}

bool is_better(const WhatIfResult& a, const WhatIfResult& b, const RunConfig& recorded) {
  const auto otherwise = [&recorded](const WhatIfResult& r) {
    return (r.config.precision != recorded.precision ? 1 : 0) +
           (r.config.optimizer.kind != recorded.optimizer.kind ? 1 : 0);
  };
  if (a.fits != b.fits) return a.fits;
  if (!a.fits) return a.needed_bytes() < b.needed_bytes();
  return std::tuple(otherwise(a), -a.samples_per_s()) <
         std::tuple(otherwise(b), -b.samples_per_s());
}

WhatIfPlanner::WhatIfPlanner(RunPtr base) : base_(std::move(base)) {
  const Trace& trace = base_->trace();
  can_change_ = can_rebuild(trace);
  if (can_change_) recorded_ = run_config_from_json(trace.meta.config_json);
  source_ = source_of(trace, can_change_, recorded_);
  best_.config = recorded_;
  recorded_step_ns_ = median_or_replayed_ns(*base_, prepared({}, best_).planner);
}

std::pair<std::int64_t, std::int64_t> WhatIfPlanner::budget_range() {
  Prepared& at = prepared({}, {.config = recorded_});
  const Infeasible bound =
      budget_bound(at.planner.source(), at.planner.flow(), request_of({}, at, {}));
  return {bound.bound_bytes, at.planner.keep_all_height_bytes()};
}

WhatIfPlanner::Prepared& WhatIfPlanner::prepared(const WhatIf& what_if, const Variant& variant) {
  const RunConfig& config = variant.config;
  const std::string key = what_if.device + "\n" + (can_change_ ? to_json(config) : "") +
                          (variant.spread ? to_text(*variant.spread) : "");
  std::unique_ptr<Prepared>& slot = prepared_[key];
  if (slot) return *slot;
  if (prepared_.size() > k_most_prepared) {
    prepared_.clear();
    return prepared(what_if, variant);
  }
  const Device* device = what_if.device.empty() ? nullptr : &find_device(what_if.device);
  const bool as_recorded = device == nullptr && config == recorded_;
  if (!as_recorded && !can_change_) {
    refuse("a trace with its run configuration, to change batch, optimizer, precision or device",
           "one without");
  }
  Trace source = as_recorded ? source_ : rebuild(source_, config, device);
  RankTraces ranks;
  if (variant.spread) {
    ranks = ranks_of(source, *variant.spread, device);
    source = ranks->front();
  }
  source.meta.source = base_->file();
  const HostLink link = host_link_of(source);
  slot = std::make_unique<Prepared>(variant, std::move(ranks), std::move(source),
                                    CopyLink{link.bytes_per_s, link.latency_ns});
  return *slot;
}

WhatIfPlanner::Prepared& WhatIfPlanner::current(const WhatIf& what_if) {
  if (!can_change_) return prepared(what_if, {.config = recorded_});
  const std::vector<Variant> variants = variants_of(what_if, recorded_);
  if (std::ranges::find(variants, best_) == variants.end()) best_ = variants.front();
  return prepared(what_if, best_);
}

std::int64_t WhatIfPlanner::budget_of(const WhatIf& what_if, const Prepared& at) const {
  return what_if.budget_bytes >= 0 ? what_if.budget_bytes : at.planner.keep_all_height_bytes();
}

std::int64_t WhatIfPlanner::reserved_by(const WhatIf& what_if, const Trace& planned) const {
  const AllocatorChoice choice = allocator_of(what_if, source_);
  return by_model(choice) ? reserved_peak_bytes(planned, choice.kind, choice.conf) : -1;
}

SearchRequest WhatIfPlanner::request_of(const WhatIf& what_if, const Prepared& at,
                                        const KeepGoing& going) const {
  const HostLink link = host_link_of(at.planner.source());
  SearchRequest request;
  request.budget_bytes = budget_of(what_if, at);
  request.allow_recompute = what_if.recompute == Decider::planner;
  request.allow_offload = what_if.offload == Decider::planner;
  request.link_bytes_per_s = link.bytes_per_s;
  request.link_latency_ns = link.latency_ns;
  if (going) {
    request.progress = [going](const SearchProgress& progress) {
      return going({.done = progress.tried, .search = progress});
    };
  }
  return request;
}

WhatIfResultPtr WhatIfPlanner::result(const WhatIf& what_if, Prepared& at, Answer answer) const {
  auto result = std::make_shared<WhatIfResult>();
  const std::int64_t budget_bytes = budget_of(what_if, at);
  result->asked = what_if;
  result->config = at.variant.config;
  result->spread = at.variant.spread;
  result->ranks = at.ranks;
  result->reserved_bytes = answer.reserved_bytes;
  result->refined = answer.refined;
  result->reproducible = answer.reproducible;
  result->recorded_peak_bytes = base_->timeline().peak.bytes;
  result->recorded_step_ns = recorded_step_ns_;
  result->bound_step_ns = answer.bound_step_ns;
  const SearchRequest widest = widest_of(what_if, request_of(what_if, at, {}));
  const auto [bound, fresh] = at.bounds.try_emplace({widest.allow_recompute, widest.allow_offload});
  if (fresh) bound->second = budget_bound(at.planner.source(), at.planner.flow(), widest);
  result->bound = bound->second;
  answer.planned.plan.bound_budget_bytes = result->bound.bound_bytes;
  answer.planned.plan.budget_bytes = what_if.budget_bytes;
  if (can_change_) result->changes = changes_of(recorded_, at.variant);
  result->timing = timing_of(answer.planned);
  result->layers = layer_rows(at.planner.source(), at.planner.flow(), answer.planned, what_if);
  if (answer.timeline.changes.empty()) answer.timeline = replay(answer.planned);
  fill_host_figures(answer.planned, *result);
  RunTimeline columns = columns_of(std::move(answer.timeline), answer.planned);
  result->planned =
      std::make_shared<const Run>("what-if", std::move(answer.planned), std::move(columns));
  result->fits = result->needed_bytes() <= budget_bytes;
  return result;
}

WhatIfResultPtr WhatIfPlanner::walk(const WhatIf& what_if, Prepared& at) {
  const std::int64_t budget_bytes = budget_of(what_if, at);
  const EvictionSettings settings = settings_of(what_if, at.planner.source());
  QuickPlan plan = at.planner.plan(budget_bytes, settings);
  std::int64_t reserved_bytes = reserved_by(what_if, plan.planned);
  if (reserved_bytes > budget_bytes) {  // once more, lower by what the allocator needs on top
    QuickPlan lower = at.planner.plan(2 * budget_bytes - reserved_bytes, settings);
    const std::int64_t bytes = reserved_by(what_if, lower.planned);
    if (bytes < reserved_bytes) {
      plan = std::move(lower);
      reserved_bytes = bytes;
    }
  }
  return result(what_if, at,
                {.planned = std::move(plan.planned),
                 .timeline = std::move(plan.timeline),
                 .reserved_bytes = reserved_bytes});
}

WhatIfResultPtr WhatIfPlanner::quick(const WhatIf& what_if) {
  return walk(what_if, current(what_if));
}

WhatIfResultPtr WhatIfPlanner::choose(const WhatIf& what_if, const KeepGoing& going) {
  if (!can_change_) return quick(what_if);
  WhatIfResultPtr best;
  const std::vector<Variant> variants = variants_of(what_if, recorded_);
  WhatIfProgress progress{.total = static_cast<std::int64_t>(variants.size())};
  int otherwise = 0;
  for (const Variant& variant : variants) {
    // What learns as recorded is preferred: the others are looked at only when none of it fits.
    if (best && best->fits && variant.learns_otherwise > otherwise) break;
    otherwise = variant.learns_otherwise;
    if (!going(progress)) return nullptr;
    WhatIfResultPtr result = walk(what_if, prepared(what_if, variant));
    if (!best || is_better(*result, *best, recorded_)) {
      best = std::move(result);
      best_ = variant;
    }
    ++progress.done;
  }
  return best;
}

WhatIfPlanner::Answer WhatIfPlanner::search_open(const WhatIf& what_if, Prepared& at,
                                                 const KeepGoing& going) const {
  const SearchRequest request = request_of(what_if, at, going);
  const AllocatorChoice choice = allocator_of(what_if, source_);
  Answer answer{.refined = true};
  SearchResult found;
  if (by_model(choice)) {
    ReservedResult reserved =
        search_reserved(at.planner.source(), request, choice.kind, choice.conf);
    answer.reserved_bytes = reserved.reserved_bytes;
    found = std::move(reserved.search);
  } else {
    found = search(at.planner.source(), request);
  }
  answer.fits = found.feasible;
  answer.reproducible = found.reproducible;
  answer.bound_step_ns = found.feasible ? found.planned.plan.bound_step_ns : -1;
  answer.planned = std::move(found.planned);
  return answer;
}

WhatIfPlanner::Answer WhatIfPlanner::search_all(const WhatIf& what_if, Prepared& at,
                                                const KeepGoing& going) {
  const std::int64_t budget_bytes = budget_of(what_if, at);
  const EvictionSettings start = settings_of(what_if, at.planner.source());
  Answer best{.refined = true};
  best.bound_step_ns = step_bound_ns(at.planner.source(), at.planner.flow(),
                                     widest_of(what_if, request_of(what_if, at, {})));
  WhatIfProgress progress;
  const std::vector<EvictionSettings> sweep = eviction_sweep(start);
  progress.total = static_cast<std::int64_t>(sweep.size());
  for (const EvictionSettings& settings : sweep) {
    if (!going(progress)) {
      best.reproducible = false;
      return best;
    }
    QuickPlan plan = at.planner.plan(budget_bytes, settings);
    const std::int64_t reserved_bytes = reserved_by(what_if, plan.planned);
    const bool fits = reserved_bytes >= 0 ? reserved_bytes <= budget_bytes : plan.fits;
    if (fits && (!best.fits || plan.planned.plan.step_ns < best.planned.plan.step_ns)) {
      best.fits = true;
      best.planned = std::move(plan.planned);
      best.timeline = std::move(plan.timeline);
      best.reserved_bytes = reserved_bytes;
    }
    ++progress.done;
    progress.search = {.tried = progress.done,
                       .best_step_ns = best.fits ? best.planned.plan.step_ns : -1,
                       .bound_step_ns = best.bound_step_ns};
  }
  return best;
}

WhatIfResultPtr WhatIfPlanner::refine(const WhatIf& what_if, const KeepGoing& going) {
  Prepared& at = current(what_if);
  const WhatIfResultPtr first = walk(what_if, at);
  const bool open = fates_of(what_if, at.planner.source()).empty();
  const bool nothing_allowed =
      what_if.recompute != Decider::planner && what_if.offload != Decider::planner;
  Answer answer =
      open && !nothing_allowed ? search_open(what_if, at, going) : search_all(what_if, at, going);
  const bool walk_is_better =
      !answer.fits || (first->fits && first->plan().step_ns < answer.planned.plan.step_ns);
  if (!walk_is_better) return result(what_if, at, std::move(answer));
  // The same plan, with what is proven.
  answer.planned = first->planned->trace();
  answer.timeline = {};
  answer.reserved_bytes = first->reserved_bytes;
  return result(what_if, at, std::move(answer));
}

std::vector<WhatIfResultPtr> WhatIfPlanner::front(const WhatIf& what_if, int count,
                                                  const KeepGoing& going) {
  Prepared& at = current(what_if);
  const SearchRequest request = request_of(what_if, at, going);
  const std::int64_t from_bytes =
      budget_bound(at.planner.source(), at.planner.flow(), request).bound_bytes;
  const std::int64_t to_bytes = at.planner.keep_all_height_bytes();
  std::vector<WhatIfResultPtr> results;
  for (SearchResult& found :
       sweep(at.planner.source(), request, from_bytes, to_bytes, std::max(count, 2))) {
    if (!found.feasible) continue;
    WhatIf asked = what_if;
    asked.budget_bytes = found.budget_bytes;
    Answer answer{.fits = true,
                  .refined = true,
                  .reproducible = found.reproducible,
                  .bound_step_ns = found.planned.plan.bound_step_ns,
                  .reserved_bytes = reserved_by(what_if, found.planned)};
    answer.planned = std::move(found.planned);
    results.push_back(result(asked, at, std::move(answer)));
  }
  return results;
}

}  // namespace tidemark
