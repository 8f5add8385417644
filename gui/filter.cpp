#include "gui/filter.h"

#include <algorithm>
#include <set>

#include "gui/labels.h"
#include "sim/tide.h"

namespace tidemark {
namespace {

/// Steps that came to their end; all of a replay do.
std::set<std::int32_t> ended_steps(const Trace& trace) {
  std::set<std::int32_t> ended;
  for (const Event& event : trace.events) {
    if (event.kind == EventKind::step_end) ended.insert(event.index);
  }
  return ended;
}

struct Part {
  RunTimeline timeline;
  std::vector<std::uint32_t> of_whole;
};

/// The tide of the changes that pass. Begins and ends of steps are where those of the whole are.
Part pick(const Run& whole, const std::vector<bool>& passes) {
  const RunTimeline& all = whole.timeline();
  const std::set<std::int32_t> ended = ended_steps(whole.trace());
  RunTimeline empty;
  empty.changes = ChangeColumns(whole.trace());
  Tide<RunTimeline> tide(whole.trace(), all.space, std::move(empty));
  Part part;
  const auto end_step = [&](std::int64_t time_ns) {
    const bool open = tide.step() >= 0;
    if (open && (whole.trace().events.empty() || ended.contains(tide.step()))) {
      tide.end_step(time_ns);
    }
  };
  const auto& marks = all.changes.arrays().steps;
  std::size_t next_mark = 0;
  for (std::size_t row = 0; row < all.changes.size(); ++row) {
    const std::int64_t time_ns = all.changes.time_ns(row);
    if (next_mark < marks.size() &&
        marks[next_mark].first_change == static_cast<std::int64_t>(row)) {
      end_step(time_ns);
      const std::int32_t step = marks[next_mark++].step;
      if (step >= 0) tide.begin_step(step, time_ns);
    }
    if (!passes[all.changes.buffer_row(row)]) continue;
    tide.change(all.changes.buffer(row), !all.changes.is_free(row), time_ns, all.changes.op(row));
    part.of_whole.push_back(static_cast<std::uint32_t>(row));
  }
  end_step(all.end_ns);
  part.timeline = tide.finish(all.end_ns);
  part.timeline.spans = all.spans;
  part.timeline.step_begin_ns = all.step_begin_ns;
  part.timeline.begin_ns = all.begin_ns;
  part.timeline.step_ns = all.step_ns;
  part.timeline.event_count = all.event_count;
  part.timeline.reserved = all.reserved;
  part.timeline.host = all.host;
  return part;
}

}  // namespace

std::string to_text(const FilterTerm& term) {
  return std::string(to_string(term.by)) + " " + spoken(term.name);
}

std::vector<FilterTerm> terms_of(const Run& run) {
  std::vector<bool> lives(run.trace().buffers.size(), false);
  for (std::int64_t row = 0; row < run.alive().count(); ++row) {
    lives[run.alive().lifetime(static_cast<std::size_t>(row)).buffer.index()] = true;
  }
  std::vector<FilterTerm> terms;
  for (std::size_t by = 0; by < k_group_by_count; ++by) {
    if (static_cast<StackBy>(by) == StackBy::tensor) continue;  // found by their names
    const BufferKeys keys = buffer_keys(run.trace(), run.timeline(), static_cast<StackBy>(by));
    std::vector<bool> used(keys.names.size(), false);
    for (std::size_t row = 0; row < lives.size(); ++row) {
      if (lives[row]) used[keys.of_buffer[row]] = true;
    }
    for (std::size_t key = 0; key < used.size(); ++key) {
      if (used[key]) terms.push_back({.by = static_cast<StackBy>(by), .name = keys.names[key]});
    }
  }
  return terms;
}

std::optional<FilterTerm> term_of(const Run& run, const std::string& text) {
  for (const FilterTerm& term : terms_of(run)) {
    const bool raw = text == std::string(to_string(term.by)) + " " + term.name;
    if (raw || text == to_text(term)) return term;
  }
  return std::nullopt;
}

Filter toggled(Filter filter, const FilterTerm& term) {
  if (std::erase(filter, term) == 0) filter.push_back(term);
  return filter;
}

std::vector<bool> passing(const Run& run, const Filter& filter) {
  std::vector<bool> passes(run.trace().buffers.size(), true);
  for (std::size_t kind = 0; kind < k_group_by_count; ++kind) {
    const auto by = static_cast<StackBy>(kind);
    if (std::ranges::find(filter, by, &FilterTerm::by) == filter.end()) continue;
    const BufferKeys keys = buffer_keys(run.trace(), run.timeline(), by);
    std::vector<bool> wanted;
    for (const std::string& name : keys.names) {
      wanted.push_back(std::ranges::find(filter, FilterTerm{by, name}) != filter.end());
    }
    for (std::size_t row = 0; row < passes.size(); ++row) {
      passes[row] = passes[row] && wanted[keys.of_buffer[row]];
    }
  }
  return passes;
}

RunPtr whole_of(const RunPtr& run) {
  return run && run->whole_run() ? run->whole_run() : run;
}

RunPtr part_of(const RunPtr& whole, const Filter& filter) {
  if (filter.empty()) return whole;
  Part part = pick(*whole, passing(*whole, filter));
  return std::make_shared<const Run>(whole, std::move(part.timeline), std::move(part.of_whole));
}

void set_filter(ViewState& state, Filter filter) {
  if (filter == state.filter) return;
  state.filter = std::move(filter);
  if (!state.run) return;
  const bool all_shown = state.range == limits_of(state);
  const RunPtr before = state.run;
  state.run = part_of(whole_of(before), state.filter);
  const std::vector<Overlay> others = std::exchange(state.others, {});
  for (const Overlay& other : others) lay_over(state, whole_of(other.run));
  const auto moved = [&](ViewRange range) {
    const ViewRange in_time = range_on(*before, range, state.axis, Axis::time);
    return range_on(*state.run, in_time, Axis::time, state.axis);
  };
  state.range = all_shown ? limits_of(state) : clamped(moved(state.range), limits_of(state));
  if (state.selection) state.selection = moved(*state.selection);
  if (state.pinned) {
    const std::int64_t change = state.run->of_whole(before->in_whole(state.pinned->change));
    state.pinned = instant_at(*state.run, change, state.pinned->time_ns, Axis::time);
  }
}

}  // namespace tidemark
