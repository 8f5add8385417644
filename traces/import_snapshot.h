// From a PyTorch memory snapshot to traces of level 0, one for each device that has something.
#pragma once

#include <string>
#include <vector>

#include "traces/imported_device.h"

namespace tidemark {

/// Reads the content of a snapshot (decompressed). The ring buffer of the recording may have begun
/// in the middle of a run: what was live and reserved then is found by undoing all events from the
/// final state, and stands before the event `recording_begin`.
/// One buffer per allocation: its name and layer are those of the call stack; its category follows
/// from the call site and from where it is freed, and is `unknown` where that does not tell.
/// Annotations "ProfilerStep#N" are the steps; without them ends of "Optimizer.step" bound them.
/// What an export wrote (to_snapshot) keeps its categories, names and layers. `meta.allocator` is
/// "pytorch" and the options that were set. Throws InputError for anything that is no snapshot.
/// Frees that match nothing are counted in Health::unmatched_frees.
[[nodiscard]] std::vector<ImportedDevice> import_snapshot(std::string bytes,
                                                          const std::string& title);

}  // namespace tidemark
