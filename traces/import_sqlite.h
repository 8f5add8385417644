// Recordings in SQLite: exports of NVIDIA's Nsight Systems, and of `tidemark export`.
#pragma once

#include <string>
#include <vector>

#include "traces/imported_device.h"

namespace tidemark {

/// What to_sqlite() of a trace wrote is read back as it stands: layers, streams, buffers, ops (by
/// name), events.
///
/// Of Nsight Systems (`nsys profile --cuda-memory-usage=true`, `nsys export --type sqlite`):
/// CUDA_GPU_MEMORY_USAGE_EVENTS are the allocations; CUPTI_ACTIVITY_KIND_KERNEL, _MEMCPY and
/// _MEMSET the ops; push-pop ranges of NVTX_EVENTS, on the thread whose call of
/// CUPTI_ACTIVITY_KIND_RUNTIME has the same correlation, the layers, phases and steps. Tables and
/// columns that a version lacks are done without; enumerations are read by their labels where the
/// file has them. Source: "SQLite Export Schema Reference" of the Nsight Systems documentation. The
/// category of driver memory is `unknown` but for static variables of modules (framework).
///
/// Throws InputError for what is no such database, damage, values out of range, no memory event;
/// and always in a build without SQLite.
[[nodiscard]] std::vector<ImportedDevice> import_sqlite(const std::string& bytes,
                                                        const std::string& title);

}  // namespace tidemark
