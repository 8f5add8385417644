#include "profiler/cuda/load_plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "profiler/cupti/driver.h"
#include "traces/error.h"

namespace tidemark {
namespace {

template <class Api>
struct Plugin {
  const Api* api = nullptr;
  std::string why;
};

/// A library of ours; empty when it is in none of the places.
std::string find_library(const std::string& name, const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place :
       {folder.empty() ? self : fs::path(folder), self.parent_path() / "lib"}) {
    if (fs::exists(place / name, error)) return (place / name).string();
  }
  return {};
}

template <class Api>
Plugin<Api> open_library(const std::string& file, const char* entry_name, int version) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {nullptr, dlerror()};
  using Entry = const Api* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, entry_name));
  const Api* api = entry == nullptr ? nullptr : entry();
  if (api == nullptr || api->version != version) {
    return {nullptr, file + " is of another version than this program"};
  }
  return {api, {}};
}

/// The driver is asked first: without one the libraries of CUDA would only fail later and vaguer.
Plugin<cuda::PluginApi> load_cuda(const std::string& folder) {
  const std::string file = find_library("libtidemark-cuda.so", folder);
  if (file.empty()) {
    return {nullptr, "libtidemark-cuda.so is not there: it is built only where nvcc is found"};
  }
  if (const Capability driver = probe_driver(); !driver.works) return {nullptr, driver.why};
  Plugin<cuda::PluginApi> out =
      open_library<cuda::PluginApi>(file, cuda::k_plugin_entry, cuda::k_plugin_version);
  if (out.api == nullptr) return out;
  int count = 0;
  if (const int code = out.api->device_count(&count); code != 0) {
    return {nullptr, out.api->error_text(code)};
  }
  if (count == 0) return {nullptr, "the driver shows no device"};
  return out;
}

Plugin<cuda::NcclApi> load_nccl(const std::string& folder) {
  const std::string file = find_library("libtidemark-nccl.so", folder);
  if (file.empty()) {
    return {nullptr,
            "libtidemark-nccl.so is not there: it is built only where CUDA and NCCL are found"};
  }
  // What NCCL takes of the device it is to take when ranks join, before the memory of the run is.
  setenv("NCCL_RUNTIME_CONNECT", "0", 0);
  return open_library<cuda::NcclApi>(file, cuda::k_nccl_entry, cuda::k_nccl_plugin_version);
}

}  // namespace

const cuda::PluginApi* load_cuda_plugin(std::string& why, const std::string& folder) {
  static const Plugin<cuda::PluginApi> loaded = load_cuda(folder);
  why = loaded.why;
  return loaded.api;
}

const cuda::NcclApi* load_nccl_plugin(std::string& why, const std::string& folder) {
  static const Plugin<cuda::NcclApi> loaded = load_nccl(folder);
  why = loaded.why;
  return loaded.api;
}

std::vector<cuda::DeviceFacts> cuda_devices(const cuda::PluginApi& api) {
  const auto check = [&api](int code) {
    if (code != 0) throw InputError(std::string("CUDA device: ") + api.error_text(code));
  };
  int count = 0;
  check(api.device_count(&count));
  std::vector<cuda::DeviceFacts> out(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) check(api.describe(i, &out[static_cast<std::size_t>(i)]));
  return out;
}

}  // namespace tidemark
