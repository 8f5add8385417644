#include "sim/checkpoint_advice.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace tidemark {

/// The activations of one call of a module, in the order in which they were made.
struct CheckpointAdvice::Call {
  std::vector<Activation> made;
};

namespace {

/// Layers that are named by the line that calls them stand for all modules that it calls.
constexpr std::string_view k_call_site = "call site";

bool is_kept(const Trace& trace, BufferId id) {
  return trace[id].category == Category::activation && !trace[id].storage.valid();
}

}  // namespace

CheckpointAdvice::CheckpointAdvice(const Trace& trace, Timeline timeline)
    : timeline_(std::move(timeline)) {
  for (const Layer& layer : trace.layers) parents_.push_back(layer.parent);
  find_buffers(trace);
  find_candidates(trace);
}

void CheckpointAdvice::find_buffers(const Trace& trace) {
  const std::vector<MemoryChange>& changes = timeline_.changes;
  std::vector<std::ptrdiff_t> row_of(trace.buffers.size(), -1);
  std::int64_t live = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const MemoryChange& change = changes[i];
    live_bytes_.push_back(live += change.delta_bytes);
    if (!is_kept(trace, change.buffer)) continue;
    std::ptrdiff_t& row = row_of[change.buffer.index()];
    if (change.delta_bytes > 0) {
      row = std::ssize(activations_);
      activations_.push_back(
          {change.buffer, static_cast<std::int64_t>(i), std::ssize(changes), change.delta_bytes});
    } else if (row >= 0) {
      activations_[static_cast<std::size_t>(row)].freed = static_cast<std::int64_t>(i);
      other_frees_.push_back(static_cast<std::int64_t>(i));
    }
  }
  if (timeline_.peak.change < 0) return;
  const std::int32_t step = changes[static_cast<std::size_t>(timeline_.peak.change)].step;
  const bool whole = timeline_.step_begin_ns.empty();
  const auto in_window = [&](const MemoryChange& c) { return whole || c.step == step; };
  const auto first = std::ranges::find_if(changes, in_window);
  first_ = first - changes.begin();
  for (auto i = first; i != changes.end() && in_window(*i); ++i) last_ = i - changes.begin();
}

bool CheckpointAdvice::is_inside(LayerId inner, LayerId outer) const {
  while (inner.valid() && inner != outer) inner = parents_[inner.index()];
  return inner.valid();
}

void CheckpointAdvice::find_candidates(const Trace& trace) {
  std::map<LayerId, std::vector<std::size_t>> rows_of;
  std::map<LayerId, std::int64_t> held_bytes;
  for (std::size_t row = 0; row < activations_.size(); ++row) {
    const Activation& a = activations_[row];
    if (a.made < first_ || a.made > last_) continue;
    const std::int64_t peak = timeline_.peak.change;
    for (LayerId l = trace[a.buffer].layer; l.valid(); l = parents_[l.index()]) {
      rows_of[l].push_back(row);
      if (a.made <= peak && a.freed > peak) held_bytes[l] += a.bytes;
    }
  }
  std::vector<ModuleAdvice> found;
  for (const auto& [module, rows] : rows_of) {
    const LayerId outer = parents_[module.index()];
    const bool same = outer.valid() && rows_of.at(outer).size() == rows.size();
    if (same || held_bytes[module] * 100 < timeline_.peak.bytes) continue;
    add_candidate(trace, module, rows);
    advice_.back().held_bytes = held_bytes[module];
    if (advice_.back().peak_bytes < timeline_.peak.bytes) continue;
    advice_.pop_back();
    candidates_.pop_back();
  }
  std::vector<std::size_t> order(advice_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [this](std::size_t i) { return advice_[i].peak_bytes; });
  std::vector<Candidate> candidates;
  for (const std::size_t i : order) {
    found.push_back(advice_[i]);
    candidates.push_back(std::move(candidates_[i]));
  }
  advice_ = std::move(found);
  candidates_ = std::move(candidates);
}

void CheckpointAdvice::add_candidate(const Trace& trace, LayerId module,
                                     const std::vector<std::size_t>& rows) {
  const bool repeats = trace[module].kind == k_call_site;
  std::vector<Call> calls;
  for (const std::size_t row : rows) {
    const Activation& a = activations_[row];
    const auto is_first_again = [&](const Activation& first) {
      return trace[a.buffer].name == trace[first.buffer].name &&
             trace[a.buffer].layer == trace[first.buffer].layer;
    };
    const auto is_over = [&](const Call& call) {  // backward was there
      const auto given_back = std::ranges::count_if(
          call.made, [&](const Activation& one) { return one.freed < a.made; });
      return 2 * given_back > std::ssize(call.made);
    };
    const bool begins = calls.empty() || is_over(calls.back()) ||
                        (repeats && is_first_again(calls.back().made.front()));
    if (begins) calls.emplace_back();
    calls.back().made.push_back(a);
  }
  Candidate& c = candidates_.emplace_back(Candidate{.module = module, .deltas = {}, .again_ns = 0});
  std::vector<std::int64_t> times_ns;
  for (const Call& call : calls) {
    if (const std::int64_t ns = add_call(call, c.deltas); ns >= 0) times_ns.push_back(ns);
  }
  if (!times_ns.empty()) {
    const auto middle = times_ns.begin() + std::ssize(times_ns) / 2;
    std::ranges::nth_element(times_ns, middle);
    c.again_ns = *middle * std::ssize(times_ns);
  }
  std::ranges::stable_sort(c.deltas, {}, &Delta::change);
  advice_.push_back({.module = module,
                     .calls = std::ssize(calls),
                     .held_bytes = 0,
                     .peak_bytes = peak_with({&c}),
                     .again_ns = c.again_ns});
}

std::int64_t CheckpointAdvice::add_call(const Call& call, std::vector<Delta>& deltas) const {
  const std::int64_t end = call.made.back().made;
  std::int64_t given_up = 0;
  std::int64_t first_free = std::ssize(timeline_.changes);
  std::vector<std::int64_t> own_frees;
  for (const Activation& a : call.made) {
    own_frees.push_back(a.freed);
    if (&a == &call.made.back() || a.freed <= end) continue;
    given_up += a.bytes;
    first_free = std::min(first_free, a.freed);
  }
  // The last activation of others that backward gave back before it came here.
  std::ranges::sort(own_frees);
  auto before = std::ranges::lower_bound(other_frees_, first_free);
  while (before != other_frees_.begin() && std::ranges::binary_search(own_frees, *(before - 1))) {
    --before;
  }
  const std::int64_t back = before == other_frees_.begin() ? -1 : *(before - 1);
  if (given_up == 0 || back <= end) return -1;  // nothing was there in between

  const std::int64_t begin = call.made.front().made;
  std::int64_t kept = 0, in_use = 0;
  std::size_t next = 0;
  const std::int64_t before_bytes =
      begin == 0 ? 0 : live_bytes_[static_cast<std::size_t>(begin - 1)];
  for (std::int64_t i = begin; i <= end; ++i) {
    for (; next < call.made.size() && call.made[next].made <= i; ++next) {
      kept += call.made[next].bytes;
    }
    in_use = std::max(in_use, live_bytes_[static_cast<std::size_t>(i)] - before_bytes - kept);
  }
  deltas.push_back({.change = end, .bytes = -given_up});
  deltas.push_back({.change = back, .bytes = given_up, .spike_bytes = in_use});
  const auto time_of = [this](std::int64_t i) {
    return timeline_.changes[static_cast<std::size_t>(i)].time_ns;
  };
  // What was allocated last is worked on until something else happens.
  return time_of(std::min(end + 1, std::ssize(timeline_.changes) - 1)) - time_of(begin);
}

std::int64_t CheckpointAdvice::peak_with(const std::vector<const Candidate*>& chosen) const {
  std::vector<Delta> deltas;
  for (const Candidate* c : chosen) {
    deltas.insert(deltas.end(), c->deltas.begin(), c->deltas.end());
  }
  std::ranges::stable_sort(deltas, {}, &Delta::change);
  std::int64_t peak = 0, shift = 0;
  std::size_t next = 0;
  for (std::int64_t i = first_; i <= last_; ++i) {
    std::int64_t spike = 0;
    for (; next < deltas.size() && deltas[next].change <= i; ++next) {
      shift += deltas[next].bytes;
      spike = std::max(spike, deltas[next].spike_bytes);
    }
    peak = std::max(peak, live_bytes_[static_cast<std::size_t>(i)] + shift + spike);
  }
  return peak;
}

CheckpointPlan CheckpointAdvice::choose(std::int64_t budget_bytes) const {
  std::vector<const Candidate*> chosen;
  std::int64_t peak = timeline_.peak.bytes;
  while (peak > budget_bytes) {
    std::vector<const Candidate*> best;
    std::int64_t best_peak = peak;
    double best_gain = 0;
    for (const Candidate& c : candidates_) {
      const auto holds = [&](const Candidate* o) { return is_inside(c.module, o->module); };
      if (std::ranges::any_of(chosen, holds)) continue;
      std::vector<const Candidate*> trial{&c};
      std::int64_t more_ns = c.again_ns + 1;
      for (const Candidate* other : chosen) {
        const bool replaced = is_inside(other->module, c.module);
        if (replaced) more_ns -= other->again_ns;
        if (!replaced) trial.push_back(other);
      }
      const std::int64_t with = peak_with(trial);
      const double gain = static_cast<double>(peak - with) /
                          static_cast<double>(std::max<std::int64_t>(more_ns, 1));
      if (with >= peak || gain <= best_gain) continue;
      best = std::move(trial), best_peak = with, best_gain = gain;
    }
    if (best.empty()) break;
    chosen = std::move(best);
    peak = best_peak;
  }
  for (std::size_t i = 0; i < chosen.size();) {  // the first were chosen when little was known
    std::vector<const Candidate*> fewer = chosen;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    const std::int64_t without = peak_with(fewer);
    if (without > std::max(budget_bytes, peak)) {
      ++i;
      continue;
    }
    chosen = std::move(fewer);
    peak = without;
  }
  CheckpointPlan plan{
      .modules = {}, .peak_bytes = peak, .again_ns = 0, .fits = peak <= budget_bytes};
  for (const Candidate* c : chosen) {
    plan.modules.push_back(c->module);
    plan.again_ns += c->again_ns;
  }
  std::ranges::sort(plan.modules);
  return plan;
}

}  // namespace tidemark
