#include "sim/export_pytorch.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/export_events.h"
#include "sim/snapshot_layout.h"
#include "traces/pickle_writer.h"

namespace tidemark {
namespace {

/// Valid UTF-8 for Python: what is none becomes '?'.
std::string utf8(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    bool is_good = length > 0 && i + length <= text.size();
    for (std::size_t k = 1; is_good && k < length; ++k) {
      is_good = (static_cast<unsigned char>(text[i + k]) & 0xC0) == 0x80;
    }
    // Of three and four bytes some spell surrogates, over-long forms or beyond the last plane.
    const auto second = is_good && length > 2 ? static_cast<unsigned char>(text[i + 1]) : 0x90;
    is_good = is_good && !(lead == 0xE0 && second < 0xA0) && !(lead == 0xED && second > 0x9F) &&
              !(lead == 0xF0 && second < 0x90) && !(lead == 0xF4 && second > 0x8F);
    out += is_good ? std::string(text.substr(i, length)) : std::string("?");
    i += is_good ? length : 1;
  }
  return out;
}

/// Whole microseconds that never fall, and rise at every border of a step: an import decides by
/// them in which step an event lies.
class Microseconds {
 public:
  std::int64_t at(std::int64_t time_ns, bool is_border) {
    now_us_ = std::max(now_us_ + (is_border ? 1 : 0), time_ns / 1000);
    return now_us_;
  }

 private:
  std::int64_t now_us_ = 0;
};

class SnapshotWriter {
 public:
  explicit SnapshotWriter(const Trace& trace) : trace_(trace), events_(events_of(trace)) {
    std::set<std::int32_t> ranks;
    for (const Buffer& b : trace.buffers) {
      if (b.space.kind == SpaceKind::device) ranks.insert(std::clamp(b.space.rank, 0, 1023));
    }
    const std::int32_t count = ranks.empty() ? 1 : *ranks.rbegin() + 1;
    for (std::int32_t rank = 0; rank < count; ++rank) {
      layouts_.push_back(ranks.contains(rank) ? lay_out(trace, events_, rank) : SnapshotLayout{});
    }
  }

  std::string pickle() && {
    p_.begin_dict();
    p_.text("segments");
    p_.begin_list();
    for (std::size_t rank = 0; rank < layouts_.size(); ++rank) segments(rank);
    p_.end();
    p_.text("device_traces");
    p_.begin_list();
    for (const SnapshotLayout& layout : layouts_) {
      p_.item();
      p_.begin_list();
      Microseconds clock;
      for (const LaidEvent& e : layout.events) event(e, clock);
      p_.end();
    }
    p_.end();
    p_.text("external_annotations");
    p_.begin_list();
    for (std::size_t rank = 0; rank < layouts_.size(); ++rank) annotations(rank);
    p_.end();
    p_.text("tidemark");
    p_.integer(1);
    p_.end();
    return std::move(p_).finish();
  }

 private:
  void field(std::string_view name, std::int64_t value) {
    p_.text(name);
    p_.integer(value);
  }
  void field(std::string_view name, std::string_view value) {
    p_.text(name);
    p_.text(value);
  }

  [[nodiscard]] const Buffer& buffer(std::int32_t row) const {
    return trace_.buffers[static_cast<std::size_t>(row)];
  }

  /// The buffer as the innermost frame: its name as function, its layer as file.
  void frames(const Buffer& b) {
    p_.text("frames");
    const std::string layer = utf8(layer_path(trace_, b.layer));
    const std::string name = utf8(b.name);
    const std::string key = name + '\0' + layer;
    if (p_.recall(key)) return;
    p_.begin_list();
    p_.item();
    p_.begin_dict();
    field("name", name);
    field("filename", layer);
    field("line", 0);
    p_.end();
    p_.end();
    p_.remember(key);
  }

  void block(std::int64_t address, std::int64_t bytes, const Buffer* b) {
    p_.item();
    p_.begin_dict();
    field("address", address);
    field("size", bytes);
    field("requested_size", b == nullptr ? 0 : b->size_bytes);
    field("state", b == nullptr ? "inactive" : "active_allocated");
    if (b == nullptr) {
      p_.text("frames");
      p_.begin_list();
      p_.end();
    } else {
      frames(*b);
    }
    p_.end();
  }

  void segments(std::size_t rank) {
    const SnapshotLayout& layout = layouts_[rank];
    for (const auto& [address, segment] : layout.segments) {
      const std::int64_t end = address + segment.size_bytes;
      const auto first = layout.blocks.lower_bound(address);
      const auto last = layout.blocks.lower_bound(end);
      std::int64_t live_bytes = 0;
      std::int64_t requested_bytes = 0;
      for (auto at = first; at != last; ++at) {
        live_bytes += at->second.second;
        requested_bytes += buffer(at->second.first).size_bytes;
      }
      p_.item();
      p_.begin_dict();
      field("device", static_cast<std::int64_t>(rank));
      field("address", address);
      field("total_size", segment.size_bytes);
      field("allocated_size", live_bytes);
      field("active_size", live_bytes);
      field("requested_size", requested_bytes);
      field("stream", 0);
      field("segment_type", segment.is_small ? "small" : "large");
      p_.text("segment_pool_id");
      p_.pair(0, 0);
      p_.text("is_expandable");
      p_.boolean(segment.is_expandable);
      p_.text("blocks");
      p_.begin_list();
      std::int64_t at = address;
      for (auto row = first; row != last; ++row) {
        if (row->first > at) block(at, row->first - at, nullptr);
        block(row->first, row->second.second, &buffer(row->second.first));
        at = row->first + row->second.second;
      }
      if (at < end) block(at, end - at, nullptr);
      p_.end();
      p_.end();
    }
  }

  void row(std::string_view action, const LaidEvent& e, std::int64_t bytes, std::int64_t time_us) {
    p_.item();
    p_.begin_dict();
    field("action", action);
    if (e.kind == EventKind::out_of_memory) {
      field("device_free", 0);
    } else {
      field("addr", e.address);
    }
    field("size", bytes);
    field("stream", 0);
    field("time_us", time_us);
    const bool is_block = e.kind == EventKind::alloc || e.kind == EventKind::free ||
                          e.kind == EventKind::free_requested;
    if (is_block) frames(buffer(e.index));
    // The viewer fails on a file with categories in which none is "unknown" (MemoryViz.js,
    // annotate_snapshot), so segments have that one.
    if (e.kind == EventKind::alloc) field("category", to_string(buffer(e.index).category));
    if (!is_block && e.kind != EventKind::out_of_memory) field("category", "unknown");
    p_.end();
  }

  void event(const LaidEvent& e, Microseconds& clock) {
    const bool is_border = e.kind == EventKind::step_begin || e.kind == EventKind::step_end;
    const std::int64_t time_us = clock.at(e.time_ns, is_border);
    switch (e.kind) {
      case EventKind::alloc:
        return row("alloc", e, buffer(e.index).size_bytes, time_us);
      case EventKind::free:
        if (!e.is_pending) row("free_requested", e, buffer(e.index).size_bytes, time_us);
        return row("free_completed", e, buffer(e.index).size_bytes, time_us);
      case EventKind::free_requested:
        return row("free_requested", e, buffer(e.index).size_bytes, time_us);
      case EventKind::segment_alloc:
      case EventKind::segment_free:
      case EventKind::segment_map:
      case EventKind::segment_unmap:
        return row(to_string(e.kind), e, e.size_bytes, time_us);
      case EventKind::out_of_memory:
        return row("oom", e, std::clamp<std::int64_t>(e.size_bytes, 0, std::int64_t{1} << 56),
                   time_us);
      default:
        return;
    }
  }

  void annotations(std::size_t rank) {
    Microseconds clock;
    for (const LaidEvent& e : layouts_[rank].events) {
      const bool is_border = e.kind == EventKind::step_begin || e.kind == EventKind::step_end;
      const std::int64_t time_us = clock.at(e.time_ns, is_border);
      if (!is_border) continue;
      p_.item();
      p_.begin_dict();
      field("device", static_cast<std::int64_t>(rank));
      field("time_us", time_us);
      field("stage", e.kind == EventKind::step_begin ? "START" : "END");
      field("name", fmt::format("ProfilerStep#{}", e.index));
      p_.end();
    }
  }

  const Trace& trace_;
  std::vector<Event> events_;
  std::vector<SnapshotLayout> layouts_;  // by device
  PickleWriter p_;
};

}  // namespace

std::string to_snapshot(const Trace& trace) {
  return SnapshotWriter(trace).pickle();
}

}  // namespace tidemark
