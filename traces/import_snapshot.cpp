#include "traces/import_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "traces/error.h"
#include "traces/frame_label.h"
#include "traces/range_name.h"
#include "traces/start_state.h"

namespace tidemark {
namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;
constexpr std::int64_t k_round_bytes = 512;

/// Numbers streams, private pools and layers in the order of their names, so that the same snapshot
/// gives the same trace.
class Numbers {
 public:
  Numbers(const Snapshot& snapshot, std::int64_t device, const std::vector<SnapshotEvent>& events) {
    for (const SnapshotSegment& s : snapshot.segments) {
      if (s.device == device) add(s.stream, s.pool);
    }
    for (const SnapshotEvent& e : events) add(e.stream, e.pool);
    std::ranges::sort(streams_);
    streams_.erase(std::unique(streams_.begin(), streams_.end()), streams_.end());
    std::ranges::sort(pools_);
    pools_.erase(std::unique(pools_.begin(), pools_.end()), pools_.end());
    constexpr std::size_t k_most_streams = 64;
    if (streams_.size() > k_most_streams) {
      throw InputError(InputError::Parts{.place = fmt::format("device {}", device),
                                         .expected = "at most 64 streams",
                                         .found = fmt::format("{}", streams_.size())});
    }
  }

  [[nodiscard]] std::int32_t stream(std::int64_t handle) const {
    return static_cast<std::int32_t>(std::ranges::lower_bound(streams_, handle) - streams_.begin());
  }
  /// 0 for the default pools, 2, 4, ... for private ones.
  [[nodiscard]] std::int32_t pool(SnapshotPool id) const {
    if (id == SnapshotPool{}) return 0;
    return 2 * static_cast<std::int32_t>(std::ranges::lower_bound(pools_, id) - pools_.begin() + 1);
  }

  void name_streams(Trace& trace) const {
    for (std::int64_t handle : streams_) {
      trace.streams.push_back(
          {.name = handle == 0 ? "default" : fmt::format("stream {:#x}", handle)});
    }
    if (trace.streams.empty()) trace.streams.push_back({.name = "default"});
  }

 private:
  void add(std::int64_t stream, SnapshotPool pool) {
    if (streams_.empty() || streams_.back() != stream) streams_.push_back(stream);
    if (pool != SnapshotPool{} && (pools_.empty() || pools_.back() != pool)) pools_.push_back(pool);
  }

  std::vector<std::int64_t> streams_;
  std::vector<SnapshotPool> pools_;
};

/// Labels of call stacks, each read once.
class Labels {
 public:
  Labels(const PickleDocument& document, const std::vector<SnapshotEvent>& events, bool is_export)
      : document_(document),
        is_export_(is_export),
        have_frames_(std::ranges::any_of(events, [&document](const SnapshotEvent& e) {
          return e.frames != k_no_frames && !document.items(e.frames).empty();
        })) {}

  const FrameLabel& operator[](PickleRef frames) {
    const bool none = frames == k_no_frames || document_.items(frames).empty();
    const std::uint32_t key = none ? k_no_frames.row : frames.row;
    const auto [entry, is_new] = known_.try_emplace(key);
    if (!is_new) return entry->second;
    const std::vector<SnapshotFrame> stack = frames_of(document_, frames);
    if (is_export_ && !stack.empty()) {
      entry->second.name = stack.front().name;
      if (!stack.front().file.empty()) entry->second.layers.emplace_back(stack.front().file);
    } else {
      entry->second = label_of(stack, have_frames_);
    }
    return entry->second;
  }

 private:
  const PickleDocument& document_;
  bool is_export_;
  bool have_frames_;
  std::unordered_map<std::uint32_t, FrameLabel> known_;
};

struct StepMark {
  std::int64_t time_us = 0;
  EventKind kind = EventKind::step_begin;
  std::int32_t step = 0;
};

class DeviceImport {
 public:
  DeviceImport(const Snapshot& snapshot, std::int64_t device,
               const std::vector<SnapshotEvent>& events)
      : snapshot_(snapshot),
        events_(events),
        numbers_(snapshot, device, events),
        labels_(snapshot.document, events, snapshot.is_export),
        state_(start_state(snapshot, device, events)) {
    out_.device = device;
    // Without the option a block is split whenever more than 1 MiB is left (allocators: PyTorch).
    if (snapshot.conf.find("max_split_size_mb") != std::string::npos) rest_bytes_ = 20 * k_mib;
  }

  ImportedDevice run(const std::string& title) {
    Trace& t = out_.trace;
    t.meta.kind = TraceKind::imported;
    t.meta.title = fmt::format("{}, device {}", title, out_.device);
    t.meta.allocator = snapshot_.conf.empty() ? "pytorch" : "pytorch " + snapshot_.conf;
    numbers_.name_streams(t);
    begin();
    t.health.unmatched_frees += state_.unmatched;
    state_.unmatched = 0;
    mark_steps();
    for (at_ = 0; at_ < events_.size(); ++at_) {
      step_to(events_[at_]);
      take(events_[at_]);
    }
    step_to_end();
    t.health.unmatched_frees += state_.unmatched;
    finish();
    return std::move(out_);
  }

 private:
  void add(EventKind kind, std::int32_t index, std::int64_t address = -1, std::int64_t size = 0,
           std::int32_t stream = 0, std::int32_t pool = 0) {
    out_.trace.events.push_back({kind, time_ns_, index, address, size, stream, pool});
  }

  void add_segment(EventKind kind, const HeldSegment& s) {
    add(kind, -1, s.address, s.size_bytes, numbers_.stream(s.stream),
        numbers_.pool(s.pool) + (s.is_small ? k_small_pool : 0));
  }

  std::int64_t rounded(std::int64_t bytes) const {
    return round_up(std::max<std::int64_t>(bytes, 1), k_round_bytes);
  }

  void begin() {
    for (const auto& [address, segment] : state_.segments) {
      add_segment(segment.is_expandable ? EventKind::segment_map : EventKind::segment_alloc,
                  segment);
    }
    for (auto& [address, block] : state_.blocks) {
      const HeldSegment* segment = state_.segment_at(address);
      if (segment == nullptr) {
        ++state_.unmatched;  // it is in no segment: kept in the timeline, but not replayed
        continue;
      }
      if (block.size_bytes < 0) {
        block.size_bytes = state_.set_aside(address, rounded(block.requested_bytes), rest_bytes_);
      }
      block.stream = segment->stream;
      make_buffer(address, block, segment->pool, {});
      if (block.is_pending) add(EventKind::free_requested, buffer_at_[address]);
      out_.start_bytes += block.requested_bytes;
    }
    add(EventKind::recording_begin, -1);
  }

  void make_buffer(std::int64_t address, const HeldBlock& block, SnapshotPool pool,
                   std::string_view metadata, std::string_view category = {}) {
    Trace& t = out_.trace;
    const bool from_start = at_ == k_before;
    const FrameLabel& label =
        block.frames == k_no_frames && from_start ? before_recording_ : labels_[block.frames];
    const auto row = static_cast<std::int32_t>(t.buffers.size());
    Buffer buffer;
    buffer.name = label.name;
    buffer.layer = layer_of(label.layers);
    buffer.space = {SpaceKind::device, t.meta.rank};
    buffer.dtype = DType::u8;
    buffer.shape = {block.requested_bytes};
    buffer.size_bytes = block.requested_bytes;
    buffer.alignment_bytes = k_round_bytes;
    if (!metadata.empty()) buffer.name += fmt::format(" [{}]", metadata.substr(0, 200));
    t.buffers.push_back(std::move(buffer));
    categories_.push_back(parse_enum<Category>(category));
    sites_.push_back(label.site);
    freed_.push_back(false);
    free_sites_.push_back(CallSite::unknown);
    buffer_at_[address] = row;
    add(EventKind::alloc, row, address, block.size_bytes, numbers_.stream(block.stream),
        numbers_.pool(pool));
  }

  LayerId layer_of(const std::vector<std::string>& path) {
    LayerId parent;
    std::string name;
    for (const std::string& part : path) {
      name += (name.empty() ? "" : "/") + part;
      const auto [entry, is_new] = layers_.try_emplace(name, out_.trace.layers.size());
      if (is_new) out_.trace.layers.push_back({name, "call site", parent});
      parent = entry->second;
    }
    return parent;
  }

  void take(const SnapshotEvent& e) {
    const bool is_free =
        e.action == SnapshotAction::segment_free || e.action == SnapshotAction::segment_unmap;
    if (is_free && !in_release_) {
      if (releases_everything()) add(EventKind::empty_cache, -1);
    }
    in_release_ = is_free;
    switch (e.action) {
      case SnapshotAction::alloc:
        return take_alloc(e);
      case SnapshotAction::free_requested:
        return take_free_requested(e);
      case SnapshotAction::free_completed:
        return take_free(e);
      case SnapshotAction::segment_alloc:
      case SnapshotAction::segment_free:
      case SnapshotAction::segment_map:
      case SnapshotAction::segment_unmap:
        return take_segment(e);
      case SnapshotAction::oom:
        return add(EventKind::out_of_memory, -1, -1, e.size_bytes, numbers_.stream(e.stream),
                   numbers_.pool(e.pool));
      case SnapshotAction::snapshot:
      case SnapshotAction::user_defined:
        return;
    }
  }

  void take_alloc(const SnapshotEvent& e) {
    const HeldSegment* segment = state_.segment_at(e.address);
    HeldBlock block{.size_bytes = state_.set_aside(e.address, rounded(e.size_bytes), rest_bytes_),
                    .requested_bytes = e.size_bytes,
                    .stream = e.stream,
                    .frames = e.frames};
    if (!state_.blocks.emplace(e.address, block).second) {
      ++state_.unmatched;
      state_.blocks[e.address] = block;
    }
    make_buffer(e.address, block, segment == nullptr ? e.pool : segment->pool, e.metadata,
                e.category);
    const CallSite site = sites_.back();
    out_.all_bytes += e.size_bytes;
    const bool is_told = categories_.back() && *categories_.back() != Category::unknown;
    if (site == CallSite::unknown && !is_told) out_.unknown_bytes += e.size_bytes;
  }

  /// Written only when other streams hold the free up; else `free` alone says it.
  void take_free_requested(const SnapshotEvent& e) {
    const auto buffer = buffer_at_.find(e.address);
    if (buffer == buffer_at_.end()) return;
    free_sites_[static_cast<std::size_t>(buffer->second)] = labels_[e.frames].site;
    const bool at_once = at_ + 1 < events_.size() &&
                         events_[at_ + 1].action == SnapshotAction::free_completed &&
                         events_[at_ + 1].address == e.address;
    if (!at_once) add(EventKind::free_requested, buffer->second);
  }

  void take_free(const SnapshotEvent& e) {
    const auto buffer = buffer_at_.find(e.address);
    if (buffer == buffer_at_.end() || state_.blocks.erase(e.address) == 0) {
      ++state_.unmatched;
      return;
    }
    freed_[static_cast<std::size_t>(buffer->second)] = true;
    add(EventKind::free, buffer->second);
    buffer_at_.erase(buffer);
  }

  void take_segment(const SnapshotEvent& e) {
    HeldSegment s{e.address, e.size_bytes, e.stream, e.size_bytes == 2 * k_mib, false, e.pool};
    if (const auto last = final_segments().find(e.address); last != final_segments().end()) {
      s.pool = last->second.pool;
    }
    bool fits = true;
    EventKind kind = EventKind::segment_alloc;
    if (e.action == SnapshotAction::segment_alloc) {
      fits = state_.segments.emplace(e.address, s).second;
    } else if (e.action == SnapshotAction::segment_free) {
      kind = EventKind::segment_free;
      fits = state_.segments.erase(e.address) == 1;
    } else {
      s.is_expandable = true;
      s.is_small = e.size_bytes % (20 * k_mib) != 0;
      const bool grows = e.action == SnapshotAction::segment_map;
      kind = grows ? EventKind::segment_map : EventKind::segment_unmap;
      fits = grows ? state_.map(s) : state_.unmap(s.address, s.size_bytes);
    }
    if (!fits) ++state_.unmatched;
    add_segment(kind, s);
  }

  const std::map<std::int64_t, HeldSegment>& final_segments() {
    if (final_.segments.empty()) final_ = final_state(snapshot_, out_.device);
    return final_.segments;
  }

  /// True when the run of releases that begins here gives back all that is free as a whole: what
  /// the program asked for with empty_cache, or the allocator's own last resort. A part only is a
  /// choice of the allocator (garbage collection, max_split_size).
  bool releases_everything() const {
    std::size_t released = 0;
    for (std::size_t i = at_; i < events_.size(); ++i) {
      if (events_[i].action == SnapshotAction::segment_unmap) return true;
      if (events_[i].action != SnapshotAction::segment_free) break;
      ++released;
    }
    std::size_t whole = 0;
    for (const auto& [address, segment] : state_.segments) {
      const auto block = state_.blocks.lower_bound(address);
      const bool used = block != state_.blocks.end() && block->first < address + segment.size_bytes;
      if (!used && !segment.is_expandable && segment.pool == SnapshotPool{}) ++whole;
    }
    return released >= whole;
  }

  /// Steps are what the profiler marked as such, else they lie between consecutive ends of an
  /// optimizer's step.
  void mark_steps() {
    std::vector<std::int64_t> ends_us;
    for (const SnapshotAnnotation& a : snapshot_.annotations) {
      if (a.device != out_.device) continue;
      if (const std::int32_t step = profiler_step(a.name); step >= 0) {
        marks_.push_back(
            {a.time_us, a.is_begin ? EventKind::step_begin : EventKind::step_end, step});
      }
      if (!a.is_begin && a.name.starts_with("Optimizer.step")) ends_us.push_back(a.time_us);
    }
    if (marks_.empty()) {
      std::ranges::sort(ends_us);
      for (std::size_t i = 0; i + 1 < ends_us.size(); ++i) {
        const auto step = static_cast<std::int32_t>(i);
        marks_.push_back({ends_us[i], EventKind::step_begin, step});
        marks_.push_back({ends_us[i + 1], EventKind::step_end, step});
      }
    }
    std::ranges::stable_sort(marks_, {}, &StepMark::time_us);
    const bool timed = !events_.empty() && events_.front().time_us >= 0;
    if (!timed) marks_.clear();
    first_us_ = timed ? events_.front().time_us : 0;
  }

  /// What overlaps another step, or ends none, is left out.
  void pass_mark() {
    const StepMark& mark = marks_[mark_++];
    const bool begins = mark.kind == EventKind::step_begin;
    if (begins != (open_step_ < 0) || (!begins && mark.step != open_step_)) return;
    add(mark.kind, mark.step);
    open_step_ = begins ? mark.step : -1;
  }

  void step_to(const SnapshotEvent& e) {
    if (e.time_us < 0) {
      time_ns_ += 1000;  // no clock: events are counted
      return;
    }
    while (mark_ < marks_.size() && marks_[mark_].time_us <= e.time_us) pass_mark();
    time_ns_ = std::max(time_ns_, (e.time_us - first_us_) * 1000);
  }

  void step_to_end() {
    while (mark_ < marks_.size()) pass_mark();
    if (open_step_ >= 0) add(EventKind::step_end, open_step_);
  }

  void finish() {
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      out_.trace.buffers[i].category =
          categories_[i].value_or(category_of(sites_[i], freed_[i], free_sites_[i]));
    }
    for (const SnapshotSegment& s : snapshot_.segments) {
      if (s.device != out_.device) continue;
      out_.end_reserved_bytes += s.total_bytes;
      out_.end_allocated_bytes += s.allocated_bytes;
      out_.end_active_bytes += s.active_bytes;
      const bool known = s.requested_bytes >= 0 && out_.end_requested_bytes >= 0;
      out_.end_requested_bytes = known ? out_.end_requested_bytes + s.requested_bytes : -1;
    }
  }

  static constexpr std::size_t k_before = ~std::size_t{0};

  const Snapshot& snapshot_;
  const std::vector<SnapshotEvent>& events_;
  Numbers numbers_;
  Labels labels_;
  DeviceState state_;
  DeviceState final_;
  ImportedDevice out_;
  FrameLabel before_recording_{CallSite::unknown, "before the recording", {}};
  std::unordered_map<std::int64_t, std::int32_t> buffer_at_;  // live, by address
  std::unordered_map<std::string, LayerId> layers_;
  std::vector<std::optional<Category>> categories_;  // by buffer, where the snapshot says it
  std::vector<CallSite> sites_;                      // by buffer
  std::vector<CallSite> free_sites_;                 // by buffer
  std::vector<bool> freed_;                          // by buffer
  std::vector<StepMark> marks_;
  std::size_t mark_ = 0;
  std::int32_t open_step_ = -1;
  std::size_t at_ = k_before;
  std::int64_t rest_bytes_ = k_mib;
  std::int64_t first_us_ = 0;
  std::int64_t time_ns_ = 0;
  bool in_release_ = false;
};

}  // namespace

std::vector<ImportedDevice> import_snapshot(std::string bytes, const std::string& title) {
  const Snapshot snapshot = read_snapshot(std::move(bytes));
  std::vector<ImportedDevice> out;
  std::size_t devices = snapshot.device_events.size();
  for (const SnapshotSegment& s : snapshot.segments) {
    devices = std::max(devices, static_cast<std::size_t>(s.device) + 1);
  }
  const std::vector<SnapshotEvent> none;
  for (std::size_t i = 0; i < devices; ++i) {
    const auto device = static_cast<std::int64_t>(i);
    const auto& events = i < snapshot.device_events.size() ? snapshot.device_events[i] : none;
    const bool has_segments = std::ranges::any_of(
        snapshot.segments, [device](const SnapshotSegment& s) { return s.device == device; });
    if (events.empty() && !has_segments) continue;
    out.push_back(DeviceImport(snapshot, device, events).run(title));
  }
  if (out.empty()) {
    throw InputError(InputError::Parts{
        .place = "segments, device_traces", .expected = "a segment or an event", .found = "none"});
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].trace.meta.rank = static_cast<std::int32_t>(i);
    out[i].trace.meta.rank_count = static_cast<std::int32_t>(out.size());
    for (Buffer& b : out[i].trace.buffers) b.space.rank = static_cast<std::int32_t>(i);
  }
  return out;
}

}  // namespace tidemark
