// The CUDA backend is two libraries beside the programs, looked for when somebody asks for them:
// one for a device, one for several devices that meet.
#pragma once

#include <string>
#include <vector>

#include "profiler/cuda/nccl_api.h"
#include "profiler/cuda/plugin_api.h"

namespace tidemark {

/// libtidemark-cuda.so, loaded once and never unloaded; null with one line in `why`: not built, no
/// CUDA library, no driver, no device. It is looked for in `folder`, without one beside this
/// program and in the lib folder next to it. The first call decides. No device is opened.
[[nodiscard]] const cuda::PluginApi* load_cuda_plugin(std::string& why,
                                                      const std::string& folder = {});

/// The same for libtidemark-nccl.so. A library is enough: it is asked for no device.
[[nodiscard]] const cuda::NcclApi* load_nccl_plugin(std::string& why,
                                                    const std::string& folder = {});

/// The devices that the plug-in sees, by number: those that CUDA_VISIBLE_DEVICES leaves. Throws
/// InputError when it cannot say.
[[nodiscard]] std::vector<cuda::DeviceFacts> cuda_devices(const cuda::PluginApi& api);

}  // namespace tidemark
