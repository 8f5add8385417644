// libtidemark-cuda.so: the only part that links libraries of CUDA.
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <cstring>
#include <string>

#include "profiler/cuda/execute_call.h"
#include "profiler/cuda/matrix_product.cuh"
#include "profiler/cuda/plugin_api.h"

namespace tidemark::cuda {
namespace {

constexpr int k_threads = 256;
constexpr std::int64_t k_most_blocks = 4096;
/// Codes of cuBLAS are told apart from those of CUDA.
constexpr int k_cublas_codes = 1 << 16;
constexpr int k_cudnn_codes = 1 << 17;

/// More devices than any machine has.
constexpr int k_most_devices = 64;

/// What a device needs beside the memory of the run.
struct State {
  MatrixProducts products;
  double* partials = nullptr;
  CudnnAttention attention;
  std::string no_attention;  // why the library is not used, or not for some shape
  bool attended = false;     // by the library
};
State g_states[k_most_devices];

/// Of the device that the calling thread has opened.
State& state() {
  int device = 0;
  cudaGetDevice(&device);
  return g_states[device];
}

unsigned blocks_of(std::int64_t threads) {
  const std::int64_t blocks = (threads + k_threads - 1) / k_threads;
  return static_cast<unsigned>(blocks < k_most_blocks ? blocks : k_most_blocks);
}

template <class Body>
__global__ void each_kernel(std::int64_t count, Body body) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < count; i += stride) body(i);
}

template <class Body>
__global__ void __launch_bounds__(k_team) team_kernel(std::int64_t count, Body body) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<typename Body::Shared*>(memory);
  for (std::int64_t i = blockIdx.x; i < count; i += gridDim.x) body(Team{}, shared, i);
}

struct Stream {
  cudaStream_t stream;

  template <class Body>
  int each(std::int64_t count, const Body& body) {
    each_kernel<<<blocks_of(count), k_threads, 0, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  template <class Body>
  int teams(std::int64_t count, const Body& body) {
    constexpr std::int64_t k_most_teams = std::int64_t{1} << 16;
    constexpr int shared_bytes = sizeof(typename Body::Shared);
    constexpr int k_given_bytes = 48 << 10;  // of shared memory; more must be asked for
    if (shared_bytes > k_given_bytes) {
      const cudaError_t code = cudaFuncSetAttribute(
          team_kernel<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
      if (code != cudaSuccess) return static_cast<int>(code);
    }
    team_kernel<<<static_cast<unsigned>(count < k_most_teams ? count : k_most_teams), k_team,
                  shared_bytes, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  double* partials() { return state().partials; }

  int product(const Product& p) {
    const cublasStatus_t status = state().products.multiply(p, stream);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED && p.a_sums != nullptr) return k_sums_not_fused;
    return status == CUBLAS_STATUS_SUCCESS ? 0 : k_cublas_codes + static_cast<int>(status);
  }

  bool attends(const AttentionShape& shape, std::int64_t room_bytes) {
    if (state().attention.name().empty()) return false;
    std::string why;
    const std::int64_t bytes = state().attention.workspace_bytes(shape, why);
    if (bytes > room_bytes) why = "the trace has too little room for it";
    if (bytes >= 0 && bytes <= room_bytes) return true;
    state().no_attention = why;
    return false;
  }

  int attend(const AttentionShape& shape, const AttentionOperands& operands, void* workspace) {
    state().attended = true;
    const int code = state().attention.run(shape, operands, workspace, stream);
    return code == 0 ? 0 : k_cudnn_codes + code;
  }
};

cudaStream_t stream_of(void* stream) {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t event_of(void* event) {
  return static_cast<cudaEvent_t>(event);
}

const char* error_text(int code) {
  if (code >= k_cudnn_codes) return cudnn_error_text(code - k_cudnn_codes);
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
  mine.no_attention = mine.attention.open();
  return 0;
}

const char* attention() {
  thread_local std::string text;
  if (state().attention.name().empty()) state().no_attention = state().attention.open();
  const std::string& name = state().attention.name();
  const bool all = state().no_attention.empty();
  if (all) {
    text = name;
  } else {
    text = (state().attended ? name + " and " : "") + "own kernels (" + state().no_attention + ")";
  }
  return text.c_str();
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

/// Not ready is an answer; left as the last error, it would be taken for that of the next launch.
int answer(cudaError_t code, bool* is_done) {
  *is_done = code == cudaSuccess;
  if (code != cudaErrorNotReady) return code;
  cudaGetLastError();
  return cudaSuccess;
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
  api.query = [](void* stream, bool* is_idle) -> int {
    return answer(cudaStreamQuery(stream_of(stream)), is_idle);
  };
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
  api.is_reached = [](void* event, bool* is_reached) -> int {
    return answer(cudaEventQuery(event_of(event)), is_reached);
  };
  api.elapsed_ns = elapsed_ns;
  api.launch = launch;
  api.attention = attention;
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
