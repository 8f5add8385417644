// From a PyTorch memory snapshot to traces of level 0, one for each device that has something.
#pragma once

#include <string>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

struct ImportedDevice {
  std::int64_t device = 0;  // its number in the snapshot; trace.meta.rank counts from 0
  Trace trace;
  std::int64_t start_bytes = 0;         // live when the recording began
  std::int64_t unknown_bytes = 0;       // requested in the recording, and its category is not known
  std::int64_t all_bytes = 0;           // requested in the recording
  std::int64_t end_reserved_bytes = 0;  // the snapshot's own figures at its end
  std::int64_t end_allocated_bytes = 0;
  std::int64_t end_active_bytes = 0;
  std::int64_t end_requested_bytes = 0;  // -1 = not recorded
};

/// Reads the content of a snapshot (decompressed). The ring buffer of the recording may have begun
/// in the middle of a run: what was live and reserved then is found by undoing all events from the
/// final state, and stands before the event `recording_begin`.
/// One buffer per allocation: its name and layer are those of the call stack; its category follows
/// from the call site and from where it is freed, and is `unknown` where that does not tell.
/// Ends of "Optimizer.step" annotations bound the steps. `meta.allocator` is "pytorch" and the
/// options that were set.
/// Throws InputError for anything that is no snapshot. Frees that match nothing are counted in
/// Health::unmatched_frees.
[[nodiscard]] std::vector<ImportedDevice> import_snapshot(std::string bytes,
                                                          const std::string& title);

}  // namespace tidemark
