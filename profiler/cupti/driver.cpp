#include "profiler/cupti/driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

#include "sim/units.h"

namespace tidemark {
namespace {

// CUresult, cuda.h of CUDA 13.0.
constexpr int k_stub_library = 34;
constexpr int k_no_device = 100;
constexpr int k_system_mismatch = 803;

template <class Function>
void find(void* library, const char* name, Function& function, std::string& missing) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr && missing.empty()) missing = name;
}

std::string init_error(int code) {
  switch (code) {
    case k_stub_library:
      return "libcuda.so.1 is the stub of the toolkit, not a driver";
    case k_no_device:
      return "the driver finds no device";
    case k_system_mismatch:
      return "the driver and its kernel module differ in version (restart the machine)";
    default:
      return fmt::format("cuInit failed with code {}", code);
  }
}

}  // namespace

const DriverApi* load_driver(std::string& why) {
  struct Loaded {
    DriverApi api;
    std::string why;
  };
  static const Loaded loaded = [] {
    Loaded out;
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      out.why = "no NVIDIA driver: libcuda.so.1 is not found";
      return out;
    }
    std::string missing;
    find(library, "cuInit", out.api.init, missing);
    find(library, "cuDriverGetVersion", out.api.driver_version, missing);
    find(library, "cuDeviceGetCount", out.api.device_count, missing);
    find(library, "cuDeviceGetName", out.api.device_name, missing);
    find(library, "cuDeviceTotalMem_v2", out.api.device_memory, missing);
    find(library, "cuCtxPushCurrent_v2", out.api.push_context, missing);
    find(library, "cuCtxPopCurrent_v2", out.api.pop_context, missing);
    find(library, "cuCtxGetDevice", out.api.context_device, missing);
    find(library, "cuMemGetInfo_v2", out.api.memory_info, missing);
    if (!missing.empty()) out.why = "libcuda.so.1 has no function " + missing;
    return out;
  }();
  why = loaded.why;
  return loaded.why.empty() ? &loaded.api : nullptr;
}

Capability probe_driver(const DriverApi* driver, const std::string& why_missing) {
  if (driver == nullptr) return {false, why_missing};
  if (const int code = driver->init(0); code != 0) return {false, init_error(code)};
  int version = 0;
  int count = 0;
  driver->driver_version(&version);
  if (const int code = driver->device_count(&count); code != 0 || count == 0) {
    return {false, code == 0 ? init_error(k_no_device) : init_error(code)};
  }
  std::array<char, 256> name{};
  std::size_t memory_bytes = 0;
  driver->device_name(name.data(), static_cast<int>(name.size()) - 1, 0);
  driver->device_memory(&memory_bytes, 0);
  return {true, fmt::format("{} x {}, {}; driver for CUDA {}.{}", count, name.data(),
                            format_bytes(static_cast<std::int64_t>(memory_bytes)), version / 1000,
                            version % 1000 / 10)};
}

Capability probe_driver() {
  std::string why;
  const DriverApi* driver = load_driver(why);
  return probe_driver(driver, why);
}

}  // namespace tidemark
