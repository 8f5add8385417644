#include "sim/snapshot_layout.h"

#include <algorithm>
#include <set>

namespace tidemark {
namespace {

constexpr std::int64_t k_round_bytes = 512;                // PyTorch: every block is a multiple
constexpr std::int64_t k_largest = std::int64_t{1} << 58;  // address or size that is believed
constexpr std::int64_t k_segment_bytes = std::int64_t{2} << 20;

bool is_segment(EventKind kind) {
  return kind == EventKind::segment_alloc || kind == EventKind::segment_free ||
         kind == EventKind::segment_map || kind == EventKind::segment_unmap;
}

/// Live blocks by address; refuses what overlaps.
class Blocks {
 public:
  [[nodiscard]] bool put(std::int64_t address, std::int64_t bytes) {
    const auto next = ends_.lower_bound(address);
    if (next != ends_.end() && next->first < address + bytes) return false;
    if (next != ends_.begin() && std::prev(next)->second > address) return false;
    ends_.emplace(address, address + bytes);
    return true;
  }
  void drop(std::int64_t address) { ends_.erase(address); }

  /// The lowest address with `bytes` free behind it.
  [[nodiscard]] std::int64_t lowest(std::int64_t bytes) const {
    std::int64_t at = 0;
    for (const auto& [begin, end] : ends_) {
      if (begin - at >= bytes) break;
      at = end;
    }
    return at;
  }

 private:
  std::map<std::int64_t, std::int64_t> ends_;  // by begin
};

/// Runs of mapped memory, and whether they can be what an allocator held.
class Segments {
 public:
  /// False when the event contradicts what is there.
  [[nodiscard]] bool apply(const LaidEvent& e, bool is_small) {
    const bool grows = e.kind == EventKind::segment_alloc || e.kind == EventKind::segment_map;
    if (e.size_bytes <= 0 || e.size_bytes > k_largest || e.address < 0 || e.address > k_largest) {
      return false;
    }
    if (!grows) {
      const auto found = rows.find(e.address);
      if (found == rows.end() || found->second.size_bytes != e.size_bytes) return false;
      rows.erase(found);
      return true;
    }
    const auto next = rows.lower_bound(e.address);
    if (next != rows.end() && next->first < e.address + e.size_bytes) return false;
    if (next != rows.begin()) {
      const LaidSegment& before = std::prev(next)->second;
      if (before.address + before.size_bytes > e.address) return false;
    }
    rows[e.address] = {e.address, e.size_bytes, is_small, e.kind == EventKind::segment_map};
    return true;
  }

  [[nodiscard]] bool hold(std::int64_t address, std::int64_t bytes) const {
    const auto after = rows.upper_bound(address);
    if (after == rows.begin()) return false;
    const LaidSegment& s = std::prev(after)->second;
    return address + bytes <= s.address + s.size_bytes;
  }

  std::map<std::int64_t, LaidSegment> rows;
};

class Layouter {
 public:
  Layouter(const Trace& trace, const std::vector<Event>& events, std::int32_t rank)
      : trace_(trace), events_(events), space_{SpaceKind::device, rank} {}

  /// With the recorded addresses; false when they are not consistent. `keep_segments`: also with
  /// the recorded segments, else in one that is there from the start.
  bool recorded(bool keep_segments, SnapshotLayout& out) {
    return walk(out, keep_segments, [](const Event& e, std::int64_t bytes, Blocks& blocks) {
      const bool is_placed = e.address_bytes >= 0 && e.address_bytes <= k_largest &&
                             e.address_bytes % k_granule_bytes == 0;
      return is_placed && blocks.put(e.address_bytes, bytes) ? e.address_bytes : -1;
    });
  }

  void anew(SnapshotLayout& out) {
    (void)walk(out, false, [](const Event&, std::int64_t bytes, Blocks& blocks) {
      const std::int64_t rounded = round_up(bytes, k_round_bytes);
      const std::int64_t address = blocks.lowest(rounded);
      (void)blocks.put(address, rounded);
      return address;
    });
  }

 private:
  /// Bytes that a block takes: what the allocator set aside, never less than was asked for.
  [[nodiscard]] static std::int64_t taken_bytes(const Event& e, const Buffer& b) {
    const std::int64_t least = counted_bytes(b);
    return e.size_bytes >= least && e.size_bytes <= k_largest
               ? round_up(e.size_bytes, k_granule_bytes)
               : least;
  }

  template <class Place>
  bool walk(SnapshotLayout& out, bool keep_segments, Place place) {
    out = {};
    Blocks blocks;
    Segments segments;
    std::map<std::int32_t, std::int64_t> at;  // address by live buffer
    std::set<std::int32_t> pending;
    std::int64_t high_bytes = 0;
    for (const Event& e : events_) {
      LaidEvent laid{e.kind, e.time_ns, e.index, e.address_bytes, e.size_bytes, false};
      if (is_segment(e.kind)) {
        if (!keep_segments) continue;
        if (!segments.apply(laid, e.pool % 2 == k_small_pool)) return false;
      } else if (e.kind == EventKind::alloc) {
        const Buffer& b = trace_.buffers[static_cast<std::size_t>(e.index)];
        if (b.space != space_ || counted_bytes(b) == 0 || at.contains(e.index)) continue;
        laid.size_bytes = taken_bytes(e, b);
        laid.address = place(e, laid.size_bytes, blocks);
        if (laid.address < 0) return false;
        if (keep_segments && !segments.hold(laid.address, laid.size_bytes)) return false;
        high_bytes = std::max(high_bytes, laid.address + laid.size_bytes);
        at[e.index] = laid.address;
        out.blocks[laid.address] = {e.index, laid.size_bytes};
      } else if (e.kind == EventKind::free || e.kind == EventKind::free_requested) {
        const auto found = at.find(e.index);
        if (found == at.end()) continue;
        laid.address = found->second;
        if (e.kind == EventKind::free_requested) {
          if (!pending.insert(e.index).second) continue;
        } else {
          laid.is_pending = pending.erase(e.index) == 1;
          blocks.drop(found->second);
          out.blocks.erase(found->second);
          at.erase(found);
        }
      } else if (e.kind != EventKind::step_begin && e.kind != EventKind::step_end &&
                 (e.kind != EventKind::out_of_memory || space_.rank != trace_.meta.rank)) {
        continue;
      }
      out.events.push_back(laid);
    }
    out.segments = std::move(segments.rows);
    if (!keep_segments && high_bytes > 0) add_segment(out, high_bytes);
    return true;
  }

  static void add_segment(SnapshotLayout& out, std::int64_t high_bytes) {
    const LaidSegment all{0, round_up(high_bytes, k_segment_bytes), false, false};
    out.segments[0] = all;
    out.events.insert(out.events.begin(), {EventKind::segment_alloc, out.events.front().time_ns, -1,
                                           0, all.size_bytes, false});
  }

  const Trace& trace_;
  const std::vector<Event>& events_;
  Space space_;
};

}  // namespace

SnapshotLayout lay_out(const Trace& trace, const std::vector<Event>& events, std::int32_t rank) {
  const bool has_segments =
      rank == trace.meta.rank &&
      std::ranges::any_of(events, [](const Event& e) { return is_segment(e.kind); });
  SnapshotLayout out;
  Layouter layouter(trace, events, rank);
  if (has_segments && layouter.recorded(true, out)) return out;
  if (layouter.recorded(false, out)) return out;
  layouter.anew(out);
  return out;
}

}  // namespace tidemark
