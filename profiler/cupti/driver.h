// The CUDA driver, found at run time: no header and no library of CUDA is needed to build or to
// start this. A machine without it is told apart from one whose driver does not work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tidemark {

/// Whether something can be used here, and one line that says why or why not.
struct Capability {
  bool works = false;
  std::string why;
  bool operator==(const Capability&) const = default;
};

/// Entry points of libcuda.so.1. Codes are CUresult (cuda.h, 13.0): 0 is success.
struct DriverApi {
  int (*init)(unsigned flags) = nullptr;                                // cuInit
  int (*driver_version)(int* version) = nullptr;                        // cuDriverGetVersion
  int (*device_count)(int* count) = nullptr;                            // cuDeviceGetCount
  int (*device_name)(char* name, int bytes, int device) = nullptr;      // cuDeviceGetName
  int (*device_memory)(std::size_t* bytes, int device) = nullptr;       // cuDeviceTotalMem_v2
  int (*push_context)(void* context) = nullptr;                         // cuCtxPushCurrent_v2
  int (*pop_context)(void** context) = nullptr;                         // cuCtxPopCurrent_v2
  int (*context_device)(int* device) = nullptr;                         // cuCtxGetDevice
  int (*memory_info)(std::size_t* free, std::size_t* total) = nullptr;  // cuMemGetInfo_v2
};

/// The driver of this machine, loaded once and never unloaded; null with a reason in `why` when
/// there is none or it lacks a function.
[[nodiscard]] const DriverApi* load_driver(std::string& why);

/// What a driver says of itself. `driver` may be null: `why_missing` is the answer then.
[[nodiscard]] Capability probe_driver(const DriverApi* driver, const std::string& why_missing);

/// The driver and its first device on this machine.
[[nodiscard]] Capability probe_driver();

}  // namespace tidemark
