#include "traces/start_state.h"

#include <algorithm>

namespace tidemark {
namespace {

constexpr std::int64_t k_small_segment_bytes = std::int64_t{2} << 20;
constexpr std::int64_t k_small_request_bytes = std::int64_t{1} << 20;
constexpr std::int64_t k_large_page_bytes = std::int64_t{20} << 20;

HeldSegment segment_of(const SnapshotEvent& e) {
  const bool is_expandable =
      e.action == SnapshotAction::segment_map || e.action == SnapshotAction::segment_unmap;
  // Small pools grow by exactly 2 MiB, large ones by 20 MiB and more.
  const bool is_small = is_expandable ? e.size_bytes % k_large_page_bytes != 0
                                      : e.size_bytes == k_small_segment_bytes;
  return {e.address, e.size_bytes, e.stream, is_small, is_expandable, e.pool};
}

/// Virtual ranges are far apart, so runs that touch are parts of one range.
bool same_range(const HeldSegment& a, const HeldSegment& b) {
  return a.is_expandable && b.is_expandable && a.stream == b.stream && a.pool == b.pool;
}

void undo(DeviceState& state, const SnapshotEvent& e) {
  bool fits = true;
  switch (e.action) {
    case SnapshotAction::alloc:
      fits = state.blocks.erase(e.address) == 1;
      break;
    case SnapshotAction::free_completed:
      fits = state.blocks
                 .emplace(e.address, HeldBlock{.requested_bytes = e.size_bytes,
                                               .stream = e.stream,
                                               .is_pending = true})
                 .second;
      break;
    case SnapshotAction::free_requested: {
      const auto block = state.blocks.find(e.address);
      fits = block != state.blocks.end();
      if (fits) {
        block->second.is_pending = false;
        if (block->second.frames == k_no_frames) block->second.stream = e.stream;
      }
      break;
    }
    case SnapshotAction::segment_alloc:
      fits = state.segments.erase(e.address) == 1;
      break;
    case SnapshotAction::segment_free:
      fits = state.segments.emplace(e.address, segment_of(e)).second;
      break;
    case SnapshotAction::segment_map:
      fits = state.unmap(e.address, e.size_bytes);
      break;
    case SnapshotAction::segment_unmap:
      fits = state.map(segment_of(e));
      break;
    case SnapshotAction::oom:
    case SnapshotAction::snapshot:
    case SnapshotAction::user_defined:
      break;
  }
  if (!fits) ++state.unmatched;
}

/// The pool of a mapped run is that of the blocks in it, where there are any.
void settle_pools(DeviceState& state) {
  for (auto& [address, segment] : state.segments) {
    if (!segment.is_expandable) continue;
    const auto block = state.blocks.lower_bound(address);
    if (block != state.blocks.end() && block->first < address + segment.size_bytes) {
      segment.is_small = block->second.requested_bytes <= k_small_request_bytes;
    }
  }
}

}  // namespace

const HeldSegment* DeviceState::segment_at(std::int64_t address) const {
  auto after = segments.upper_bound(address);
  if (after == segments.begin()) return nullptr;
  const HeldSegment& segment = std::prev(after)->second;
  return address < segment.address + segment.size_bytes ? &segment : nullptr;
}

std::int64_t DeviceState::set_aside(std::int64_t address, std::int64_t rounded_bytes,
                                    std::int64_t largest_rest_bytes) const {
  const HeldSegment* segment = segment_at(address);
  if (segment == nullptr || segment->is_small || segment->is_expandable) return rounded_bytes;
  std::int64_t end = segment->address + segment->size_bytes;
  const auto next = blocks.upper_bound(address);
  if (next != blocks.end()) end = std::min(end, next->first);
  const std::int64_t rest = end - address - rounded_bytes;
  return rest > 0 && rest <= largest_rest_bytes ? rounded_bytes + rest : rounded_bytes;
}

bool DeviceState::map(const HeldSegment& range) {
  HeldSegment run = range;
  auto next = segments.lower_bound(run.address);
  if (next != segments.end() && next->first < run.address + run.size_bytes) return false;
  if (next != segments.begin()) {
    const auto before = std::prev(next);
    const std::int64_t end = before->first + before->second.size_bytes;
    if (end > run.address) return false;
    if (end == run.address && same_range(before->second, run)) {
      run.address = before->first;
      run.size_bytes += before->second.size_bytes;
      run.is_small = before->second.is_small;
      segments.erase(before);
    }
  }
  next = segments.lower_bound(run.address);
  if (next != segments.end() && next->first == run.address + run.size_bytes &&
      same_range(next->second, run)) {
    run.size_bytes += next->second.size_bytes;
    run.is_small = next->second.is_small;
    segments.erase(next);
  }
  segments.emplace(run.address, run);
  return true;
}

bool DeviceState::unmap(std::int64_t address, std::int64_t size_bytes) {
  const HeldSegment* found = segment_at(address);
  if (found == nullptr || !found->is_expandable || size_bytes <= 0 ||
      address + size_bytes > found->address + found->size_bytes) {
    return false;
  }
  const HeldSegment run = *found;
  segments.erase(run.address);
  HeldSegment part = run;
  part.size_bytes = address - run.address;
  if (part.size_bytes > 0) segments.emplace(part.address, part);
  part.address = address + size_bytes;
  part.size_bytes = run.address + run.size_bytes - part.address;
  if (part.size_bytes > 0) segments.emplace(part.address, part);
  return true;
}

DeviceState final_state(const Snapshot& snapshot, std::int64_t device) {
  DeviceState state;
  for (const SnapshotSegment& s : snapshot.segments) {
    if (s.device != device) continue;
    const HeldSegment segment{s.address,  s.total_bytes,   s.stream,
                              s.is_small, s.is_expandable, s.pool};
    if (s.is_expandable ? !state.map(segment)
                        : !state.segments.emplace(s.address, segment).second) {
      ++state.unmatched;
    }
    for (const SnapshotBlock& b : s.blocks) {
      if (b.state == BlockState::inactive) continue;
      state.blocks[b.address] = {.size_bytes = b.size_bytes,
                                 .requested_bytes = b.requested_bytes,
                                 .stream = s.stream,
                                 .is_pending = b.state == BlockState::active_pending_free,
                                 .frames = b.frames};
    }
  }
  return state;
}

DeviceState start_state(const Snapshot& snapshot, std::int64_t device,
                        const std::vector<SnapshotEvent>& events) {
  DeviceState state = final_state(snapshot, device);
  for (auto e = events.rbegin(); e != events.rend(); ++e) undo(state, *e);
  settle_pools(state);
  return state;
}

}  // namespace tidemark
