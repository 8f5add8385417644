#include "sim/bound.h"

#include <algorithm>
#include <map>

#include "sim/graph.h"
#include "sim/prefetch.h"
#include "sim/windows.h"

namespace tidemark {
namespace {

std::size_t at(Position position) {
  return static_cast<std::size_t>(position);
}

struct Allowed {
  bool recompute = true;
  bool offload = true;
};

/// Ops [begin, end) of the body during which a decision can keep a value off the device.
struct Gap {
  BufferId buffer;
  std::int64_t bytes = 0;
  Position begin = 0;
  Position end = 0;
  Position producer = -1;
  bool by_recompute = false;
  bool by_offload = false;
};

/// A value is needed by the ops that use it, so only the ops between two uses are candidates.
/// Making it again must happen before an op up to valid_until; moving it must come after its last
/// write. A value without bytes covers nothing.
std::vector<Gap> gaps_of(const Dataflow& flow, Allowed allowed) {
  std::vector<Gap> gaps;
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    if (!value.movable || value.bytes == 0) continue;
    for (std::size_t i = 0; i + 1 < value.uses.size(); ++i) {
      Gap gap{.buffer = BufferId{row},
              .bytes = value.bytes,
              .begin = value.uses[i] + 1,
              .end = value.uses[i + 1],
              .producer = value.producer};
      gap.by_offload = allowed.offload && value.uses[i] >= value.last_write;
      gap.by_recompute = allowed.recompute && value.recomputable && gap.begin < value.valid_until;
      if (!gap.by_offload) gap.end = std::min(gap.end, value.valid_until);
      if (gap.begin < gap.end && (gap.by_offload || gap.by_recompute)) gaps.push_back(gap);
    }
  }
  return gaps;
}

Allowed allowed_by(const SearchRequest& request) {
  return {request.allow_recompute, request.allow_offload && request.link_bytes_per_s > 0};
}

void sort_largest_first(const Trace& source, std::vector<BufferId>& buffers) {
  std::sort(buffers.begin(), buffers.end(), [&source](BufferId a, BufferId b) {
    return std::pair(-source[a].size_bytes, a) < std::pair(-source[b].size_bytes, b);
  });
}

/// What lives at the worst moment of a section that no decision changes; `live` is carried on.
/// `parked` need not be on the device at any moment that counts.
Infeasible section_bound(const Trace& source, const std::vector<Instruction>& section,
                         const std::vector<bool>& parked, std::vector<bool>& live) {
  const Space device{SpaceKind::device, source.meta.rank};
  std::int64_t bytes = 0;
  for (std::size_t row = 0; row < live.size(); ++row) {
    if (live[row]) bytes += counted_bytes(source.buffers[row]);
  }
  const auto carry_out = [&](const Instruction& line, std::vector<bool>& at_once) {
    if (line.kind == InstructionKind::run || source[line.buffer()].space != device) return;
    if (parked[line.buffer().index()]) return;
    const bool begins = line.kind == InstructionKind::alloc;
    at_once[line.buffer().index()] = begins;
    bytes += (begins ? 1 : -1) * counted_bytes(source[line.buffer()]);
  };
  std::vector<bool> at_worst = live;
  Infeasible worst;
  worst.bound_bytes = bytes;
  std::size_t worst_line = 0;  // where its first `worst_line` lines have been carried out
  for (std::size_t i = 0; i < section.size(); ++i) {
    carry_out(section[i], live);
    if (bytes <= worst.bound_bytes) continue;
    worst.bound_bytes = bytes;
    worst_line = i + 1;
  }
  for (std::size_t i = 0; i < worst_line; ++i) carry_out(section[i], at_worst);
  const auto next =
      std::find_if(section.begin() + static_cast<std::ptrdiff_t>(worst_line), section.end(),
                   [](const Instruction& line) { return line.kind == InstructionKind::run; });
  if (next != section.end()) worst.binding_op = next->op();
  for (std::size_t row = 0; row < at_worst.size(); ++row) {
    if (at_worst[row]) worst.binding_buffers.emplace_back(row);
  }
  sort_largest_first(source, worst.binding_buffers);
  return worst;
}

std::vector<BufferId> parkable_values(const Dataflow& flow, Allowed allowed) {
  std::vector<BufferId> found;
  for (std::size_t row = 0; row < flow.values.size() && allowed.offload; ++row) {
    if (flow.values[row].parkable) found.emplace_back(row);
  }
  return found;
}

Infeasible body_bound(const Trace& source, const Dataflow& flow, Allowed allowed) {
  std::vector<std::int64_t> held = keep_all_bytes(flow);
  const std::vector<Gap> gaps = gaps_of(flow, allowed);
  std::vector<std::int64_t> change(held.size() + 1, 0);
  for (const Gap& gap : gaps) {
    change[at(gap.begin)] -= gap.bytes;
    change[at(gap.end)] += gap.bytes;
  }
  std::int64_t removed = 0;
  for (std::size_t i = 0; i < held.size(); ++i) held[i] += removed += change[i];
  const auto worst = std::max_element(held.begin(), held.end());
  const auto position = static_cast<Position>(worst - held.begin());

  Infeasible bound{.bound_bytes = *worst,
                   .smallest_found_bytes = 0,
                   .binding_op = flow.body[at(position)].op,
                   .binding_buffers = flow.persistent};
  std::vector<bool> can_leave(flow.values.size(), false);
  for (const Gap& gap : gaps) {
    if (gap.begin <= position && position < gap.end) can_leave[gap.buffer.index()] = true;
  }
  for (std::size_t row = 0; row < flow.values.size(); ++row) {
    const Value& value = flow.values[row];
    if (!value.local || value.uses.empty() || can_leave[row]) continue;
    const bool live = value.uses.front() <= position && position <= value.last_use();
    if (live && value.bytes > 0) bound.binding_buffers.push_back(BufferId{row});
  }
  sort_largest_first(source, bound.binding_buffers);
  return bound;
}

Infeasible budget_bound(const Trace& source, const Dataflow& flow, Allowed allowed) {
  const std::vector<BufferId> parkable = parkable_values(flow, allowed);
  Infeasible worst = parkable.empty() ? body_bound(source, flow, allowed)
                                      : body_bound(source, with_parked(flow, parkable), allowed);
  std::vector<bool> parked(source.buffers.size(), false);
  for (const BufferId id : parkable) parked[id.index()] = true;
  std::vector<bool> live(source.buffers.size(), false);
  for (const auto* section : {&source.program.init, &source.program.eval, &source.program.final}) {
    Infeasible bound = section_bound(source, *section, parked, live);
    if (bound.bound_bytes > worst.bound_bytes) worst = std::move(bound);
  }
  return worst;
}

// ---- time

/// What the cover of one op may be made of.
struct Cover {
  struct Item {
    double ns = 0;
    double bytes = 0;
  };
  std::vector<Item> items;     // one per producer that may run again; least ns per byte first
  double recompute_bytes = 0;  // their sum
  double offload_bytes = 0;    // of values that may be moved
  double padding_bytes = 0;    // by which counted bytes may exceed moved bytes

  /// Least time for `bytes` by recomputation alone when producers may be run in part; < 0: not
  /// possible.
  [[nodiscard]] double recompute_ns(double bytes) const {
    if (bytes > recompute_bytes) return -1;
    double ns = 0;
    for (const Item& item : items) {
      if (bytes <= 0) break;
      ns += item.ns * std::min(1.0, bytes / item.bytes);
      bytes -= item.bytes;
    }
    return ns;
  }
};

Cover cover_at(const Dataflow& flow, const std::vector<Gap>& gaps, Position position) {
  Cover cover;
  std::map<Position, Cover::Item> by_producer;
  for (const Gap& gap : gaps) {
    if (position < gap.begin || gap.end <= position) continue;
    const auto bytes = static_cast<double>(gap.bytes);
    if (gap.by_offload) {
      cover.offload_bytes += bytes;
      cover.padding_bytes += static_cast<double>(k_granule_bytes);
    }
    if (!gap.by_recompute) continue;
    Cover::Item& item = by_producer[gap.producer];
    item.ns = static_cast<double>(flow.body[at(gap.producer)].duration_ns);
    item.bytes += bytes;
    cover.recompute_bytes += bytes;
  }
  for (const auto& entry : by_producer) cover.items.push_back(entry.second);
  std::sort(cover.items.begin(), cover.items.end(),
            [](const auto& a, const auto& b) { return a.ns * b.bytes < b.ns * a.bytes; });
  return cover;
}

/// Everything about one op t that the proof below uses.
struct Moment {
  Cover cover;
  double missing_bytes = 0;         // live bytes of keep-all at t above the budget
  double parked_bytes = 0;          // of them those of optimizer state that may be on the host at t
  double parked_padding_bytes = 0;  // by which they may exceed what is moved
  double before_ns = 0;             // ops of the body before t, back to back
  double own_ns = 0;
  double base_ns = 0;  // all ops of the body, back to back
  double link_bytes_per_ns = 0;
};

/// The least step time T that op t allows, -1 when none does.
///
/// Proof. While op t runs, the values that are absent cover missing_bytes. Each comes back before
/// its next use in the source, which is after t: (a) its producer runs once more on the compute
/// stream, or (b) it is fetched. Let Y be the bytes of (b), moved in both directions. The copies to
/// the host end before t begins, and t with all that follows needs base - before; the fetches begin
/// after t, and what comes before and t itself need before + own. Hence
///   Y <= rate x min(T - (base - before), T - (before + own)) + padding.
/// Optimizer state that is on the host is fetched in the same step, before t or after it: let P be
/// its bytes. All fetches follow each other on one link, hence
///   Y + P <= rate x T + padding.
/// Let Y(T) be the most that Y + P can be. The others cover missing - Y(T); a producer runs again
/// once for all its outputs, so with C(x) = the least time of a fractional cover of x bytes, T >=
/// base + C(missing - Y(T)). C grows with x and Y(T) grows with T, so that every larger T satisfies
/// it too: the smallest T that does is a lower bound. Bisection keeps the side that is not
/// excluded.
double least_step_ns(const Moment& m) {
  const auto excluded = [&m](double step_ns) {
    const double window =
        std::min(step_ns - (m.base_ns - m.before_ns), step_ns - m.before_ns - m.own_ns);
    const double values = std::min(
        m.cover.offload_bytes, m.link_bytes_per_ns * std::max(0.0, window) + m.cover.padding_bytes);
    const double moved =
        std::min(values + m.parked_bytes,
                 m.link_bytes_per_ns * step_ns + m.cover.padding_bytes + m.parked_padding_bytes);
    const double again_ns = m.cover.recompute_ns(m.missing_bytes - moved);
    return again_ns < 0 || step_ns < m.base_ns + again_ns;
  };
  if (!excluded(m.base_ns)) return m.base_ns;
  double low = m.base_ns;
  double high = m.base_ns + std::max(m.cover.recompute_ns(m.cover.recompute_bytes), 1.0);
  if (m.link_bytes_per_ns > 0) high += m.missing_bytes / m.link_bytes_per_ns + m.base_ns;
  if (excluded(high + 1)) return -1;
  for (int round = 0; round < 60 && high - low > 0.5; ++round) {
    const double middle = (low + high) / 2;
    (excluded(middle) ? low : high) = middle;
  }
  return low;
}

/// Ops to look at: any choice gives a bound, those with the most missing bytes give good ones. Each
/// looks at all gaps, so that a large body can afford fewer.
std::vector<Position> moments(const std::vector<std::int64_t>& live, std::int64_t budget_bytes,
                              std::size_t gaps) {
  constexpr std::size_t k_work = 150'000;
  const std::size_t most = std::clamp<std::size_t>(k_work / (gaps + 1), 12, 96);
  std::vector<Position> found;
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i] > budget_bytes) found.push_back(static_cast<Position>(i));
  }
  std::stable_sort(found.begin(), found.end(),
                   [&live](Position a, Position b) { return live[at(a)] > live[at(b)]; });
  if (found.size() > most) found.resize(most);
  return found;
}

}  // namespace

Infeasible budget_bound(const Trace& source) {
  return budget_bound(source, dataflow_of(source), Allowed{});
}

Infeasible budget_bound(const Trace& source, const SearchRequest& request) {
  return budget_bound(source, dataflow_of(source), request);
}

Infeasible budget_bound(const Trace& source, const Dataflow& flow, const SearchRequest& request) {
  return budget_bound(source, flow, allowed_by(request));
}

namespace {

/// When each op of the compute stream begins, back to back; one more at the end.
std::vector<double> compute_begins(const Trace& source, const Dataflow& flow) {
  std::vector<double> begin_ns{0};
  for (const BodyOp& op : flow.body) {
    const bool computes = source[source[op.op].stream].kind == StreamKind::compute;
    begin_ns.push_back(begin_ns.back() + (computes ? static_cast<double>(op.duration_ns) : 0));
  }
  return begin_ns;
}

std::int64_t step_bound_ns(const Dataflow& flow, const std::vector<double>& begin_ns,
                           const SearchRequest& request) {
  const Allowed allowed = allowed_by(request);
  const std::vector<Gap> gaps = gaps_of(flow, allowed);
  const std::vector<BufferId> parkable = parkable_values(flow, allowed);
  const std::vector<std::int64_t> live = keep_all_bytes(flow);
  const std::vector<std::int64_t> unparked =
      parkable.empty() ? live : keep_all_bytes(with_parked(flow, parkable));
  const auto parked_padding = static_cast<double>(parkable.size()) * k_granule_bytes;
  std::vector<Position> looked_at = moments(unparked, request.budget_bytes, gaps.size());
  if (looked_at.empty()) looked_at = moments(live, request.budget_bytes, gaps.size());
  double best = begin_ns.back();
  for (const Position t : looked_at) {
    const double own_ns = begin_ns[at(t) + 1] - begin_ns[at(t)];
    const double least =
        least_step_ns({.cover = cover_at(flow, gaps, t),
                       .missing_bytes = static_cast<double>(live[at(t)] - request.budget_bytes),
                       .parked_bytes = static_cast<double>(live[at(t)] - unparked[at(t)]),
                       .parked_padding_bytes = parked_padding,
                       .before_ns = begin_ns[at(t)],
                       .own_ns = own_ns,
                       .base_ns = begin_ns.back(),
                       .link_bytes_per_ns = allowed.offload ? request.link_bytes_per_s / 1e9 : 0});
    if (least < 0) return -1;
    best = std::max(best, least);
  }
  const auto bound_ns = static_cast<std::int64_t>(best);
  constexpr std::size_t k_most_ops = 2000;  // above, the cover takes longer than a first plan may
  const bool large = flow.body.size() > k_most_ops;
  if (allowed.offload || !allowed.recompute || large) return bound_ns;
  const Timer timer(request.time_limit_s / 10);
  const RecomputeBound cover = window_bound(flow, request.budget_bytes, {.timer = &timer});
  if (!cover.possible) return -1;
  const auto base_ns = static_cast<std::int64_t>(begin_ns.back());
  return std::max(bound_ns, base_ns + cover.cost_ns - flow.compute_ns());
}

}  // namespace

std::int64_t step_bound_ns(const Trace& source, const SearchRequest& request) {
  return step_bound_ns(source, dataflow_of(source), request);
}

std::int64_t step_bound_ns(const Trace& source, const Dataflow& flow,
                           const SearchRequest& request) {
  return step_bound_ns(flow, compute_begins(source, flow), request);
}

std::int64_t step_bound_ns(const Dataflow& flow, std::int64_t budget_bytes) {
  SearchRequest request;
  request.budget_bytes = budget_bytes;
  request.allow_offload = false;
  return step_bound_ns(flow, {flow.begin_ns.begin(), flow.begin_ns.end()}, request);
}

}  // namespace tidemark
