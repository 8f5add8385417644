// libtidemark-cuda.so: the only part that links libraries of CUDA.
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <cstring>

#include "profiler/cuda/execute_call.h"
#include "profiler/cuda/matrix_product.h"
#include "profiler/cuda/plugin_api.h"
#include "profiler/cuda/pool_table.h"

namespace tidemark::cuda {
namespace {

constexpr int k_threads = 256;
constexpr std::int64_t k_most_blocks = 4096;
/// Codes of cuBLAS are told apart from those of CUDA.
constexpr int k_cublas_codes = 1 << 16;

/// More devices than any machine has.
constexpr int k_most_devices = 64;

/// What a device needs beside the memory of the run.
struct State {
  MatrixProducts products;
  double* partials = nullptr;
};
State g_states[k_most_devices];

/// Of the device that the calling thread has opened.
State& state() {
  int device = 0;
  cudaGetDevice(&device);
  return g_states[device];
}

template <class Body>
__global__ void each_kernel(std::int64_t count, Body body) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < count; i += stride) body(i);
}

template <class Body>
__global__ void team_kernel(std::int64_t count, Body body) {
  __shared__ typename Body::Shared shared;
  for (std::int64_t i = blockIdx.x; i < count; i += gridDim.x) body(Team{}, shared, i);
}

struct Stream {
  cudaStream_t stream;

  template <class Body>
  int each(std::int64_t count, const Body& body) {
    const std::int64_t blocks = (count + k_threads - 1) / k_threads;
    each_kernel<<<static_cast<unsigned>(blocks < k_most_blocks ? blocks : k_most_blocks), k_threads,
                  0, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  template <class Body>
  int teams(std::int64_t count, const Body& body) {
    constexpr std::int64_t k_most_teams = std::int64_t{1} << 16;
    team_kernel<<<static_cast<unsigned>(count < k_most_teams ? count : k_most_teams), k_team, 0,
                  stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  double* partials() { return state().partials; }

  int product(const Product& p) {
    const cublasStatus_t status = state().products.multiply(p, stream);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED && p.a_sums != nullptr) return k_sums_not_fused;
    return status == CUBLAS_STATUS_SUCCESS ? 0 : k_cublas_codes + static_cast<int>(status);
  }
};

cudaStream_t stream_of(void* stream) {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t event_of(void* event) {
  return static_cast<cudaEvent_t>(event);
}

const char* error_text(int code) {
  if (code >= k_cublas_codes) {
    return cublasLtGetStatusString(static_cast<cublasStatus_t>(code - k_cublas_codes));
  }
  return code < 0 ? "a kernel that the plug-in does not have"
                  : cudaGetErrorString(static_cast<cudaError_t>(code));
}

int device_count(int* count) {
  return cudaGetDeviceCount(count);
}

int describe(int device, DeviceFacts* facts) {
  cudaDeviceProp properties{};
  if (const cudaError_t code = cudaGetDeviceProperties(&properties, device)) return code;
  std::strncpy(facts->name, properties.name, sizeof facts->name - 1);
  static_assert(sizeof properties.uuid.bytes == 2 * sizeof(std::uint64_t));
  std::uint64_t halves[2];
  std::memcpy(halves, properties.uuid.bytes, sizeof halves);
  facts->id = halves[0] ^ halves[1];
  return cudaSuccess;
}

int open_device(int device) {
  if (device < 0 || device >= k_most_devices) return cudaErrorInvalidDevice;
  if (const cudaError_t code = cudaSetDevice(device)) return code;
  State& mine = g_states[device];
  if (mine.partials != nullptr) return 0;
  const cublasStatus_t status = mine.products.open();
  if (status != CUBLAS_STATUS_SUCCESS) return k_cublas_codes + static_cast<int>(status);
  void* partials = nullptr;
  if (const cudaError_t code = cudaMalloc(&partials, k_partials * sizeof(double))) return code;
  mine.partials = static_cast<double*>(partials);
  return 0;
}

int allocate(Memory memory, std::size_t bytes, void** pointer) {
  return memory == Memory::device ? cudaMalloc(pointer, bytes) : cudaMallocHost(pointer, bytes);
}

int release(Memory memory, void* pointer) {
  return memory == Memory::device ? cudaFree(pointer) : cudaFreeHost(pointer);
}

int make_stream(void** stream) {
  return cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t*>(stream), cudaStreamNonBlocking);
}

int query(void* stream, bool* is_idle) {
  const cudaError_t code = cudaStreamQuery(stream_of(stream));
  *is_idle = code == cudaSuccess;
  return code == cudaErrorNotReady ? cudaSuccess : code;
}

int is_reached(void* event, bool* reached) {
  const cudaError_t code = cudaEventQuery(event_of(event));
  *reached = code == cudaSuccess;
  return code == cudaErrorNotReady ? cudaSuccess : code;
}

int elapsed_ns(void* from, void* to, std::int64_t* ns) {
  float ms = 0;
  const cudaError_t code = cudaEventElapsedTime(&ms, event_of(from), event_of(to));
  *ns = static_cast<std::int64_t>(static_cast<double>(ms) * 1e6);
  return code;
}

int launch(const Call* call, void* stream) {
  Stream place{stream_of(stream)};
  return execute_call(place, *call);
}

PluginApi make_table() {
  PluginApi api;
  api.version = k_plugin_version;
  api.error_text = error_text;
  api.device_count = device_count;
  api.describe = describe;
  api.open = open_device;
  api.memory_info = [](std::size_t* free_bytes, std::size_t* total_bytes) -> int {
    return cudaMemGetInfo(free_bytes, total_bytes);
  };
  api.allocate = allocate;
  api.release = release;
  api.set_bytes = [](void* pointer, int value, std::size_t bytes, void* stream) -> int {
    return cudaMemsetAsync(pointer, value, bytes, stream_of(stream));
  };
  api.copy = [](void* to, const void* from, std::size_t bytes, void* stream) -> int {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream));
  };
  api.make_stream = make_stream;
  api.drop_stream = [](void* stream) -> int { return cudaStreamDestroy(stream_of(stream)); };
  api.query = query;
  api.synchronize = [](void* stream) -> int { return cudaStreamSynchronize(stream_of(stream)); };
  api.make_event = [](void** event) -> int {
    return cudaEventCreate(reinterpret_cast<cudaEvent_t*>(event));
  };
  api.drop_event = [](void* event) -> int { return cudaEventDestroy(event_of(event)); };
  api.record = [](void* event, void* stream) -> int {
    return cudaEventRecord(event_of(event), stream_of(stream));
  };
  api.wait = [](void* stream, void* event) -> int {
    return cudaStreamWaitEvent(stream_of(stream), event_of(event), 0);
  };
  api.is_reached = is_reached;
  api.elapsed_ns = elapsed_ns;
  api.launch = launch;
  api.push_range = [](const char* name) { nvtxRangePushA(name); };
  api.pop_range = [] { nvtxRangePop(); };
  api.pool = pool_table();
  return api;
}

}  // namespace
}  // namespace tidemark::cuda

extern "C" __attribute__((visibility("default"))) const tidemark::cuda::PluginApi*
tidemark_cuda_plugin() {
  static const tidemark::cuda::PluginApi api = tidemark::cuda::make_table();
  return &api;
}
