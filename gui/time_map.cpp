#include "gui/time_map.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

namespace tidemark {
namespace {

__extension__ using Wide = __int128;  // products of two times

using Side = std::int64_t Knot::*;

std::int64_t mapped(const std::vector<Knot>& knots, std::int64_t position, Side from, Side to) {
  if (knots.empty()) return position;
  const auto after =
      std::upper_bound(knots.begin(), knots.end(), position,
                       [from](std::int64_t at, const Knot& knot) { return at < knot.*from; });
  const Knot& knot = after == knots.begin() ? *after : *(after - 1);
  const std::int64_t distance = position - knot.*from;
  if (after == knots.begin() || after == knots.end()) return knot.*to + distance;
  const Knot& next = *after;
  const Wide part = Wide{distance} * (next.*to - knot.*to) / (next.*from - knot.*from);
  return knot.*to + static_cast<std::int64_t>(part);
}

/// Points of one op on an axis, in order: first allocation, begin, end, last free.
struct OpPoints {
  OpId op;
  std::array<std::int64_t, 4> at{};
};

/// The ops of the compute stream in the steady step that run once in it, in order.
std::vector<OpPoints> ops_in_time(const Run& run) {
  const ViewRange step = run.steady_step(Axis::time);
  const auto& spans = run.timeline().spans;
  const auto before = [](const OpSpan& span, std::int64_t ns) { return span.begin_ns < ns; };
  const auto first = std::lower_bound(spans.begin(), spans.end(), step.begin, before);
  const auto last = std::lower_bound(first, spans.end(), step.end, before);
  std::vector<OpPoints> ops;
  std::vector<std::int32_t> count(run.trace().ops.size(), 0);
  for (auto span = first; span != last; ++span) {
    if (span->step < 0 || run.trace()[span->op].stream.value > 0) continue;
    ++count[span->op.index()];
    ops.push_back({span->op, {span->begin_ns, span->begin_ns, span->end_ns, span->end_ns}});
  }
  std::erase_if(ops, [&count](const OpPoints& op) { return count[op.op.index()] > 1; });
  return ops;
}

/// Calls visit(points, change, index) for the changes of the steady step that belong to an op.
template <class Visit>
void for_changes(const Run& run, std::vector<OpPoints>& ops, Visit visit) {
  std::vector<std::int32_t> row_of(run.trace().ops.size(), -1);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    row_of[ops[i].op.index()] = static_cast<std::int32_t>(i);
  }
  const ViewRange range = run.steady_step(Axis::change);
  const std::int64_t end = std::min(range.end, run.pyramid().change_count());
  for (std::int64_t i = range.begin; i < end; ++i) {
    const MemoryChange change = run.timeline().changes[static_cast<std::size_t>(i)];
    if (change.step < 0 || !change.op.valid() || row_of[change.op.index()] < 0) continue;
    visit(ops[static_cast<std::size_t>(row_of[change.op.index()])], change, i);
  }
}

/// Allocations before an op and frees after it belong to it, but not what other ops do meanwhile.
void widen_by_changes(const Run& run, std::vector<OpPoints>& ops) {
  for_changes(run, ops, [](OpPoints& op, const MemoryChange& change, std::int64_t) {
    if (change.delta_bytes > 0) {
      op.at[0] = std::min(op.at[0], change.time_ns);
    } else {
      op.at[3] = std::max(op.at[3], change.time_ns);
    }
  });
  for (std::size_t i = 1; i < ops.size(); ++i) {
    ops[i].at[0] = std::clamp(ops[i - 1].at[2], ops[i].at[0], ops[i].at[1]);
    ops[i - 1].at[3] = std::clamp(ops[i].at[0], ops[i - 1].at[2], ops[i - 1].at[3]);
  }
}

/// The same ops on the axis of changes; those that allocate nothing have no place there.
std::vector<OpPoints> ops_in_changes(const Run& run, std::vector<OpPoints> ops) {
  for (OpPoints& op : ops) op.at = {-1, -1, -1, -1};
  for_changes(run, ops, [](OpPoints& op, const MemoryChange& change, std::int64_t index) {
    if (change.delta_bytes > 0) {
      if (op.at[0] < 0) op.at[0] = index;
      op.at[1] = op.at[2] = index;
    }
    op.at[3] = index;
  });
  std::erase_if(ops, [](const OpPoints& op) { return op.at[0] < 0; });
  return ops;
}

/// Rows of a longest part of `values` that does not decrease, in order.
std::vector<std::size_t> longest_rise(const std::vector<std::int64_t>& values) {
  std::vector<std::size_t> ends;  // ends[n]: the row with the least value that ends n + 1 rows
  std::vector<std::size_t> previous(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto place =
        std::upper_bound(ends.begin(), ends.end(), values[i],
                         [&values](std::int64_t v, std::size_t row) { return v < values[row]; });
    previous[i] = place == ends.begin() ? i : *(place - 1);
    if (place == ends.end()) {
      ends.push_back(i);
    } else {
      *place = i;
    }
  }
  std::vector<std::size_t> rows(ends.size());
  for (std::size_t n = ends.size(), row = ends.empty() ? 0 : ends.back(); n-- > 0;) {
    rows[n] = row;
    row = previous[row];
  }
  return rows;
}

/// Points of the ops that both have, in order on both sides.
std::vector<Knot> common_points(const Run& here, const std::vector<OpPoints>& here_ops,
                                const Run& there, const std::vector<OpPoints>& there_ops) {
  std::unordered_map<std::string_view, const OpPoints*> by_name;  // null: not the only one
  for (const OpPoints& op : there_ops) {
    const auto [found, is_new] = by_name.try_emplace(there.trace()[op.op].name, &op);
    if (!is_new) found->second = nullptr;
  }
  std::unordered_map<std::string_view, int> count;
  for (const OpPoints& op : here_ops) ++count[here.trace()[op.op].name];
  std::vector<std::pair<const OpPoints*, const OpPoints*>> pairs;
  std::vector<std::int64_t> order;
  for (const OpPoints& op : here_ops) {
    const std::string& name = here.trace()[op.op].name;
    const auto found = by_name.find(name);
    if (count[name] > 1 || found == by_name.end() || found->second == nullptr) continue;
    pairs.emplace_back(&op, found->second);
    order.push_back(found->second->at[1]);
  }
  std::vector<Knot> knots;
  for (const std::size_t row : longest_rise(order)) {
    for (std::size_t k = 0; k < 4; ++k) {
      knots.push_back({pairs[row].first->at[k], pairs[row].second->at[k]});
    }
  }
  return knots;
}

/// The last step was not cut off.
bool has_whole_step(const Run& run) {
  if (run.timeline().step_begin_ns.empty()) return false;
  const auto& events = run.trace().events;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    if (event->kind == EventKind::step_begin) return false;
    if (event->kind == EventKind::step_end) return true;
  }
  return true;  // replayed
}

TimeMap with_ends(std::vector<Knot> knots, ViewRange here, ViewRange there, bool fit_ends) {
  knots.insert(knots.begin(), {here.begin, there.begin});
  if (fit_ends) knots.push_back({here.end, there.end});
  return TimeMap(knots);
}

}  // namespace

TimeMap::TimeMap(const std::vector<Knot>& knots) {
  for (const Knot& knot : knots) {
    const bool in_order =
        knots_.empty() || (knot.here >= knots_.back().here && knot.there >= knots_.back().there);
    if (in_order && (knots_.empty() || knot != knots_.back())) knots_.push_back(knot);
  }
}

std::int64_t TimeMap::there(std::int64_t here) const {
  return mapped(knots_, here, &Knot::here, &Knot::there);
}

std::int64_t TimeMap::here(std::int64_t there) const {
  return mapped(knots_, there, &Knot::there, &Knot::here);
}

bool TimeMap::is_shift() const {
  return std::ranges::all_of(knots_, [this](const Knot& knot) {
    return knot.there - knot.here == knots_.front().there - knots_.front().here;
  });
}

Alignment align(const Run& here, const Run& there) {
  std::vector<OpPoints> here_ops = ops_in_time(here);
  std::vector<OpPoints> there_ops = ops_in_time(there);
  widen_by_changes(here, here_ops);
  widen_by_changes(there, there_ops);
  const std::vector<Knot> in_time = common_points(here, here_ops, there, there_ops);
  const std::vector<Knot> in_changes =
      common_points(here, ops_in_changes(here, here_ops), there, ops_in_changes(there, there_ops));
  const bool whole = has_whole_step(here) && has_whole_step(there);
  Alignment alignment;
  alignment.fit = !in_time.empty() ? EventFit::ops : whole ? EventFit::steps : EventFit::begins;
  alignment.time =
      with_ends(in_time, here.steady_step(Axis::time), there.steady_step(Axis::time), whole);
  alignment.change =
      with_ends(in_changes, here.steady_step(Axis::change), there.steady_step(Axis::change), whole);
  return alignment;
}

}  // namespace tidemark
