#include "traces/foreign_recording.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "traces/error.h"

namespace tidemark {
namespace {

constexpr std::size_t k_most_streams = 64;
constexpr std::size_t k_most_devices = 32;  // of one recording
constexpr std::int64_t k_largest_bytes = std::int64_t{1} << 56;
constexpr std::int64_t k_largest_total = std::int64_t{1} << 61;

bool is_memory(const ForeignEvent& e) {
  return e.kind == EventKind::alloc || e.kind == EventKind::free;
}

bool is_op(const ForeignEvent& e) {
  return e.kind == EventKind::op_begin || e.kind == EventKind::op_end;
}

/// What joins an alloc and its free, within one memory.
using BlockKey = std::tuple<SpaceKind, bool, std::uint64_t>;

BlockKey key_of(const ForeignEvent& e) {
  const bool by_buffer = e.buffer >= 0;
  return {e.space, by_buffer, by_buffer ? static_cast<std::uint64_t>(e.buffer) : e.address};
}

class DeviceBuilder {
 public:
  DeviceBuilder(const ForeignRecording& recording, std::vector<const ForeignEvent*> events)
      : recording_(recording), events_(std::move(events)) {}

  ImportedDevice run(std::int64_t device, const std::string& title) {
    out_.device = device;
    Trace& t = out_.trace;
    t.meta.kind = TraceKind::imported;
    t.meta.title = title;
    t.meta.allocator = recording_.allocator;
    t.layers = recording_.layers;
    name_streams();
    begin();
    for (const ForeignEvent* e : events_) take(*e);
    if (open_step_ >= 0) add(EventKind::step_end, open_step_);
    t.health.dropped_events += static_cast<std::int64_t>(open_ops_.size());
    finish();
    return std::move(out_);
  }

 private:
  struct Block {
    std::int32_t row = -1;
    std::int64_t size_bytes = 0;
  };
  struct Made {
    CallSite site = CallSite::unknown;
    CallSite free_site = CallSite::unknown;
    bool is_freed = false;
    bool is_in_recording = false;
    std::optional<Category> category;
  };
  struct Count {
    std::int64_t live_bytes = 0;
    std::int64_t drift_bytes = 0;  // by which the tool's total departs from ours
  };

  void add(EventKind kind, std::int32_t index, std::int64_t address = -1, std::int64_t size = 0,
           std::int32_t stream = 0) {
    out_.trace.events.push_back({kind, time_ns_, index, address, size, stream, 0});
  }

  void name_streams() {
    std::set<std::int64_t> used;
    for (const ForeignEvent* e : events_) {
      if (is_op(*e)) used.insert(e->stream);
    }
    std::vector<Stream>& streams = out_.trace.streams;
    if (!recording_.ops_follow_allocations || used.empty()) streams.push_back({"host"});
    const std::size_t room = k_most_streams - streams.size();
    const bool is_crowded = used.size() > room;
    for (const std::int64_t stream : used) {
      if (is_crowded && streams.size() == k_most_streams - 1) {
        rows_[stream] = static_cast<std::int32_t>(streams.size());  // one row for all that are left
        continue;
      }
      rows_[stream] = static_cast<std::int32_t>(streams.size());
      const auto named = std::ranges::find(recording_.streams, stream, &ForeignStream::stream);
      streams.push_back(
          {named == recording_.streams.end() ? fmt::format("stream {}", stream) : named->name});
    }
    if (is_crowded) streams.push_back({"other streams"});
  }

  [[nodiscard]] Space space_of(const ForeignEvent& e) const { return {e.space, 0}; }

  std::int32_t make_buffer(const ForeignEvent& e, const ForeignLabel& label, std::int64_t bytes) {
    Trace& t = out_.trace;
    const auto row = static_cast<std::int32_t>(t.buffers.size());
    Buffer b;
    b.name = label.name;
    b.layer = label.layer;
    b.space = space_of(e);
    b.dtype = DType::u8;
    b.shape = {bytes};
    b.size_bytes = bytes;
    t.buffers.push_back(std::move(b));
    made_.push_back({.site = label.site, .category = label.category});
    return row;
  }

  /// What was live before the recording: blocks whose first event is a free, and what the tool's
  /// first total says beyond them.
  void begin() {
    std::set<BlockKey> seen;
    std::map<SpaceKind, std::int64_t> before;  // bytes of the blocks
    std::map<SpaceKind, std::int64_t> change;  // bytes that all events so far added
    std::map<SpaceKind, std::int64_t> at_start;
    std::vector<const ForeignEvent*> started;
    for (const ForeignEvent* e : events_) {
      if (!is_memory(*e)) continue;
      change[e->space] += e->kind == EventKind::alloc ? e->size_bytes : -e->size_bytes;
      if (e->total_bytes >= 0) at_start.try_emplace(e->space, e->total_bytes - change[e->space]);
      if (!seen.insert(key_of(*e)).second || e->kind != EventKind::free) continue;
      started.push_back(e);
      before[e->space] += e->size_bytes;
    }
    ForeignLabel label;
    label.name = "before the recording";
    for (const ForeignEvent* e : started) start(*e, label, e->size_bytes, true);
    label.name = "before the recording, and behind it";
    for (const auto& [space, total] : at_start) {
      ForeignEvent rest;
      rest.space = space;
      const std::int64_t bytes = total - before[space];
      if (bytes > k_largest_bytes) ++out_.trace.health.dropped_events;  // totals that cannot be
      if (bytes > 0 && bytes <= k_largest_bytes) start(rest, label, bytes, false);
    }
    if (!out_.trace.events.empty()) add(EventKind::recording_begin, -1);
  }

  void start(const ForeignEvent& e, const ForeignLabel& label, std::int64_t bytes, bool is_freed) {
    const std::int32_t row = make_buffer(e, label, bytes);
    if (is_freed) live_[key_of(e)] = {row, bytes};
    counts_[e.space].live_bytes += bytes;
    out_.start_bytes += bytes;
    add(EventKind::alloc, row, is_freed ? address_of(e) : -1, bytes);
  }

  static std::int64_t address_of(const ForeignEvent& e) {
    constexpr std::uint64_t k_largest_address = std::uint64_t{1} << 62;
    return e.has_address && e.address <= k_largest_address ? static_cast<std::int64_t>(e.address)
                                                           : -1;
  }

  void take(const ForeignEvent& e) {
    time_ns_ = std::max(time_ns_, e.time_ns - recording_.origin_ns);
    switch (e.kind) {
      case EventKind::alloc:
        take_alloc(e);
        return check_total(e);
      case EventKind::free:
        take_free(e);
        return check_total(e);
      case EventKind::op_begin:
      case EventKind::op_end:
        return take_op(e);
      case EventKind::step_begin:
      case EventKind::step_end:
        return take_step(e);
      case EventKind::out_of_memory:
        return add(EventKind::out_of_memory, -1, -1, e.size_bytes);
      default:
        return;
    }
  }

  void take_alloc(const ForeignEvent& e) {
    if (const auto lost = live_.find(key_of(e)); lost != live_.end()) {
      ++out_.trace.health.dropped_events;  // its free
      release(lost, CallSite::unknown, e.space);
    }
    const ForeignLabel& label = recording_.labels[e.label];
    const std::int64_t bytes = e.requested_bytes >= 0 ? e.requested_bytes : e.size_bytes;
    std::int32_t row = -1;
    if (e.buffer >= 0) {
      const auto [known, is_new] = buffer_rows_.try_emplace({e.space, e.buffer}, -1);
      const Buffer* same =
          is_new ? nullptr : &out_.trace.buffers[static_cast<std::size_t>(known->second)];
      if (same == nullptr || same->size_bytes != bytes)
        known->second = make_buffer(e, label, bytes);
      row = known->second;
    } else {
      row = make_buffer(e, label, bytes);
    }
    live_[key_of(e)] = {row, e.size_bytes};
    counts_[e.space].live_bytes += e.size_bytes;
    out_.all_bytes += bytes;
    made_[static_cast<std::size_t>(row)].is_in_recording = true;
    allocated_.push_back(row);
    add(EventKind::alloc, row, address_of(e), e.size_bytes);
    if (recording_.ops_follow_allocations) return;
    if (label.phase == Phase::other && !label.layer.valid()) return;
    const std::int32_t op = op_row(e.label, 0);
    add(EventKind::op_begin, op);
    add(EventKind::op_end, op);
  }

  void take_free(const ForeignEvent& e) {
    const auto block = live_.find(key_of(e));
    if (block == live_.end()) {
      ++out_.trace.health.unmatched_frees;
      return;
    }
    if (e.size_bytes != block->second.size_bytes) ++out_.trace.health.dropped_events;
    release(block, recording_.labels[e.label].site, e.space);
  }

  void release(std::map<BlockKey, Block>::iterator block, CallSite site, SpaceKind space) {
    const auto row = static_cast<std::size_t>(block->second.row);
    made_[row].is_freed = true;
    made_[row].free_site = site;
    counts_[space].live_bytes -= block->second.size_bytes;
    add(EventKind::free, block->second.row);
    live_.erase(block);
  }

  void check_total(const ForeignEvent& e) {
    if (e.total_bytes < 0) return;
    Count& count = counts_[e.space];
    const std::int64_t drift = e.total_bytes - count.live_bytes;
    if (drift != count.drift_bytes) ++out_.trace.health.dropped_events;
    count.drift_bytes = drift;
  }

  std::int32_t op_row(std::uint32_t label, std::int32_t stream) {
    const auto [entry, is_new] = op_rows_.try_emplace({label, stream}, -1);
    if (is_new) {
      entry->second = static_cast<std::int32_t>(out_.trace.ops.size());
      const ForeignLabel& l = recording_.labels[label];
      Op op;
      op.name = l.name;
      op.layer = l.layer;
      op.phase = l.phase;
      op.stream = StreamId{static_cast<std::size_t>(stream)};
      out_.trace.ops.push_back(std::move(op));
    }
    return entry->second;
  }

  void take_op(const ForeignEvent& e) {
    const std::int32_t op = op_row(e.label, rows_.at(e.stream));
    const bool begins = e.kind == EventKind::op_begin;
    // An op that runs twice at once on one stream has one span only.
    if (begins ? !open_ops_.insert(op).second : open_ops_.erase(op) == 0) {
      ++out_.trace.health.dropped_events;
      return;
    }
    add(e.kind, op);
  }

  void take_step(const ForeignEvent& e) {
    constexpr std::int64_t k_most_steps = std::int64_t{1} << 30;
    const auto step = static_cast<std::int32_t>(std::clamp<std::int64_t>(e.step, 0, k_most_steps));
    const bool begins = e.kind == EventKind::step_begin;
    if (begins ? open_step_ >= 0 : open_step_ != step) {
      ++out_.trace.health.dropped_events;
      return;
    }
    open_step_ = begins ? step : -1;
    add(e.kind, step);
  }

  void finish() {
    Trace& t = out_.trace;
    for (std::size_t i = 0; i < made_.size(); ++i) {
      const Made& m = made_[i];
      // Whatever backward lets go of and did not make was kept for it.
      const bool is_kept = m.site == CallSite::unknown && m.is_freed &&
                           m.free_site == CallSite::backward && m.is_in_recording;
      t.buffers[i].category = m.category.value_or(
          is_kept ? Category::activation : category_of(m.site, m.is_freed, m.free_site));
    }
    for (const std::int32_t row : allocated_) {
      const Buffer& b = t.buffers[static_cast<std::size_t>(row)];
      if (b.category == Category::unknown) out_.unknown_bytes += b.size_bytes;
    }
  }

  const ForeignRecording& recording_;
  std::vector<const ForeignEvent*> events_;  // of this device, in order
  ImportedDevice out_;
  std::map<BlockKey, Block> live_;
  std::map<SpaceKind, Count> counts_;
  std::map<std::pair<SpaceKind, std::int64_t>, std::int32_t> buffer_rows_;
  std::map<std::pair<std::uint32_t, std::int32_t>, std::int32_t> op_rows_;
  std::map<std::int64_t, std::int32_t> rows_;  // of streams
  std::set<std::int32_t> open_ops_;
  std::vector<Made> made_;               // by buffer
  std::vector<std::int32_t> allocated_;  // buffer of each alloc of the recording
  std::int32_t open_step_ = -1;
  std::int64_t time_ns_ = 0;
};

/// Sums of sizes stay far from the end of their type.
void check_sizes(const std::vector<ForeignEvent>& events) {
  std::int64_t total = 0;
  for (const ForeignEvent& e : events) {
    if (!is_memory(e)) continue;
    if (e.size_bytes > k_largest_bytes || e.size_bytes > k_largest_total - total) {
      throw InputError(InputError::Parts{
          .place = "memory events", .expected = "at most 2^61 bytes in all", .found = "more"});
    }
    total += e.size_bytes;
  }
}

/// The devices that get a trace, ascending. Moves the host's memory to one of them.
std::vector<std::int64_t> place_devices(std::vector<ForeignEvent>& events, bool& is_host_only) {
  std::set<std::int64_t> devices;
  bool has_host = false;
  for (const ForeignEvent& e : events) {
    if (!is_memory(e)) continue;
    if (e.space == SpaceKind::device) devices.insert(e.device);
    has_host = has_host || e.space != SpaceKind::device;
  }
  if (devices.size() > k_most_devices) {
    throw InputError(
        InputError::Parts{.place = "memory events",
                          .expected = fmt::format("at most {} devices", k_most_devices),
                          .found = fmt::format("{}", devices.size())});
  }
  is_host_only = devices.empty();
  if (is_host_only && !has_host) {
    throw InputError(InputError::Parts{.place = "memory events",
                                       .expected = "at least one allocation or free",
                                       .found = "none (was memory recorded?)"});
  }
  if (is_host_only) devices.insert(0);
  for (ForeignEvent& e : events) {
    if (is_host_only && is_memory(e)) e.space = SpaceKind::device;
    if (is_host_only || (e.space != SpaceKind::device && !devices.contains(e.device))) {
      e.device = *devices.begin();
    }
  }
  return {devices.begin(), devices.end()};
}

}  // namespace

std::vector<ImportedDevice> traces_of(ForeignRecording recording, const std::string& title) {
  std::vector<ForeignEvent>& events = recording.events;
  std::ranges::stable_sort(events, {},
                           [](const ForeignEvent& e) { return std::pair(e.time_ns, e.order); });
  check_sizes(events);
  bool is_host_only = false;
  const std::vector<std::int64_t> devices = place_devices(events, is_host_only);
  std::map<std::int64_t, std::vector<const ForeignEvent*>> by_device;
  for (const std::int64_t device : devices) by_device[device];
  for (const ForeignEvent& e : events) {
    const bool is_everywhere = e.kind == EventKind::step_begin || e.kind == EventKind::step_end;
    if (!is_everywhere && !by_device.contains(e.device)) {
      ++recording.health.dropped_events;
      continue;
    }
    for (auto& [device, own] : by_device) {
      if (is_everywhere || device == e.device) own.push_back(&e);
    }
  }
  std::vector<ImportedDevice> out;
  for (auto& [device, own] : by_device) {
    const std::string name = is_host_only ? "cpu" : fmt::format("device {}", device);
    out.push_back(
        DeviceBuilder(recording, std::move(own)).run(device, fmt::format("{}, {}", title, name)));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    Trace& t = out[i].trace;
    t.meta.rank = static_cast<std::int32_t>(i);
    t.meta.rank_count = static_cast<std::int32_t>(out.size());
    for (Buffer& b : t.buffers) b.space.rank = t.meta.rank;
  }
  Health& first = out.front().trace.health;
  first.dropped_events += recording.health.dropped_events;
  first.complete = recording.health.complete;
  return out;
}

}  // namespace tidemark
