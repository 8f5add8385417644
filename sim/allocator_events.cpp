// What a trace says to an allocator: its events, the state in which they begin, the options.

#include <algorithm>

#include "sim/allocator_replay.h"
#include "sim/pack_trace.h"
#include "sim/timeline.h"

namespace tidemark {
namespace {

bool counts(const Trace& trace, std::int32_t buffer) {
  const Buffer& b = trace.buffers[static_cast<std::size_t>(buffer)];
  return b.size_bytes > 0 && !b.storage.valid() &&
         b.space == Space{SpaceKind::device, trace.meta.rank};
}

RestoredBlock block_of(const Trace& trace, const Event& e) {
  const Buffer& b = trace.buffers[static_cast<std::size_t>(e.index)];
  return {.address = e.address_bytes,
          .size_bytes = std::max(e.size_bytes, b.size_bytes),
          .requested_bytes = b.size_bytes,
          .buffer = e.index};
}

/// Blocks in order, inside the segment and without overlap; what contradicts is left out.
void settle(RestoredSegment& segment) {
  std::ranges::stable_sort(segment.blocks, {}, &RestoredBlock::address);
  std::int64_t at = segment.address;
  std::erase_if(segment.blocks, [&](const RestoredBlock& b) {
    if (b.address < at || b.size_bytes > segment.address + segment.size_bytes - b.address) {
      return true;
    }
    at = b.address + b.size_bytes;
    return false;
  });
}

}  // namespace

std::vector<Event> allocator_events(const Trace& trace, int steps) {
  std::vector<Event> out;
  if (trace.events.empty()) {
    const Timeline played = replay(trace, {SpaceKind::device, trace.meta.rank}, steps);
    for (const MemoryChange& change : played.changes) {
      Event e;
      e.kind = change.delta_bytes > 0 ? EventKind::alloc : EventKind::free;
      e.index = change.buffer.value;
      e.time_ns = change.time_ns;
      out.push_back(e);
    }
    return out;
  }
  for (const Event& e : trace.events) {
    const bool of_op = e.kind == EventKind::op_begin || e.kind == EventKind::op_end;
    const bool of_buffer = e.kind == EventKind::alloc || e.kind == EventKind::free ||
                           e.kind == EventKind::free_requested;
    if (of_op || (of_buffer && !counts(trace, e.index))) continue;
    out.push_back(e);
  }
  return out;
}

std::vector<RestoredSegment> start_segments(const Trace& trace, const std::vector<Event>& events) {
  std::vector<RestoredSegment> out;
  const auto border = std::ranges::find(events, EventKind::recording_begin, &Event::kind);
  if (border == events.end()) return out;
  for (auto e = events.begin(); e != border; ++e) {
    const bool is_map = e->kind == EventKind::segment_map;
    if (e->kind != EventKind::segment_alloc && !is_map) continue;
    out.push_back({.address = e->address_bytes,
                   .size_bytes = e->size_bytes,
                   .stream = e->stream,
                   .pool = e->pool / 2,
                   .is_small = e->pool % 2 != 0,
                   .is_expandable = is_map});
  }
  std::ranges::stable_sort(out, {}, &RestoredSegment::address);
  std::int64_t end = 0;  // what overlaps or lies below 0 is not believed
  std::erase_if(out, [&end](const RestoredSegment& s) {
    constexpr std::int64_t k_most = std::int64_t{1} << 60;
    if (s.address < end || s.address > k_most || s.size_bytes <= 0 || s.size_bytes > k_most) {
      return true;
    }
    end = s.address + s.size_bytes;
    return false;
  });
  const auto segment_of = [&out](std::int64_t address) {
    const auto after = std::ranges::upper_bound(out, address, {}, &RestoredSegment::address);
    return after == out.begin() ? out.end() : std::prev(after);
  };
  for (auto e = events.begin(); e != border; ++e) {
    if (e->kind != EventKind::alloc) continue;
    if (const auto s = segment_of(e->address_bytes); s != out.end()) {
      s->blocks.push_back(block_of(trace, *e));
    }
  }
  for (RestoredSegment& s : out) settle(s);
  for (auto e = events.begin(); e != border; ++e) {
    if (e->kind != EventKind::free_requested) continue;
    for (RestoredSegment& s : out) {
      for (RestoredBlock& b : s.blocks) b.is_pending = b.is_pending || b.buffer == e->index;
    }
  }
  return out;
}

AllocatorConf recorded_conf(const Trace& trace) {
  constexpr std::string_view k_name = "pytorch ";
  if (!trace.meta.allocator.starts_with(k_name)) return {};
  return parse_allocator_conf(std::string_view(trace.meta.allocator).substr(k_name.size()),
                              "meta.allocator");
}

PackResult static_plan(const Trace& trace) {
  constexpr std::int64_t k_nodes = 1'000'000;  // about a second
  const SpaceProblem problem = pack_problem_of(trace, {SpaceKind::device, trace.meta.rank});
  return pack(problem.blocks, {.nodes = k_nodes});
}

}  // namespace tidemark
