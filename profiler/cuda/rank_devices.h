// Which device each rank of a run has: a device for each.
#pragma once

#include <cstdint>
#include <string>

#include "profiler/cuda/plugin_api.h"
#include "profiler/process_team.h"

namespace tidemark {

struct RankDevice {
  int device = 0;    // as this process numbers them
  std::string name;  // "NVIDIA H100 80GB HBM3"
};

/// Of rank `rank` of `ranks` that are threads of this process: the device of its number. Throws
/// InputError when there are fewer devices than ranks.
[[nodiscard]] RankDevice device_of_thread(const cuda::PluginApi& api, std::int32_t rank,
                                          std::int32_t ranks);

/// Of a rank that is a process: by its place among those on its machine; where the launcher leaves
/// each process one device to see, that. All ranks ask together. Throws InputError when two of them
/// would have the same device.
[[nodiscard]] RankDevice device_of_process(const cuda::PluginApi& api, ProcessCommunicator& ranks);

}  // namespace tidemark
