#include "sim/ways.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/baselines.h"
#include "sim/bound.h"
#include "sim/engine.h"
#include "sim/methods.h"
#include "sim/random.h"
#include "traces/error.h"

namespace tidemark {
namespace {

/// One eviction that was walked, with what it predicts.
struct Draft {
  EvictionSettings settings;
  Eviction eviction;
};

class Search {
 public:
  Search(Candidates& candidates, const SearchRequest& request, const SearchResult* smaller,
         Lessons& lessons)
      : candidates_(candidates),
        request_(request),
        random_(request.seed),
        lessons_(lessons),
        large_(candidates.large()) {
    for (std::size_t row = 0; row < candidates.flow().values.size(); ++row) {
      if (candidates.flow().values[row].movable) movable_.emplace_back(row);
    }
    if (smaller != nullptr && smaller->feasible) smaller_ = &smaller->planned;
  }

  /// The best plan within the budget; none when no method found one.
  std::optional<Candidate> run(const std::string& method) {
    method_ = "keep-all";
    offer(candidates_.keep_all());
    if (!best_ && method == "keep-all") {
      candidates_.be_exact();
      offer(candidates_.keep_all());
    }
    if (best_ || method == "keep-all") return best_;
    adopt_smaller();
    const bool all = method == "auto";
    const bool offload = settings_of(request_).allow_offload;
    if (all || method == "greedy") evict_by("greedy", request_.allow_recompute, false);
    const bool exact = method == "exact";
    if (method == "anneal" || exact) evict_by("greedy", request_.allow_recompute, false);
    if (method == "anneal" || exact || (all && !large_)) anneal_schedules(exact);
    if (all || method == "offload") evict_by("offload", false, offload);
    if (all || method == "joint") evict_by("joint", request_.allow_recompute, offload);
    if (method == "state" || (all && (!large_ || !best_))) park_states(offload);
    const std::size_t ops = candidates_.flow().body.size();
    for (const Baseline& baseline : baselines()) {
      if (baseline.name == method || (all && ops <= baseline.most_ops)) try_baseline(baseline);
    }
    return best_;
  }

  /// Not below step_bound_ns(); of the ops of the body, back to back.
  [[nodiscard]] std::int64_t proven_cost_ns() const { return proven_cost_ns_; }

 private:
  /// The plan for a smaller budget fits in this one.
  void adopt_smaller() {
    if (smaller_ == nullptr) return;
    const PlanRecord& plan = smaller_->plan;
    Candidate candidate{.decisions = smaller_->decisions,
                        .step_ns = plan.step_ns,
                        .height_bytes = plan.height_bytes};
    for (const Buffer& buffer : smaller_->buffers) candidate.offsets.push_back(buffer.offset_bytes);
    method_ = plan.method;
    offer(candidate);
  }

  /// One way of searching, with its own share of nodes and its own random numbers: so auto does
  /// exactly what each method alone does, and is never worse.
  void evict_by(const char* method, bool recompute, bool offload,
                const std::vector<BufferId>& parked = {}) {
    if (!recompute && !offload) return;
    if (best_ && best_extra_ns() == 0) return;  // nothing is faster than keep-all
    if (std::string_view(method) == "joint" && !(recompute && offload)) {
      if (request_.method == "auto") return;  // done already under the other name
    }
    method_ = method;
    random_ = Random(request_.seed);
    candidates_.begin_share();
    best_settings_.reset();
    std::swap(best_, others_);  // what others found must not steer this one
    EvictionSettings start = settings_of(request_);
    start.limit_bytes = candidates_.budget_bytes();
    start.allow_recompute = recompute;
    start.allow_offload = offload;
    start.parked = parked;
    large_ ? quick_portfolio(start) : portfolio(start);
    if (!best_ && !others_ && !smaller_) minimize(start);
    if (!large_ || request_.nodes > 0) improve();
    if (others_ && (!best_ || !best_->better_than(*others_))) best_ = others_;
    others_.reset();
  }

  /// Optimizer state on the host, all of it or a part, and joint eviction for the rest. The first
  /// to be updated have the most time for their way back to the host.
  void park_states(bool offload) {
    const Dataflow& flow = candidates_.flow();
    std::vector<BufferId> states;
    std::int64_t all_bytes = 0;
    for (std::size_t row = 0; row < flow.values.size() && offload; ++row) {
      if (!flow.values[row].parkable) continue;
      states.emplace_back(row);
      all_bytes += flow.values[row].bytes;
    }
    std::stable_sort(states.begin(), states.end(), [&flow](BufferId a, BufferId b) {
      return flow[a].last_use() < flow[b].last_use();
    });
    for (const std::int64_t part : {1, 2, 4}) {
      std::vector<BufferId> parked;
      std::int64_t bytes = 0;
      for (const BufferId id : states) {
        if (bytes * part >= all_bytes) break;
        parked.push_back(id);
        bytes += flow[id].bytes;
      }
      if (!parked.empty()) evict_by("state", request_.allow_recompute, true, parked);
    }
  }

  /// Local search over schedules (sim/engine.h), from the best plan on when that only recomputes.
  /// It limits live bytes; the limit moves down until the placement fits too. `exact`: with a proof
  /// for the budget itself.
  void anneal_schedules(bool exact) {
    if (!request_.allow_recompute || stopped() || best_extra_ns() == 0) return;
    method_ = exact ? "exact" : "anneal";
    const Dataflow& flow = candidates_.flow();
    const auto ops = static_cast<std::int64_t>(flow.body.size());
    EngineRequest wish;
    wish.limit_bytes = candidates_.budget_bytes();
    wish.nodes = candidates_.nodes() * std::clamp<std::int64_t>(k_move_work / (ops + 1), 20, 1000);
    wish.seed = request_.seed;
    wish.exact = exact;
    wish.bound_cost_ns = exact ? -1 : 0;
    wish.time_limit_s = exact ? request_.time_limit_s : request_.time_limit_s / 4;
    wish.progress = [this](const EngineProgress&) { return !stopped(); };
    const auto recomputes = [](const Decision& d) { return d.kind == DecisionKind::recompute; };
    if (best_ && std::all_of(best_->decisions.begin(), best_->decisions.end(), recomputes)) {
      wish.start = schedule_of(flow, best_->decisions);
    }
    for (int round = 0; round < k_fit_rounds && !stopped(); ++round) {
      const EngineResult result = run_engine(flow, wish);
      if (wish.exact) note_proof(result);
      wish.exact = false;
      wish.bound_cost_ns = 0;
      if (!result.fits || (best_ && result.cost_ns >= best_->step_ns)) return;
      const Candidate candidate = candidates_.evaluate(decisions_of(flow, result.schedule));
      offer(candidate);
      if (candidate.height_bytes <= candidates_.budget_bytes()) return;
      wish.limit_bytes -= candidate.height_bytes - candidates_.budget_bytes();
      wish.start = result.schedule;
      wish.nodes /= 2;
    }
  }

  /// A bound on recomputation alone; offload may do better.
  void note_proof(const EngineResult& result) {
    if (!result.refused.empty() && !result.proven_optimal()) {
      const bool timed = request_.time_limit_s > 0;  // then larger ones are tried
      throw InputError(InputError::Parts{
          .file = {},
          .place = "--method exact",
          .expected = timed ? "a body small enough to be solved" : "--time-limit or a smaller body",
          .found = result.refused});
    }
    if (!settings_of(request_).allow_offload) proven_cost_ns_ = result.bound_cost_ns;
  }

  void try_baseline(const Baseline& baseline) {
    if (!request_.allow_recompute || stopped()) return;
    method_ = std::string(baseline.name);
    const Dataflow& flow = candidates_.flow();
    BaselineRequest wish{.backward_begin = backward_begin_of(candidates_.source(), flow),
                         .limit_bytes = candidates_.budget_bytes(),
                         .stopped = [this] { return stopped(); }};
    for (int round = 0; round < k_fit_rounds && !stopped(); ++round) {
      const BaselinePlan plan = best_of(baseline, flow, wish);
      if (!plan.fits) break;
      if (best_ && plan.figures.cost_ns >= best_->step_ns) return;
      const Candidate candidate = candidates_.evaluate(decisions_of(flow, plan.schedule));
      offer(candidate);
      if (candidate.height_bytes <= candidates_.budget_bytes()) return;
      wish.limit_bytes =
          std::min(plan.figures.peak_bytes - 1,
                   wish.limit_bytes - (candidate.height_bytes - candidates_.budget_bytes()));
    }
    if (!best_ && request_.method == baseline.name) offer_lowest(baseline, wish);
  }

  /// The lowest plan of a method that was asked for by name, whatever the budget is.
  void offer_lowest(const Baseline& baseline, BaselineRequest wish) {
    candidates_.be_exact();
    std::optional<Schedule> lowest;
    lowest_limit(0, [&](std::int64_t limit_bytes) -> std::int64_t {
      if (stopped()) return k_not_kept;
      wish.limit_bytes = limit_bytes;
      BaselinePlan plan = best_of(baseline, candidates_.flow(), wish);
      if (!plan.fits) return k_not_kept;
      lowest = std::move(plan.schedule);
      return plan.figures.peak_bytes;
    });
    if (lowest) offer(candidates_.evaluate(decisions_of(candidates_.flow(), *lowest)));
  }

  bool offer(const Candidate& candidate) {
    if (candidate.height_bytes > candidates_.budget_bytes()) return false;
    if (best_ && !candidate.better_than(*best_)) return false;
    best_ = candidate;
    best_->method = method_;
    return true;
  }

  bool stopped() {
    std::int64_t best_ns = best_ ? best_->step_ns : -1;
    if (others_ && (best_ns < 0 || others_->step_ns < best_ns)) best_ns = others_->step_ns;
    return candidates_.stopped(best_ns);
  }

  std::int64_t best_extra_ns() const {
    return best_ ? best_->step_ns - candidates_.keep_all().step_ns
                 : std::numeric_limits<std::int64_t>::max();
  }

  /// Walks the whole sweep, then carries out the most promising drafts, least predicted time first.
  void portfolio(const EvictionSettings& start) {
    std::vector<Draft> drafts;
    std::vector<EvictionSettings> sweep = eviction_sweep(start);
    const auto share = static_cast<std::size_t>(std::max<std::int64_t>(1, candidates_.nodes() / 2));
    for (std::size_t i = 0; i < std::min(sweep.size(), share) && !stopped(); ++i) {
      drafts.push_back({sweep[i], candidates_.try_eviction(sweep[i])});
    }
    std::stable_sort(drafts.begin(), drafts.end(), [](const Draft& a, const Draft& b) {
      return std::pair(!a.eviction.fits, a.eviction.extra_ns) <
             std::pair(!b.eviction.fits, b.eviction.extra_ns);
    });
    for (std::size_t i = 0; i < drafts.size() && i < k_carried_out && may_go_on(); ++i) {
      fit(drafts[i]);
    }
  }

  /// Large bodies: few plans are carried out, each takes as long as several walks. The walks limit
  /// live bytes, the placement is a little higher by a factor that is much the same for all plans
  /// of one kind: it is learned, and the limit moves down by it.
  void quick_portfolio(const EvictionSettings& start) {
    constexpr int k_rounds = 6;
    const std::vector<EvictionSettings> sweep = eviction_sweep(start);
    Lesson& lesson = lessons_[method_];
    if (lesson.order.empty()) {
      lesson.order.resize(std::min<std::size_t>(
          sweep.size(),
          static_cast<std::size_t>(std::max<std::int64_t>(1, candidates_.nodes() / 2))));
      std::iota(lesson.order.begin(), lesson.order.end(), std::size_t{0});
    } else {
      lesson.order.resize(std::min(lesson.order.size(), k_kept));
    }
    const auto budget = static_cast<double>(candidates_.budget_bytes());
    double limit = 1 / lesson.slack;  // in budgets, as the two ends of the search
    double low = 0;
    double high = 1.02;
    for (int round = 0; round < k_rounds && high - low > 0.004 && may_go_on(); ++round) {
      const Draft draft = best_walk(sweep, static_cast<std::int64_t>(budget * limit), lesson.order);
      double next = 0;
      if (draft.eviction.fits) {
        if (draft.eviction.extra_ns >= best_extra_ns()) return;
        const Candidate candidate = candidates_.evaluate(draft.eviction.decisions);
        if (offer(candidate)) best_settings_ = draft.settings;
        const double height = static_cast<double>(candidate.height_bytes) / budget;
        (height <= 1 ? low : high) = limit;
        if (height <= 1) lesson.slack = 1 / limit;
        if (height <= 1 && height > 0.985) return;
        next = 0.998 * limit / height;
      } else {
        low = limit;  // not for want of room for the placement
      }
      limit = next > low && next < high ? next : (low + high) / 2;
    }
  }

  /// The walk that promises the least time; `order` is cut down to the most promising settings.
  Draft best_walk(const std::vector<EvictionSettings>& sweep, std::int64_t limit_bytes,
                  std::vector<std::size_t>& order) {
    std::vector<std::pair<std::size_t, Draft>> drafts;
    for (const std::size_t i : order) {
      Draft draft{sweep[i], {}};
      draft.settings.limit_bytes = limit_bytes;
      draft.eviction = candidates_.try_eviction(draft.settings);
      drafts.emplace_back(i, std::move(draft));
    }
    std::stable_sort(drafts.begin(), drafts.end(), [](const auto& a, const auto& b) {
      return std::pair(!a.second.eviction.fits, a.second.eviction.extra_ns) <
             std::pair(!b.second.eviction.fits, b.second.eviction.extra_ns);
    });
    order.clear();
    for (std::size_t i = 0; i < std::min(k_kept, drafts.size()); ++i) {
      order.push_back(drafts[i].first);
    }
    return std::move(drafts.front().second);
  }

  /// The first plan is searched for beyond the share of nodes.
  bool may_go_on() { return !stopped() && (candidates_.nodes_left() || !best_); }

  /// Moves the limit on live bytes until the placement just fits the budget.
  void fit(Draft draft) {
    std::int64_t low = 0;  // a limit whose plan fits
    std::int64_t high = 2 * candidates_.budget_bytes();
    for (int round = 0; round < k_fit_rounds && high - low > k_granule_bytes; ++round) {
      std::int64_t room = 0;  // of the placement under the budget
      if (draft.eviction.fits) {
        if (best_ && 2 * best_extra_ns() / 3 < draft.eviction.extra_ns) return;
        const Candidate candidate = candidates_.evaluate(draft.eviction.decisions);
        if (offer(candidate)) best_settings_ = draft.settings;
        room = candidates_.budget_bytes() - candidate.height_bytes;
      } else {
        room = draft.settings.limit_bytes / 32;  // the walk counts more than is live: try higher
      }
      std::int64_t& limit = draft.settings.limit_bytes;
      (draft.eviction.fits && room < 0 ? high : low) = limit;
      limit += room;
      if (limit <= low || limit >= high) limit = low + (high - low) / 2;
      if (!may_go_on()) return;
      draft.eviction = candidates_.try_eviction(draft.settings);
    }
  }

  /// The lowest plans, whatever the budget is: so a budget that was named as the smallest is found
  /// again when it is asked for. Which limit gives the lowest placement is not known, only that it
  /// is near the lowest limit that a walk can keep.
  void minimize(const EvictionSettings& start) {
    candidates_.be_exact();
    std::vector<std::pair<std::int64_t, EvictionSettings>> lowest;  // height, settings
    const std::vector<EvictionSettings> sweep = eviction_sweep(start);
    const std::size_t most = large_ ? k_minimized_large : k_minimized;
    for (std::size_t i = 0; i < sweep.size() && i < most && !stopped(); ++i) {
      EvictionSettings settings = sweep[i];
      settings.limit_bytes = lowest_limit(settings);
      const std::int64_t height = offer_walk(settings);
      if (height > 0) lowest.emplace_back(height, settings);
    }
    std::stable_sort(lowest.begin(), lowest.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < lowest.size() && i < 2 && !large_; ++i) {
      for (const std::int64_t part : {200, 100, 50, 25}) {
        if (stopped()) return;
        EvictionSettings settings = lowest[i].second;
        settings.limit_bytes += settings.limit_bytes / part;
        offer_walk(settings);
      }
    }
    offer(candidates_.lowest());
  }

  std::int64_t lowest_limit(EvictionSettings settings) {
    const std::int64_t bound =
        budget_bound(candidates_.source(), candidates_.flow(), request_).bound_bytes;
    return lowest_limit(bound - 1, [&](std::int64_t limit_bytes) {
      settings.limit_bytes = limit_bytes;
      return candidates_.try_eviction(settings).fits ? limit_bytes : k_not_kept;
    });
  }

  /// By bisection above `low`, as if every limit above one that can be kept could be kept.
  /// `reached` gives the bytes with which a limit is kept, or k_not_kept.
  template <class Reached>
  std::int64_t lowest_limit(std::int64_t low, Reached reached) {
    std::int64_t high = candidates_.keep_all().height_bytes;
    for (int round = 0; round < k_minimize_rounds && high - low > k_granule_bytes; ++round) {
      const std::int64_t limit = low + (high - low) / 2;
      const std::int64_t bytes = reached(limit);
      (bytes == k_not_kept ? low : high) = bytes == k_not_kept ? limit : bytes;
    }
    return high;
  }

  /// Height of the plan of these settings; 0 when the walk does not fit.
  std::int64_t offer_walk(const EvictionSettings& settings) {
    const Eviction eviction = candidates_.try_eviction(settings);
    if (!eviction.fits) return 0;
    const Candidate candidate = candidates_.evaluate(eviction.decisions);
    if (offer(candidate)) best_settings_ = settings;
    return candidate.height_bytes;
  }

  /// Hill climbing on the weights of values (large: keep, small: remove) around the best settings.
  void improve() {
    if (!best_ || !best_settings_ || movable_.empty()) return;
    EvictionSettings settings = *best_settings_;
    if (settings.weights.empty()) settings.weights.assign(candidates_.flow().values.size(), 1);
    while (candidates_.nodes_left() && !stopped() && best_extra_ns() > 0) {
      EvictionSettings next = settings;
      disturb(next);
      const Eviction eviction = candidates_.try_eviction(next);
      if (!eviction.fits || eviction.extra_ns > best_extra_ns()) continue;
      const Candidate candidate = candidates_.evaluate(eviction.decisions);
      const bool as_good = best_ && candidate.height_bytes <= candidates_.budget_bytes() &&
                           candidate.step_ns == best_->step_ns;
      if (offer(candidate) || as_good) settings = next;
    }
  }

  void disturb(EvictionSettings& settings) {
    const std::size_t most = 1 + movable_.size() / 16;
    const std::size_t count = 1 + random_.below(most);
    for (std::size_t i = 0; i < count; ++i) {
      const BufferId victim = request_victim();
      settings.weights[victim.index()] = std::exp(8 * random_.unit() - 4);
    }
    // The limit counts a little more than is live: probe around it.
    if (random_.below(3) != 0) return;
    const double factor = 1 + 0.04 * (random_.unit() - 0.3);
    settings.limit_bytes =
        static_cast<std::int64_t>(static_cast<double>(settings.limit_bytes) * factor);
  }

  /// Half of the time a value of the best plan, else any.
  BufferId request_victim() {
    const auto& decisions = best_->decisions;
    if (!decisions.empty() && random_.below(2) == 0) {
      return decisions[random_.below(decisions.size())].buffer;
    }
    return movable_[random_.below(movable_.size())];
  }

  static constexpr std::int64_t k_move_work = 400000;  // moves per node = this / ops
  static constexpr std::size_t k_carried_out = 10;
  static constexpr int k_fit_rounds = 6;
  static constexpr std::size_t k_kept = 3;
  static constexpr std::size_t k_minimized = 20;
  static constexpr std::size_t k_minimized_large = 2;
  static constexpr int k_minimize_rounds = 14;
  static constexpr std::int64_t k_not_kept = -1;

  Candidates& candidates_;
  const SearchRequest& request_;
  Random random_;
  Lessons& lessons_;
  bool large_ = false;
  std::vector<BufferId> movable_;
  std::string method_;               // that is at work
  std::optional<Candidate> best_;    // of this method
  std::optional<Candidate> others_;  // of those before
  const Trace* smaller_ = nullptr;   // the plan for the next smaller budget of a sweep
  std::optional<EvictionSettings> best_settings_;
  std::int64_t proven_cost_ns_ = 0;  // no schedule of recomputations within the budget costs less
};

}  // namespace

WaysResult best_of_ways(Candidates& candidates, const SearchRequest& request,
                        const SearchResult* smaller, Lessons& lessons) {
  Search ways(candidates, request, smaller, lessons);
  WaysResult result;
  result.best = ways.run(request.method);
  result.proven_cost_ns = ways.proven_cost_ns();
  return result;
}

}  // namespace tidemark
