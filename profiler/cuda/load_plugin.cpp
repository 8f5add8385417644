#include "profiler/cuda/load_plugin.h"

#include <dlfcn.h>

#include <array>
#include <filesystem>

#include "profiler/cupti/driver.h"

namespace tidemark {
namespace {

struct Plugin {
  const cuda::PluginApi* api = nullptr;
  std::string device;
  std::string why;
};

/// The driver is asked first: without one the libraries of CUDA would only fail later and vaguer.
Plugin load(const std::string& folder) {
  namespace fs = std::filesystem;
  Plugin out;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error).parent_path();
  fs::path file = (folder.empty() ? self : fs::path(folder)) / "libtidemark-cuda.so";
  if (!fs::exists(file, error)) file = self.parent_path() / "lib" / "libtidemark-cuda.so";
  if (!fs::exists(file, error)) {
    out.why = "libtidemark-cuda.so is not there: it is built only where nvcc is found";
    return out;
  }
  if (const Capability driver = probe_driver(); !driver.works) {
    out.why = driver.why;
    return out;
  }
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    out.why = dlerror();
    return out;
  }
  using Entry = const cuda::PluginApi* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library, cuda::k_plugin_entry));
  const cuda::PluginApi* api = entry == nullptr ? nullptr : entry();
  if (api == nullptr || api->version != cuda::k_plugin_version) {
    out.why = "libtidemark-cuda.so is of another version than this program";
    return out;
  }
  std::array<char, 256> name{};
  if (const int code = api->open(name.data(), name.size()); code != 0) {
    out.why = api->error_text(code);
    return out;
  }
  out.api = api;
  out.device = name.data();
  return out;
}

const Plugin& plugin(const std::string& folder) {
  static const Plugin loaded = load(folder);
  return loaded;
}

}  // namespace

const cuda::PluginApi* load_cuda_plugin(std::string& why, const std::string& folder) {
  why = plugin(folder).why;
  return plugin(folder).api;
}

std::string cuda_device_name() {
  return plugin({}).device;
}

}  // namespace tidemark
