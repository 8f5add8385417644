// The CUDA backend is a library beside the programs, looked for when somebody asks for it.
#pragma once

#include <string>

#include "profiler/cuda/plugin_api.h"

namespace tidemark {

/// The plug-in with its device ready, loaded once and never unloaded; null with one line in `why`:
/// not built, no CUDA library, no driver, no device. It is looked for in `folder`, without one
/// beside this program and in the lib folder next to it. The first call decides.
[[nodiscard]] const cuda::PluginApi* load_cuda_plugin(std::string& why,
                                                      const std::string& folder = {});

/// Name of the device that the plug-in opened; empty without one.
[[nodiscard]] std::string cuda_device_name();

}  // namespace tidemark
