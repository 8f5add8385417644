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

struct State {
  MatrixProducts products;
  void* scratch = nullptr;
  CudnnAttention attention;
  std::string no_attention;  // why the library is not used, or not for some shape
  bool attended = false;     // by the library
};
State g_state;

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

/// The lanes of a warp, which all are at the same row.
struct WarpLanes {
  static constexpr std::int64_t count = 32;
  std::int64_t index;
  // Every lane gets the same bits: each step adds the two halves of the same pairs.
  __device__ float sum(float x) const {
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xFFFFFFFFU, x, step);
    return x;
  }
  __device__ float largest(float x) const {
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(0xFFFFFFFFU, x, step);
      x = other > x ? other : x;
    }
    return x;
  }
  __device__ bool any(bool x) const { return __any_sync(0xFFFFFFFFU, x) != 0; }
};

template <class Body>
__global__ void rows_kernel(std::int64_t count, Body body) {
  const WarpLanes lanes{threadIdx.x % WarpLanes::count};
  const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x / WarpLanes::count;
  for (std::int64_t row = thread / WarpLanes::count; row < count; row += stride) body(row, lanes);
}

struct Stream {
  cudaStream_t stream;

  template <class Body>
  int each(std::int64_t count, const Body& body) {
    each_kernel<<<blocks_of(count), k_threads, 0, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  template <class Body>
  int rows(std::int64_t count, const Body& body) {
    rows_kernel<<<blocks_of(count * WarpLanes::count), k_threads, 0, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  void* scratch() { return g_state.scratch; }

  int product(const Product& p) {
    const cublasStatus_t status = g_state.products.multiply(p, stream);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED && p.a_sums != nullptr) return k_sums_not_fused;
    return status == CUBLAS_STATUS_SUCCESS ? 0 : k_cublas_codes + static_cast<int>(status);
  }

  bool attends(const AttentionShape& shape, std::int64_t room_bytes) {
    if (g_state.attention.name().empty()) return false;
    std::string why;
    const std::int64_t bytes = g_state.attention.workspace_bytes(shape, why);
    if (bytes > room_bytes) why = "the trace has too little room for it";
    if (bytes >= 0 && bytes <= room_bytes) return true;
    g_state.no_attention = why;
    return false;
  }

  int attend(const AttentionShape& shape, const AttentionOperands& operands, void* workspace) {
    g_state.attended = true;
    const int code = g_state.attention.run(shape, operands, workspace, stream);
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

int open_device(char* name, std::size_t name_bytes) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count)) return code;
  if (count == 0) return cudaErrorNoDevice;
  if (const cudaError_t code = cudaSetDevice(0)) return code;
  cudaDeviceProp properties{};
  if (const cudaError_t code = cudaGetDeviceProperties(&properties, 0)) return code;
  std::strncpy(name, properties.name, name_bytes - 1);
  name[name_bytes - 1] = '\0';
  if (g_state.scratch != nullptr) return 0;
  const cublasStatus_t status = g_state.products.open();
  if (status != CUBLAS_STATUS_SUCCESS) return k_cublas_codes + static_cast<int>(status);
  const std::size_t scratch_bytes = k_scratch_floats * sizeof(float);
  if (const cudaError_t code = cudaMalloc(&g_state.scratch, scratch_bytes)) return code;
  g_state.no_attention = g_state.attention.open();
  return 0;
}

const char* attention() {
  static std::string text;
  if (g_state.attention.name().empty()) g_state.no_attention = g_state.attention.open();
  const std::string& name = g_state.attention.name();
  const bool all = g_state.no_attention.empty();
  if (all) {
    text = name;
  } else {
    text = (g_state.attended ? name + " and " : "") + "own kernels (" + g_state.no_attention + ")";
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
  api.synchronize = [](void* stream) -> int { return cudaStreamSynchronize(stream_of(stream)); };
  api.make_event = [](void** event) -> int {
    return cudaEventCreate(reinterpret_cast<cudaEvent_t*>(event));
  };
  api.record = [](void* event, void* stream) -> int {
    return cudaEventRecord(event_of(event), stream_of(stream));
  };
  api.wait = [](void* stream, void* event) -> int {
    return cudaStreamWaitEvent(stream_of(stream), event_of(event), 0);
  };
  api.elapsed_ns = elapsed_ns;
  api.launch = launch;
  api.attention = attention;
  api.push_range = [](const char* name) { nvtxRangePushA(name); };
  api.pop_range = [] { nvtxRangePop(); };
  return api;
}

}  // namespace
}  // namespace tidemark::cuda

extern "C" __attribute__((visibility("default"))) const tidemark::cuda::PluginApi*
tidemark_cuda_plugin() {
  static const tidemark::cuda::PluginApi api = tidemark::cuda::make_table();
  return &api;
}
