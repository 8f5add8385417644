// What libtidemark-cuda.so gives to the trainer: one table of functions. The trainer links no CUDA
// library, the plug-in includes no other header of the project, and a test puts its own table in.
// C++17: nvcc compiles it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "profiler/cuda/pool_api.h"

namespace tidemark::cuda {

inline constexpr int k_plugin_version = 3;

/// What a launch computes; operands by place are in execute_call.h, at the case of each kernel.
/// Floating operands are f32 where Call::bf16 does not say otherwise.
enum class Kernel : std::int32_t {
  fill,
  round,
  product,
  column_sums,
  sigmoid_forward,
  sigmoid_backward,
  tanh_forward,
  tanh_backward,
  relu_forward,
  relu_backward,
  gelu_forward,
  gelu_backward,
  add,
  add_bias,
  slice_columns,
  cross_entropy_forward,
  cross_entropy_backward,
  embedding_forward,
  embedding_backward,
  layer_norm_forward,
  layer_norm_backward,
  attention_forward,
  attention_backward,
  flash_attention_forward,
  flash_attention_backward,
  sgd,
  momentum,
  adam,
  sum_of_squares,
  clip_factor,
  scale_by,
  dropout,
  rms_norm_forward,
  rms_norm_backward,
  rotary_forward,
  rotary_backward,
  swiglu_forward,
  swiglu_backward,
  token_embedding_forward,
  token_embedding_backward,
  route_forward,
  route_backward,
  dispatch_forward,
  dispatch_backward,
  combine_forward,
  combine_backward,
  conv2d_forward,
  conv2d_backward_data,
  conv2d_backward_weight,
  batch_norm_forward,
  batch_norm_backward,
  batch_norm_update,
  batch_norm_inference,
  max_pool_forward,
  max_pool_backward,
  average_pool_forward,
  average_pool_backward,
  cached_attention_forward,
  last_token,
  most_likely,
  balance_backward,
  insert_columns,
};

/// Dropout: number n is kept when mix(stream + n) >> 11 is at or above `threshold` (0 = keep all),
/// and scaled then. Element e has number j = first + e or, with runs, offset + j / run * stride +
/// j % run.
struct Mask {
  std::uint64_t stream = 0;
  std::uint64_t threshold = 0;
  float scale = 1;
  std::uint64_t first = 0, run = 0, stride = 0, offset = 0;
};

struct Call {
  Kernel kernel = Kernel::fill;
  void* pointers[9] = {};
  std::int64_t sizes[8] = {};
  float reals[7] = {};
  Mask mask;
  std::uint32_t accumulates = 0;  // bit i: pointers[i] is added to, not overwritten
  std::uint32_t bf16 = 0;         // bit i: the elements of pointers[i] are bfloat16
};

enum class Memory : std::int32_t { device, pinned };

/// What a device says of itself.
struct DeviceFacts {
  char name[256] = {};
  std::uint64_t id = 0;  // of the piece of hardware: the same in every process of every machine
};

/// Functions return 0 or a code for error_text. Streams and events are handles of the plug-in.
/// A thread works on the device that it opened last; threads of different devices may call at the
/// same time. Devices are numbered from 0, as CUDA_VISIBLE_DEVICES leaves them.
struct PluginApi {
  int version = 0;
  const char* (*error_text)(int code) = nullptr;
  int (*device_count)(int* count) = nullptr;
  /// Takes no memory of the device.
  int (*describe)(int device, DeviceFacts* facts) = nullptr;
  /// Makes the device ready, once, and that of the calling thread.
  int (*open)(int device) = nullptr;
  int (*memory_info)(std::size_t* free_bytes, std::size_t* total_bytes) = nullptr;
  int (*allocate)(Memory memory, std::size_t bytes, void** pointer) = nullptr;
  int (*release)(Memory memory, void* pointer) = nullptr;
  int (*set_bytes)(void* pointer, int value, std::size_t bytes, void* stream) = nullptr;
  /// Between any two memories; asynchronous when the host side is pinned.
  int (*copy)(void* to, const void* from, std::size_t bytes, void* stream) = nullptr;
  int (*make_stream)(void** stream) = nullptr;
  int (*drop_stream)(void* stream) = nullptr;
  int (*synchronize)(void* stream) = nullptr;
  /// Whether all that was issued is done; does not wait.
  int (*query)(void* stream, bool* is_idle) = nullptr;
  int (*make_event)(void** event) = nullptr;
  int (*drop_event)(void* event) = nullptr;
  int (*record)(void* event, void* stream) = nullptr;
  int (*wait)(void* stream, void* event) = nullptr;
  /// Whether what was recorded last is reached; does not wait.
  int (*is_reached)(void* event, bool* is_reached) = nullptr;
  /// Both recorded and reached.
  int (*elapsed_ns)(void* from, void* to, std::int64_t* ns) = nullptr;
  int (*launch)(const Call* call, void* stream) = nullptr;
  /// What attention in bf16 (flash attention that has room for a library) is made by: "cuDNN
  /// 9.19.0", or "own kernels" with the reason; of the shapes that were launched, if any. Valid
  /// until the next call of it.
  const char* (*attention)() = nullptr;
  void (*push_range)(const char* name) = nullptr;  // NVTX
  void (*pop_range)() = nullptr;
  PoolApi pool;
};

/// Name of the function that the plug-in exports: const PluginApi* ().
inline constexpr const char* k_plugin_entry = "tidemark_cuda_plugin";

}  // namespace tidemark::cuda
