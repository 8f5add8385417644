// What libtidemark-cuda.so gives to the trainer: one table of functions. The trainer links no CUDA
// library, the plug-in includes no other header of the project, and a test puts its own table in.
// C++17: nvcc compiles it.
#pragma once

#include <cstddef>
#include <cstdint>

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
};

/// Columns that a kernel can sum along; more are refused.
inline constexpr std::int64_t k_most_columns = std::int64_t{1} << 19;

/// Dropout: element e is kept when mix(stream + e) >> 11 is at or above `threshold` (0 = keep all),
/// and scaled then.
struct Mask {
  std::uint64_t stream = 0;
  std::uint64_t threshold = 0;
  float scale = 1;
};

struct Call {
  Kernel kernel = Kernel::fill;
  void* pointers[9] = {};
  std::int64_t sizes[5] = {};
  float reals[7] = {};
  Mask mask;
  std::uint32_t accumulates = 0;  // bit i: pointers[i] is added to, not overwritten
  std::uint32_t bf16 = 0;         // bit i: the elements of pointers[i] are bfloat16
};

enum class Memory : std::int32_t { device, pinned };

/// Functions return 0 or a code for error_text. Streams and events are handles of the plug-in.
/// For one thread, but for memory_info.
struct PluginApi {
  int version = 0;
  const char* (*error_text)(int code) = nullptr;
  /// Makes device 0 ready. `name` gets at most `name_bytes` with a zero at the end.
  int (*open)(char* name, std::size_t name_bytes) = nullptr;
  int (*memory_info)(std::size_t* free_bytes, std::size_t* total_bytes) = nullptr;
  int (*allocate)(Memory memory, std::size_t bytes, void** pointer) = nullptr;
  int (*release)(Memory memory, void* pointer) = nullptr;
  int (*set_bytes)(void* pointer, int value, std::size_t bytes, void* stream) = nullptr;
  /// Between any two memories; asynchronous when the host side is pinned.
  int (*copy)(void* to, const void* from, std::size_t bytes, void* stream) = nullptr;
  int (*make_stream)(void** stream) = nullptr;
  int (*synchronize)(void* stream) = nullptr;
  int (*make_event)(void** event) = nullptr;
  int (*record)(void* event, void* stream) = nullptr;
  int (*wait)(void* stream, void* event) = nullptr;
  /// Both recorded and reached.
  int (*elapsed_ns)(void* from, void* to, std::int64_t* ns) = nullptr;
  int (*launch)(const Call* call, void* stream) = nullptr;
  /// What attention in bf16 (flash attention that has room for a library) is made by: "cuDNN
  /// 9.19.0", or "own kernels" with the reason; of the shapes that were launched, if any. Valid
  /// until the next call of it.
  const char* (*attention)() = nullptr;
  void (*push_range)(const char* name) = nullptr;  // NVTX
  void (*pop_range)() = nullptr;
};

/// Name of the function that the plug-in exports: const PluginApi* ().
inline constexpr const char* k_plugin_entry = "tidemark_cuda_plugin";

}  // namespace tidemark::cuda
