// Other people's recordings, told apart by their first bytes.
#pragma once

#include <string>
#include <vector>

#include "traces/imported_device.h"

namespace tidemark {

/// A memory snapshot of PyTorch (import_snapshot.h), a trace of PyTorch's profiler or an export as
/// Chrome trace events (import_kineto.h), a database in SQLite (import_sqlite.h). `bytes` are
/// decompressed. Throws InputError, without the name of the file, for anything else.
[[nodiscard]] std::vector<ImportedDevice> import_recording(std::string bytes,
                                                           const std::string& title);

}  // namespace tidemark
