#include "sim/allocator_replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "sim/pytorch_allocator.h"
#include "sim/replay_devices.h"
#include "sim/units.h"

namespace tidemark {
namespace {

bool is_release(const Event& e) {
  return e.kind == EventKind::segment_free || e.kind == EventKind::segment_unmap;
}

class Replayer {
 public:
  Replayer(const Trace& trace, const ReplayOptions& options)
      : trace_(trace),
        options_(options),
        events_(allocator_events(trace, options.steps)),
        recorded_([this](const Exchange& e) { note_exchange(e); }),
        watched_(options.device_bytes, [this](const Exchange& e) { note_exchange(e); }),
        handles_(trace.buffers.size(), k_no_block),
        requested_(trace.buffers.size(), false) {
    DeviceMemory& device = options.follow_recording ? static_cast<DeviceMemory&>(recorded_)
                                                    : static_cast<DeviceMemory&>(watched_);
    model_ = make_allocator(options.kind, options.conf, device);
  }

  AllocatorReplay run() {
    begin();
    for (; at_ < events_.size(); ++at_) {
      take(events_[at_]);
      note(events_[at_].time_ns);
    }
    before_request();
    recorded_.close();
    out_.at_end = model_->figures();
    if (options_.follow_recording) {
      out_.wrong_segments = recorded_.wrong;
      out_.final_segments = model_->segments();
    }
    return std::move(out_);
  }

 private:
  /// Goes to the event after recording_begin, with what was live then in place.
  void begin() {
    const auto border = std::ranges::find(events_, EventKind::recording_begin, &Event::kind);
    if (border == events_.end()) return;
    const std::size_t first = static_cast<std::size_t>(border - events_.begin()) + 1;
    if (options_.restore_start || options_.follow_recording) {
      restore();
      at_ = first;
    } else {
      for (; at_ < first; ++at_) {
        if (events_[at_].kind == EventKind::alloc) allocate(events_[at_]);
        if (events_[at_].kind == EventKind::free_requested) request_free(events_[at_]);
      }
    }
    out_.segments = 0;
    out_.allocations = 0;
    out_.growths.clear();
    grown_at_ = k_nowhere;
    note(0);
  }

  void restore() {
    std::vector<RestoredSegment> segments = start_segments(trace_, events_);
    if (!options_.follow_recording) move_to_own_addresses(segments);
    auto& model = dynamic_cast<PyTorchAllocator&>(*model_);
    for (const RestoredSegment& s : segments) recorded_.hold(s.address, s.size_bytes);
    const std::vector<BlockHandle> handles = model.restore(segments);
    std::size_t next = 0;
    for (const RestoredSegment& s : segments) {
      for (const RestoredBlock& b : s.blocks) {
        own(b.buffer, handles[next++]);
        requested_[static_cast<std::size_t>(b.buffer)] = b.is_pending;
      }
    }
  }

  /// Runs of one expandable segment keep their distances.
  void move_to_own_addresses(std::vector<RestoredSegment>& segments) {
    std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> shifts;
    for (RestoredSegment& s : segments) {
      std::int64_t shift = 0;
      if (s.is_expandable) {
        const std::pair key{2 * s.pool + (s.is_small ? 1 : 0), s.stream};
        auto known = shifts.find(key);
        if (known == shifts.end()) {
          constexpr std::int64_t k_range_bytes = std::int64_t{1} << 48;
          known =
              shifts.emplace(key, watched_.take_range(k_range_bytes, s.stream) - s.address).first;
        }
        shift = known->second;
      } else {
        shift = watched_.take(s.size_bytes, s.stream) - s.address;
      }
      s.address += shift;
      for (RestoredBlock& b : s.blocks) b.address += shift;
    }
  }

  void own(std::int32_t buffer, BlockHandle handle) {
    handles_[static_cast<std::size_t>(buffer)] = handle;
    if (!options_.explain || handle < 0) return;
    const auto row = static_cast<std::size_t>(handle);
    if (row >= owners_.size()) owners_.resize(2 * row + 1, -1);
    owners_[row] = buffer;
  }

  void take(const Event& e) {
    switch (e.kind) {
      case EventKind::alloc:
        before_request();
        allocate(e);
        recorded_.close();
        break;
      case EventKind::out_of_memory:
        before_request();
        if (options_.follow_recording) fail_as_recorded(e);
        break;
      case EventKind::free_requested:
        request_free(e);
        break;
      case EventKind::free:
        finish_free(e);
        break;
      case EventKind::segment_alloc:
      case EventKind::segment_free:
      case EventKind::segment_map:
      case EventKind::segment_unmap:
        recorded_.pending.push_back(e);
        break;
      case EventKind::empty_cache:
        empty_cache();
        break;
      case EventKind::step_begin:
      case EventKind::step_end:
      case EventKind::op_begin:
      case EventKind::op_end:
      case EventKind::recording_begin:
        break;
    }
  }

  /// Segments that the recording gave back without giving back all: a choice of the allocator that
  /// depends on what the trace does not tell. They go as they went.
  void before_request() {
    while (!recorded_.pending.empty() && is_release(recorded_.pending.front())) {
      const Event e = recorded_.pending.front();
      if (options_.follow_recording) {
        const std::int64_t wrong_before = recorded_.wrong;
        if (!model_->release_segment(e.address_bytes)) {
          recorded_.pending.pop_front();
          ++recorded_.wrong;
        }
        if (recorded_.wrong == wrong_before) ++out_.released_as_recorded;
      } else {
        recorded_.pending.pop_front();
        if (options_.restore_start) release_one_of(e.size_bytes);
      }
    }
    if (!options_.follow_recording) recorded_.pending.clear();
  }

  void release_one_of(std::int64_t bytes) {
    for (const AllocatorSegment& s : model_->segments()) {
      if (s.size_bytes != bytes || s.blocks.size() != 1 || s.blocks[0].handle >= 0) continue;
      ++out_.released_as_recorded;
      (void)model_->release_segment(s.address);
      return;
    }
  }

  void empty_cache() {
    before_request();
    recorded_.close();
    while (at_ + 1 < events_.size() && is_release(events_[at_ + 1])) {
      if (options_.follow_recording) recorded_.pending.push_back(events_[at_ + 1]);
      ++at_;
    }
    model_->empty_cache();
    recorded_.close();
  }

  void allocate(const Event& e) {
    const auto row = static_cast<std::size_t>(e.index);
    current_ = e;
    if (handles_[row] != k_no_block) return;  // it lives already: a damaged trace
    const BlockHandle handle =
        model_->allocate({trace_.buffers[row].size_bytes, e.stream, e.pool / 2});
    ++out_.allocations;
    if (handle == k_no_block) {
      ++out_.failed;
      return;
    }
    own(e.index, handle);
    if (options_.follow_recording && model_->address_of(handle) != e.address_bytes) {
      ++out_.wrong_addresses;
    }
  }

  void fail_as_recorded(const Event& e) {
    recorded_.refuses = true;
    current_ = e;
    const BlockHandle handle = model_->allocate({e.size_bytes, e.stream, e.pool / 2});
    if (handle != k_no_block) {
      ++recorded_.wrong;  // the recorded allocator found no room
      model_->free(handle);
    }
    recorded_.refuses = false;
    recorded_.close();
  }

  /// Only PyTorch's model knows of streams; for the others a block is given back once all are done
  /// with it, so that the bytes that wait count in every row.
  void request_free(const Event& e) {
    if (options_.kind != AllocatorKind::pytorch) return;
    const BlockHandle handle = handles_[static_cast<std::size_t>(e.index)];
    if (handle == k_no_block || requested_[static_cast<std::size_t>(e.index)]) return;
    // Any stream but its own: the trace says when it is done.
    model_->record_stream(handle, 63);
    model_->record_stream(handle, 62);
    model_->free(handle);
    requested_[static_cast<std::size_t>(e.index)] = true;
  }

  void finish_free(const Event& e) {
    const auto row = static_cast<std::size_t>(e.index);
    BlockHandle& handle = handles_[row];
    if (handle == k_no_block) return;
    if (requested_[row]) {
      model_->complete(handle);
      requested_[row] = false;
    } else {
      model_->free(handle);
    }
    handle = k_no_block;
  }

  void note(std::int64_t time_ns) {
    const AllocatorFigures f = model_->figures();
    const bool is_highest = std::tuple(f.reserved_bytes, f.active_bytes) >
                            std::tuple(out_.at_peak.reserved_bytes, out_.at_peak.active_bytes);
    if (is_highest) out_.at_peak = f;
    out_.peak_reserved_bytes = std::max(out_.peak_reserved_bytes, f.reserved_bytes);
    out_.peak_active_bytes = std::max(out_.peak_active_bytes, f.active_bytes);
    out_.peak_allocated_bytes = std::max(out_.peak_allocated_bytes, f.allocated_bytes);
    out_.peak_requested_bytes = std::max(out_.peak_requested_bytes, f.requested_bytes);
    if (!options_.sample) return;
    if (f.reserved_bytes != sampled_reserved_bytes_ || is_highest) {
      out_.samples.push_back({time_ns, f, model_->largest_hole_bytes()});
      sampled_reserved_bytes_ = f.reserved_bytes;
    }
  }

  /// What one request takes is one growth, in however many pieces; a piece that is given back
  /// before the request is served was none (an expandable segment that had to start again).
  void note_exchange(const Exchange& e) {
    if (!e.given_back) ++out_.segments;
    if (!options_.explain) return;
    const bool same_request = grown_at_ == at_;
    if (e.given_back) {
      if (same_request) take_back(e);
      return;
    }
    if (!same_request) {
      begin_growth(e.stream);
      pieces_.clear();
      grown_at_ = at_;
    }
    out_.growths.back().segment_bytes += e.bytes;
    pieces_.push_back(e);
  }

  void take_back(const Exchange& back) {
    Growth& g = out_.growths.back();
    for (const Exchange& piece : pieces_) {
      const std::int64_t begin = std::max(piece.address, back.address);
      const std::int64_t end = std::min(piece.address + piece.bytes, back.address + back.bytes);
      g.segment_bytes -= std::max<std::int64_t>(0, end - begin);
    }
    if (g.segment_bytes > 0) return;
    out_.growths.pop_back();
    grown_at_ = k_nowhere;
  }

  void begin_growth(std::int32_t stream) {
    const bool is_known = current_.kind == EventKind::alloc && current_.index >= 0;
    Growth g;
    g.time_ns = current_.time_ns;
    g.needed_bytes = current_.size_bytes;
    if (is_known) {
      g.buffer = BufferId{static_cast<std::size_t>(current_.index)};
      g.needed_bytes = trace_[g.buffer].size_bytes;
    }
    const bool is_small =
        PyTorchAllocator::round_size(options_.conf, g.needed_bytes) <= std::int64_t{1} << 20;
    for (const AllocatorSegment& s : model_->segments()) {
      if (s.stream == stream && s.is_small == is_small) look_for_holes(s, g);
    }
    out_.growths.push_back(g);
  }

  void look_for_holes(const AllocatorSegment& s, Growth& g) const {
    for (std::size_t i = 0; i < s.blocks.size(); ++i) {
      const AllocatorBlock& hole = s.blocks[i];
      if (hole.handle >= 0) continue;
      g.free_bytes += hole.size_bytes;
      if (hole.size_bytes <= g.largest_hole_bytes) continue;
      g.largest_hole_bytes = hole.size_bytes;
      g.holder = {};
      std::int64_t least = 0;
      for (const std::size_t beside : {i - 1, i + 1}) {
        if (beside >= s.blocks.size()) continue;
        const AllocatorBlock& b = s.blocks[beside];
        const auto row = static_cast<std::size_t>(b.handle);
        if (b.handle < 0 || row >= owners_.size() || owners_[row] < 0) continue;
        if (g.holder.valid() && b.size_bytes >= least) continue;
        g.holder = BufferId{static_cast<std::size_t>(owners_[row])};
        least = b.size_bytes;
      }
    }
  }

  static constexpr std::size_t k_nowhere = std::numeric_limits<std::size_t>::max();

  const Trace& trace_;
  const ReplayOptions& options_;
  std::vector<Event> events_;
  RecordedDevice recorded_;
  WatchedDevice watched_;
  std::unique_ptr<AllocatorModel> model_;
  std::vector<BlockHandle> handles_;  // by buffer
  std::vector<std::int32_t> owners_;  // buffer by handle
  std::vector<bool> requested_;       // by buffer: given back, not yet complete
  Event current_;
  AllocatorReplay out_;
  std::int64_t sampled_reserved_bytes_ = -1;
  std::size_t at_ = 0;
  std::size_t grown_at_ = k_nowhere;  // of the last growth, as at_
  std::vector<Exchange> pieces_;      // that it is made of
};

}  // namespace

AllocatorReplay replay_allocator(const Trace& trace, const ReplayOptions& options) {
  return Replayer(trace, options).run();
}

std::int64_t reserved_peak_bytes(const Trace& trace, AllocatorKind kind,
                                 const AllocatorConf& conf) {
  if (kind == AllocatorKind::static_plan) return static_plan(trace).packing.height_bytes;
  ReplayOptions options;
  options.kind = kind;
  options.conf = conf;
  return replay_allocator(trace, options).peak_reserved_bytes;
}

std::string explanation(const Trace& trace, const Growth& g) {
  std::string out = fmt::format("needed {}", format_bytes(g.needed_bytes));
  if (g.free_bytes == 0) return out + "; nothing free in its pool";
  out += fmt::format("; {} free, largest hole {}", format_bytes(g.free_bytes),
                     format_bytes(g.largest_hole_bytes));
  if (!g.holder.valid()) return out;
  const Buffer& holder = trace[g.holder];
  const std::string layer = holder.layer.valid() ? trace[holder.layer].name + " " : "";
  return out + fmt::format(", held open by {}{}", layer, holder.name);
}

}  // namespace tidemark
