// A recording that another tool made, in one form for all tools, and the traces that it becomes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "traces/frame_label.h"
#include "traces/imported_device.h"
#include "traces/trace.h"

namespace tidemark {

/// What is known of an allocation, an op or the call that made a free.
struct ForeignLabel {
  std::string name{};
  LayerId layer{};  // row of ForeignRecording::layers
  Phase phase = Phase::other;
  CallSite site = CallSite::unknown;
  std::optional<Category> category{};  // where the tool knows; else it follows from the call sites
  bool operator==(const ForeignLabel&) const = default;
};

/// One event; which fields count depends on its kind.
struct ForeignEvent {
  EventKind kind = EventKind::alloc;  // alloc, free, op_*, step_*, out_of_memory
  std::int64_t time_ns = 0;           // of the tool's clock, in [0, 2^62]
  std::int64_t order = 0;             // among events of one time: ascending
  SpaceKind space = SpaceKind::device;
  std::int64_t device = 0;
  std::uint32_t label = 0;  // row of ForeignRecording::labels; of a free: of the call that freed

  std::uint64_t address = 0;          // alloc, free: what joins them
  std::int64_t size_bytes = 0;        // alloc, free, out_of_memory: set aside
  std::int64_t requested_bytes = -1;  // alloc: -1 = not told apart
  std::int64_t total_bytes = -1;      // live in this memory behind the event, as the tool counted
  std::int64_t buffer = -1;  // alloc, free: joins them instead of the address; one buffer for all
  bool has_address = true;   // alloc

  std::int64_t stream = 0;  // op
  std::int64_t step = 0;    // step_*
};

struct ForeignStream {
  std::int64_t stream = 0;
  std::string name{};
};

struct ForeignRecording {
  std::string allocator;                // for Meta; empty = not known
  std::int64_t origin_ns = 0;           // the tool's time that is 0 in the traces
  bool ops_follow_allocations = false;  // ops of the program's own thread stand in the recording:
                                        // an allocation belongs to the next one
  std::vector<Layer> layers;
  std::vector<ForeignLabel> labels{ForeignLabel{}};
  std::vector<ForeignStream> streams;  // names, where the tool has them
  std::vector<ForeignEvent> events;    // in any order
  Health health;                       // what the reader lost
};

/// One trace of level 0 for each device that something was allocated on; memory of the host goes to
/// the trace of the device with the same number, else to the first. When there is none but the
/// host's, the host is the device.
///
/// A block that is freed and was never allocated was live before the recording; so is what the
/// first total_bytes says beyond that. Both stand before the event `recording_begin`, with category
/// unknown. Health counts: unmatched_frees (of a block that was freed before), dropped_events (a
/// block that is allocated again while it lives: its free was lost; totals that depart from those
/// of the tool; ops without an end; steps that overlap; ops of other devices).
///
/// Unless ops_follow_allocations, behind each allocation of a known phase or layer stands an op of
/// stream 0, begun and ended at once, that carries the phase; recorded ops are on streams from 1.
/// Throws InputError when nothing was allocated.
[[nodiscard]] std::vector<ImportedDevice> traces_of(ForeignRecording recording,
                                                    const std::string& title);

}  // namespace tidemark
