// libtidemark-cuda.so: the only part that links libraries of CUDA.
#include <cublasLt.h>
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <cstring>

#include "profiler/cuda/execute_call.h"
#include "profiler/cuda/plugin_api.h"

namespace tidemark::cuda {
namespace {

constexpr int k_threads = 256;
constexpr std::int64_t k_most_blocks = 4096;
/// cuBLAS advises 32 MiB on Hopper (cuBLAS manual, section 2.1.13).
constexpr std::size_t k_workspace_bytes = std::size_t{32} << 20;
/// Codes of cuBLAS are told apart from those of CUDA.
constexpr int k_cublas_codes = 1 << 16;

struct State {
  cublasLtHandle_t cublas = nullptr;
  void* workspace = nullptr;
  double* partials = nullptr;
};
State g_state;

template <class Body>
__global__ void each_kernel(std::int64_t count, Body body) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (; i < count; i += stride) body(i);
}

/// Descriptors of one product, freed on every way out.
struct Descriptors {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  ~Descriptors() {
    if (preference != nullptr) cublasLtMatmulPreferenceDestroy(preference);
    for (cublasLtMatrixLayout_t layout : {a, b, c}) {
      if (layout != nullptr) cublasLtMatrixLayoutDestroy(layout);
    }
    if (operation != nullptr) cublasLtMatmulDescDestroy(operation);
  }
};

template <class Value>
cublasStatus_t set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name,
                   const Value& value) {
  return cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value);
}

struct Stream {
  cudaStream_t stream;

  template <class Body>
  int each(std::int64_t count, const Body& body) {
    const std::int64_t blocks = (count + k_threads - 1) / k_threads;
    each_kernel<<<static_cast<unsigned>(blocks < k_most_blocks ? blocks : k_most_blocks),
                  k_threads, 0, stream>>>(count, body);
    return static_cast<int>(cudaGetLastError());
  }

  double* partials() { return g_state.partials; }

  int product(const Product& p) {
    const cublasStatus_t status = multiply(p);
    return status == CUBLAS_STATUS_SUCCESS ? 0 : k_cublas_codes + static_cast<int>(status);
  }

  /// cuBLAS thinks in columns: row-major c = a b is column-major c^T = b^T a^T, so b comes first.
  /// The bias runs along n, which is then the rows: its epilogue fits.
  cublasStatus_t multiply(const Product& p) {
    Descriptors d;
    constexpr cudaDataType_t type = CUDA_R_32F;
    const auto op = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const auto u = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
    cublasStatus_t status =
        cublasLtMatmulDescCreate(&d.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    const auto then = [&status](cublasStatus_t next) {
      if (status == CUBLAS_STATUS_SUCCESS) status = next;
    };
    then(set(d.operation, CUBLASLT_MATMUL_DESC_TRANSA, op(p.b_transposed)));
    then(set(d.operation, CUBLASLT_MATMUL_DESC_TRANSB, op(p.a_transposed)));
    if (p.bias != nullptr) {
      then(set(d.operation, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS));
      then(set(d.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias));
      then(set(d.operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F));
    }
    // Column-major layouts of what is stored: b is [k,n] or, transposed, [n,k] row by row.
    then(p.b_transposed ? cublasLtMatrixLayoutCreate(&d.a, type, u(p.k), u(p.n), p.k)
                        : cublasLtMatrixLayoutCreate(&d.a, type, u(p.n), u(p.k), p.n));
    then(p.a_transposed ? cublasLtMatrixLayoutCreate(&d.b, type, u(p.m), u(p.k), p.m)
                        : cublasLtMatrixLayoutCreate(&d.b, type, u(p.k), u(p.m), p.k));
    then(cublasLtMatrixLayoutCreate(&d.c, CUDA_R_32F, u(p.n), u(p.m), p.n));
    then(cublasLtMatmulPreferenceCreate(&d.preference));
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    then(cublasLtMatmulPreferenceSetAttribute(d.preference,
                                              CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                              &k_workspace_bytes, sizeof k_workspace_bytes));
    cublasLtMatmulHeuristicResult_t chosen{};
    int found = 0;
    then(cublasLtMatmulAlgoGetHeuristic(g_state.cublas, d.operation, d.a, d.b, d.c, d.c,
                                        d.preference, 1, &chosen, &found));
    if (status == CUBLAS_STATUS_SUCCESS && found == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const float alpha = 1;
    const float beta = p.accumulates ? 1.0f : 0.0f;
    return cublasLtMatmul(g_state.cublas, d.operation, &alpha, p.b, d.a, p.a, d.b, &beta, p.c, d.c,
                          p.c, d.c, &chosen.algo, g_state.workspace, k_workspace_bytes, stream);
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

int open_device(char* name, std::size_t name_bytes) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count)) return code;
  if (count == 0) return cudaErrorNoDevice;
  if (const cudaError_t code = cudaSetDevice(0)) return code;
  cudaDeviceProp properties{};
  if (const cudaError_t code = cudaGetDeviceProperties(&properties, 0)) return code;
  std::strncpy(name, properties.name, name_bytes - 1);
  name[name_bytes - 1] = '\0';
  if (g_state.cublas != nullptr) return 0;
  if (const cudaError_t code = cudaMalloc(&g_state.workspace, k_workspace_bytes)) return code;
  void* partials = nullptr;
  if (const cudaError_t code = cudaMalloc(&partials, k_partials * sizeof(double))) return code;
  g_state.partials = static_cast<double*>(partials);
  const cublasStatus_t status = cublasLtCreate(&g_state.cublas);
  return status == CUBLAS_STATUS_SUCCESS ? 0 : k_cublas_codes + static_cast<int>(status);
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
