// The CUDA backend is a library beside the programs, looked for when somebody asks for it.
#pragma once

#include <string>

#include "profiler/cuda/plugin_api.h"

namespace tidemark {

/// The plug-in with its device ready, loaded once and never unloaded; null with one line in `why`:
/// not built, no CUDA library, no driver, no device.
[[nodiscard]] const cuda::PluginApi* load_cuda_plugin(std::string& why);

/// Name of the device that the plug-in opened; empty before.
[[nodiscard]] std::string cuda_device_name();

}  // namespace tidemark
