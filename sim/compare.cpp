#include "sim/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "sim/breakdown.h"
#include "sim/placement.h"
#include "sim/run_state.h"
#include "sim/units.h"

namespace tidemark {
namespace {

std::int64_t high_water_bytes(const Trace& trace) {
  for (const ArenaRecord& arena : trace.arenas) {
    if (arena.space.kind == SpaceKind::device) return arena.high_water_bytes;
  }
  return trace.program.body.empty() ? 0 : placement_height(trace);
}

std::int64_t host_peak_bytes(const Trace& trace) {
  std::int64_t bytes = 0;
  for (SpaceKind kind : {SpaceKind::host_pageable, SpaceKind::host_pinned}) {
    const bool used = std::ranges::any_of(trace.buffers,
                                          [kind](const Buffer& b) { return b.space.kind == kind; });
    if (used) bytes += timeline_of(trace, {kind, trace.meta.rank}).run_peak.bytes;
  }
  return bytes;
}

double error_pct(std::int64_t a, std::int64_t b) {
  return a > 0 ? 100.0 * static_cast<double>(b - a) / static_cast<double>(a) : 0;
}

/// Measured when the steps were timed, on a backend that computes; else what the ops of the body
/// are.
TimeSource step_source(const Trace& trace, bool timed) {
  if (timed && trace.meta.backend != "dry") return TimeSource::measured;
  TimeSource source = TimeSource::none;
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const TimeSource one = trace[line.op()].time_source;
    if (one == TimeSource::measured) return one;
    if (one != TimeSource::none) source = one;
  }
  return source;
}

void count_body(const Trace& trace, RunFigures& figures) {
  for (const Instruction& line : trace.program.body) {
    if (line.kind != InstructionKind::run) continue;
    const Op& op = trace[line.op()];
    if (op.stream.value <= 0) figures.compute_ns += std::max<std::int64_t>(op.duration_ns, 0);
    if (op.kind == OpKind::copy) {
      figures.copied_bytes += trace[op.operands[0].buffer].size_bytes;
    } else if (op.copy > 0 && !op.operands.empty()) {
      ++figures.recomputed_ops;
    }
  }
}

/// The origin of a buffer keeps its name through every transform; a part is compared with the same
/// part only.
struct DigestKey {
  std::int32_t step = 0;
  std::string name;
  std::int32_t part = 0;
  std::int32_t parts = 1;
  auto operator<=>(const DigestKey&) const = default;
};

std::map<DigestKey, std::int64_t> digests_of(const Trace& trace) {
  std::map<DigestKey, std::int64_t> out;
  for (const Digest& d : trace.digests) {
    const Buffer& b = trace[d.buffer];
    out[{d.step, b.name, b.shard.index, b.shard.count}] = d.hash;
  }
  return out;
}

/// Losses of the steps, or of the evaluations after them.
std::map<std::int32_t, double> losses_of(const Trace& trace, bool of_eval) {
  std::map<std::int32_t, double> out;
  for (const StepRecord& s : trace.steps) {
    if (of_eval ? s.has_eval_loss : s.has_loss) out[s.step] = of_eval ? s.eval_loss : s.loss;
  }
  return out;
}

void compare_results(const Trace& a, const Trace& b, Comparison& c) {
  bool equal = true;
  const auto differ = [&](const std::string& where) {
    equal = false;
    if (c.first_difference.empty()) c.first_difference = where;
  };
  for (const bool of_eval : {false, true}) {
    const auto b_losses = losses_of(b, of_eval);
    for (const auto& [step, loss] : losses_of(a, of_eval)) {
      const auto other = b_losses.find(step);
      if (other == b_losses.end()) continue;
      if (!of_eval) ++c.compared_steps;
      const double apart = std::abs(other->second - loss);
      if (apart > 0) c.loss_difference = std::max(c.loss_difference, apart / std::abs(loss));
      if (std::bit_cast<std::uint64_t>(loss) != std::bit_cast<std::uint64_t>(other->second)) {
        differ(fmt::format("step {}: {}loss {} and {}", step, of_eval ? "eval " : "", loss,
                           other->second));
      }
    }
  }
  const auto b_digests = digests_of(b);
  for (const auto& [key, hash] : digests_of(a)) {
    const auto other = b_digests.find(key);
    if (other == b_digests.end()) continue;
    ++c.compared_digests;
    if (hash != other->second) differ(fmt::format("step {}: {}", key.step, key.name));
  }
  if (c.compared_steps > 0 && c.compared_digests > 0) c.bitwise_equal = equal;
}

std::map<std::string, std::int64_t> layers_at_peak(const Trace& trace) {
  const Timeline timeline = timeline_of(trace, {SpaceKind::device, trace.meta.rank});
  std::map<std::string, std::int64_t> out;
  for (const Holding& h : breakdown(trace, timeline, timeline.peak.change, {GroupBy::layer})) {
    out[h.keys[0]] = h.bytes;
  }
  return out;
}

void compare_layers(const Trace& a, const Trace& b, Comparison& c) {
  std::map<std::string, LayerDifference> all;
  for (const auto& [layer, bytes] : layers_at_peak(a)) all[layer] = {layer, bytes, 0};
  for (const auto& [layer, bytes] : layers_at_peak(b)) {
    all[layer].layer = layer;
    all[layer].b_bytes = bytes;
  }
  for (const auto& [layer, difference] : all) {
    if (difference.a_bytes != difference.b_bytes) c.layers.push_back(difference);
  }
  std::stable_sort(c.layers.begin(), c.layers.end(), [](const auto& x, const auto& y) {
    return std::abs(x.b_bytes - x.a_bytes) > std::abs(y.b_bytes - y.a_bytes);
  });
}

}  // namespace

std::int64_t median_step_ns(const Trace& trace, std::int64_t StepRecord::*time) {
  std::vector<std::int64_t> times_ns;
  for (const StepRecord& s : trace.steps) {
    if (s.step > 0 || trace.steps.size() == 1) times_ns.push_back(s.*time);
  }
  if (times_ns.empty()) return 0;
  const auto middle = times_ns.begin() + static_cast<std::ptrdiff_t>(times_ns.size() / 2);
  std::nth_element(times_ns.begin(), middle, times_ns.end());
  return *middle;
}

RunFigures figures_of(const Trace& trace) {
  const Timeline timeline = timeline_of(trace, {SpaceKind::device, trace.meta.rank});
  RunFigures f;
  f.peak_bytes = timeline.peak.bytes;
  f.has_peak = timeline.peak.change >= 0;
  f.is_final = is_whole(trace.health) && ending_shortage(trace) == nullptr &&
               !(trace.steps.empty() && was_cancelled(trace));
  f.run_peak_bytes = timeline.run_peak.bytes;
  f.eval_peak_bytes = timeline.eval_peak.bytes;
  f.by_category = timeline.peak.by_category;
  f.reserved_bytes = high_water_bytes(trace);
  f.host_peak_bytes = host_peak_bytes(trace);
  // The steps of a planned trace are its expectation: they were timed without the plan.
  const bool ran = !trace.events.empty() && trace.meta.kind != TraceKind::planned;
  const bool timed = ran && !trace.steps.empty();
  f.step_ns = timed ? median_step_ns(trace) : timeline.step_ns;
  f.is_timed = timed;
  f.step_source = step_source(trace, timed);
  f.steps = static_cast<std::int64_t>(trace.steps.size());
  if (!trace.steps.empty()) {
    f.has_loss = trace.steps.front().has_loss;
    f.first_loss = trace.steps.front().loss;
    f.last_loss = trace.steps.back().loss;
  }
  count_body(trace, f);
  if (timed) f.compute_ns = median_step_ns(trace, &StepRecord::cpu_ns);
  return f;
}

std::string step_origin(const RunFigures& f) {
  if (f.step_source == TimeSource::modelled) return "modelled";
  if (f.step_source == TimeSource::none) return f.is_timed ? "as recorded" : "source not known";
  return f.is_timed ? "measured" : "replayed from measured times of ops";
}

std::string load_warning(const RunFigures& f) {
  const bool measured = f.is_timed && f.step_source == TimeSource::measured && f.compute_ns > 0;
  if (!measured || f.step_ns * 2 < f.compute_ns * 3) return {};
  return fmt::format(
      "a step took {} by the clock but {} of CPU time: the machine was busy or the run waited, so "
      "times may be too long",
      format_ns(f.step_ns), format_ns(f.compute_ns));
}

Comparison compare(const Trace& a, const Trace& b) {
  Comparison c;
  c.a = figures_of(a);
  c.b = figures_of(b);
  c.peak_error_bytes = c.b.peak_bytes - c.a.peak_bytes;
  if (c.a.reserved_bytes > 0 && c.b.reserved_bytes > 0) {
    c.reserved_error_bytes = c.b.reserved_bytes - c.a.reserved_bytes;
  }
  c.step_time_error_pct = error_pct(c.a.step_ns, c.b.step_ns);
  c.compute_time_error_pct = error_pct(c.a.compute_ns, c.b.compute_ns);
  compare_results(a, b, c);
  compare_layers(a, b, c);
  return c;
}

}  // namespace tidemark
