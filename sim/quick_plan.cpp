#include "sim/quick_plan.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "sim/baselines.h"
#include "sim/candidates.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"

namespace tidemark {
namespace {

constexpr std::size_t k_large_ops = 1000;
constexpr int k_lowest_walks = 8;
constexpr int k_walks = 6;
constexpr double k_caution = 0.004;
constexpr double k_large_caution = 0.015;
constexpr std::int64_t k_any_height = std::numeric_limits<std::int64_t>::max() / 2;

Space device_of(const Trace& trace) {
  return {SpaceKind::device, trace.meta.rank};
}

Trace with_links(Trace source, const CopyLink& link) {
  if (link.bytes_per_s > 0) declare_links(source, link);
  return source;
}

}  // namespace

QuickPlanner::QuickPlanner(Trace source, const CopyLink& link)
    : source_(with_links(std::move(source), link)),
      link_(link),
      flow_(dataflow_of(source_)),
      backward_begin_(backward_begin_of(source_, flow_)) {
  const bool large = flow_.body.size() > k_large_ops;
  const QuickPlan kept = carry_out({}, 0, large ? k_any_height : 0);
  keep_all_peak_bytes_ = kept.planned.plan.peak_bytes;
  keep_all_step_ns_ = kept.planned.plan.step_ns;
  keep_all_height_bytes_ = kept.planned.plan.height_bytes;
}

QuickPlan QuickPlanner::plan(std::int64_t budget_bytes, const EvictionSettings& wish) {
  EvictionSettings settings = wish;
  settings.across = backward_begin_;
  settings.link_bytes_per_s = link_.bytes_per_s;
  settings.link_latency_ns = link_.latency_ns;
  if (link_.bytes_per_s <= 0) {
    settings.allow_offload = false;
    std::ranges::replace(settings.fates, Fate::offload, Fate::keep);
  }
  const auto limit_for = [budget_bytes](double slack) {
    return static_cast<std::int64_t>(static_cast<double>(budget_bytes) / slack);
  };
  settings.limit_bytes = budget_bytes >= keep_all_height_bytes_ ? budget_bytes : limit_for(slack_);
  // On a large body a plan takes as long as a picture: what one teaches serves the next question.
  const int most_plans = flow_.body.size() > k_large_ops ? 1 : k_walks;
  std::optional<QuickPlan> best;
  int plans = 0;
  for (int walk = 0; walk < k_walks && plans < most_plans; ++walk) {
    const Eviction eviction = evict(flow_, settings);
    if (!eviction.fits) {  // below what can be kept: with less room for the placement, if any
      if (settings.limit_bytes >= budget_bytes) break;
      settings.limit_bytes = std::min(budget_bytes, settings.limit_bytes * 51 / 50);
      continue;
    }
    // Keeping everything fits where the budget is its height: that placement must be found again.
    const bool keeps_all = eviction.decisions.empty();
    QuickPlan found =
        carry_out(eviction.decisions, budget_bytes, keeps_all ? budget_bytes : k_any_height);
    const std::int64_t height = found.planned.plan.height_bytes;
    // The next placement is not packed like this one: more caution with every plan.
    ++plans;
    const double ratio = static_cast<double>(height) / static_cast<double>(settings.limit_bytes);
    slack_ = std::max(1.0, ratio) + (most_plans == 1 ? k_large_caution : k_caution * plans);
    settings.limit_bytes = std::min(limit_for(slack_), settings.limit_bytes - 1);
    const bool lower = !best || height < best->planned.plan.height_bytes;
    if (lower) best = std::move(found);
    if (best->fits) break;
  }
  return best ? std::move(*best) : lowest(settings, budget_bytes);
}

QuickPlan QuickPlanner::lowest(EvictionSettings settings, std::int64_t budget_bytes) const {
  std::int64_t low = 0;
  std::int64_t high = keep_all_peak_bytes_;
  std::vector<Decision> decisions;
  for (int walk = 0; walk < k_lowest_walks && high - low > high / 100; ++walk) {
    settings.limit_bytes = low + (high - low) / 2;
    Eviction eviction = evict(flow_, settings);
    (eviction.fits ? high : low) = settings.limit_bytes;
    if (eviction.fits) decisions = std::move(eviction.decisions);
  }
  return carry_out(decisions, budget_bytes, k_any_height);
}

QuickPlan QuickPlanner::carry_out(const std::vector<Decision>& decisions, std::int64_t budget_bytes,
                                  std::int64_t enough_bytes) const {
  QuickPlan plan{.planned = apply_plan(source_, flow_, decisions)};
  Trace& planned = plan.planned;
  const Space device = device_of(planned);
  planned.plan = {};
  planned.plan.method = "quick";
  planned.plan.budget_bytes = budget_bytes;
  planned.plan.height_bytes = place(planned, device, enough_bytes);
  std::set<Space> hosts;
  for (const Buffer& buffer : planned.buffers) hosts.insert(buffer.space);
  hosts.erase(device);
  for (const Space& host : hosts) place(planned, host, k_any_height);
  plan.timeline = replay(planned, device);
  plan.fits = planned.plan.height_bytes <= budget_bytes;
  planned.plan.peak_bytes = plan.timeline.peak.bytes;
  planned.plan.step_ns = plan.timeline.step_ns;
  planned.plan.keep_all_step_ns = keep_all_step_ns_;
  return plan;
}

}  // namespace tidemark
