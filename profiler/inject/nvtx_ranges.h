// Push and pop ranges of NVTX, as they are pushed. Ranges by start and end, which may cross
// threads, are not layers and are not taken.
#pragma once

#include <cstdint>

#include "profiler/inject/recording.h"

namespace tidemark {

/// NvtxGetExportTableFunc_t of nvtx3 (nvtxDetail/nvtxTypes.h).
using NvtxExportTable = const void* (*)(std::uint32_t table);

/// Puts our functions into the tables of an NVTX instance (each program and library has its own).
/// `recording` must stay. False when the instance has no such tables.
bool take_nvtx_ranges(NvtxExportTable get_export_table, InjectedRecording& recording);

}  // namespace tidemark
