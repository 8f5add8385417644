// A trace's allocations and frees, replayed through a model of an allocator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/allocator_model.h"
#include "sim/pack.h"
#include "traces/trace.h"

namespace tidemark {

/// Why an allocator took more memory from the device.
struct Growth {
  std::int64_t time_ns = 0;
  BufferId buffer;                      // for which it grew; none when the trace does not say
  std::int64_t needed_bytes = 0;        // as requested
  std::int64_t segment_bytes = 0;       // taken from the device
  std::int64_t free_bytes = 0;          // that the allocator had free for this stream and pool
  std::int64_t largest_hole_bytes = 0;  // the largest piece of it
  BufferId holder;  // in use beside that piece, the smaller of two; none = nothing
  bool operator==(const Growth&) const = default;
};

/// The state after one change of the reserved bytes, or at a new peak.
struct AllocatorSample {
  std::int64_t time_ns = 0;
  AllocatorFigures figures;
  std::int64_t largest_hole_bytes = 0;
  bool operator==(const AllocatorSample&) const = default;
};

struct AllocatorReplay {
  std::int64_t allocations = 0;
  std::int64_t failed = 0;               // requests for which the device had no room
  std::int64_t peak_reserved_bytes = 0;  // each at its own maximum, from the recording's begin on
  std::int64_t peak_active_bytes = 0;
  std::int64_t peak_allocated_bytes = 0;
  std::int64_t peak_requested_bytes = 0;
  AllocatorFigures at_peak;  // when reserved_bytes were highest, at the most active bytes
  AllocatorFigures at_end;
  std::int64_t segments = 0;             // taken from the device during the recording
  std::vector<Growth> growths;           // empty unless asked for
  std::vector<AllocatorSample> samples;  // empty unless asked for
  // Against the recording; 0 unless it is followed.
  std::int64_t wrong_addresses = 0;  // allocations that the model puts elsewhere
  std::int64_t wrong_segments = 0;   // segments taken, given back, mapped or unmapped otherwise
  std::int64_t released_as_recorded = 0;  // given back by a choice that the trace does not explain
  std::vector<AllocatorSegment> final_segments;  // only when the recording is followed
};

struct ReplayOptions {
  AllocatorKind kind = AllocatorKind::pytorch;
  AllocatorConf conf;
  std::int64_t device_bytes = 0;  // 0 = no limit
  /// The recording's own segment addresses decide, and the model is compared with it. Only for
  /// AllocatorKind::pytorch.
  bool follow_recording = false;
  /// The state in which the recording began is taken over as it was. Otherwise what was live then
  /// is allocated anew: for models and options other than the recorded.
  bool restore_start = false;
  bool explain = false;  // fill growths
  bool sample = false;   // fill samples
  int steps = 3;         // times the body runs, for a trace without events
};

/// Replays the device allocations of `trace`: its events, else its program.
[[nodiscard]] AllocatorReplay replay_allocator(const Trace& trace, const ReplayOptions& options);

/// The device events of `trace`: those recorded, else those of the replay of its program with the
/// body `steps` times. Allocations of 0 bytes, which never reach an allocator, are left out.
[[nodiscard]] std::vector<Event> allocator_events(const Trace& trace, int steps);

/// The state before `recording_begin`; empty when there is none.
[[nodiscard]] std::vector<RestoredSegment> start_segments(const Trace& trace,
                                                          const std::vector<Event>& events);

/// Options under which a trace was recorded, from meta.allocator ("pytorch expandable_...").
[[nodiscard]] AllocatorConf recorded_conf(const Trace& trace);

/// Fixed addresses for all that lives on the device, as `tidemark pack` finds them, with a smaller
/// limit of nodes. One step of a program; the events of a trace without one.
[[nodiscard]] PackResult static_plan(const Trace& trace);

/// High water of `reserved_bytes` for a planned trace: what a budget in reserved bytes means.
[[nodiscard]] std::int64_t reserved_peak_bytes(const Trace& trace, AllocatorKind kind,
                                               const AllocatorConf& conf);

/// "needed 41.0 MiB; 212.0 MiB free, largest hole 38.0 MiB, held open by layer 7 attention".
[[nodiscard]] std::string explanation(const Trace& trace, const Growth& growth);

}  // namespace tidemark
