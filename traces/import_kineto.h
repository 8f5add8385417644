// Chrome trace events with memory in them: PyTorch's profiler (Kineto), and `tidemark export`.
#pragma once

#include <string>
#include <vector>

#include "traces/imported_device.h"

namespace tidemark {

/// Reads the content of a trace of torch.profiler.profile(profile_memory=True) (decompressed): an
/// object with "traceEvents", or the bare array, whose closing bracket may be missing.
///
/// Memory: instants "[memory]" with Bytes (negative: a free), Addr, Device Type (0 = host, 1 =
/// CUDA: c10/core/DeviceType.h; any type but 0 counts as a device), Device Id and Total Allocated
/// (torch/csrc/profiler/collection.cpp). Ops: slices of the categories kernel, gpu_memcpy,
/// gpu_memset, on the stream of their argument. Steps: ranges "ProfilerStep#N". Layers: ranges
/// "nn.Module: NAME" (with_modules, with_stack) and of the program. The part of the step follows
/// from the ranges around an allocation; where nothing tells, the category is `unknown`.
/// What an export wrote beside that (to_chrome) is taken as it stands.
///
/// Throws InputError (place "traceEvents[N]" or "byte N") for what is no such trace: damaged JSON,
/// nesting deeper than 64, numbers out of range, memory events of a wrong type, no memory event.
[[nodiscard]] std::vector<ImportedDevice> import_kineto(const std::string& bytes,
                                                        const std::string& title);

}  // namespace tidemark
