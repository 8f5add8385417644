// Enumerations of the trace model and their names. The names are what is stored in files: frozen,
// new ones are appended. The numbers are not stored.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tidemark {

/// Every live byte has exactly one category (invariant 1); what is not known is `unknown`.
enum class Category : std::uint8_t {
  weight,
  optimizer_state,
  gradient,               // of parameters; gradients of activations are `temporary`
  activation,             // kept from forward for backward
  recomputed_activation,  // an activation made again by a plan
  input,
  temporary,
  workspace,
  communication,
  allocator_slack,
  framework,
  profiler,
  unknown,
  kv_cache,  // keys and values of the tokens that inference has seen
};
inline constexpr std::size_t k_category_count = 14;

enum class Phase : std::uint8_t { init, forward, backward, optimizer, eval, inference, other };

enum class SpaceKind : std::uint8_t { device, host_pageable, host_pinned };

enum class DType : std::uint8_t { f32, f64, bf16, f16, i32, i64, u8 };

enum class StreamKind : std::uint8_t { compute, host_to_device, device_to_host, communication };

/// What an op computes. Operands and attributes of each kind: sim/op_table.cpp, docs in FORMAT.md.
enum class OpKind : std::uint8_t {
  load_batch,
  fill,
  random_normal,
  linear_forward,
  linear_backward_data,
  linear_backward_weight,
  sigmoid_forward,
  sigmoid_backward,
  tanh_forward,
  tanh_backward,
  relu_forward,
  relu_backward,
  gelu_forward,
  gelu_backward,
  softmax_cross_entropy_forward,
  softmax_cross_entropy_backward,
  embedding_forward,
  embedding_backward,
  layer_norm_forward,
  layer_norm_backward,
  attention_forward,
  attention_backward,
  add,
  sgd_update,
  adamw_update,
  report_loss,
  copy,
  record_event,
  wait_event,
  all_reduce,
  reduce_scatter,
  all_gather,
  foreign,  // recorded elsewhere: known by name only, not executable
  momentum_update,
  adam_update,
  sum_of_squares,
  clip_factor,
  scale_by,
  dropout_forward,
  dropout_backward,
  conv2d_forward,
  conv2d_backward_data,
  conv2d_backward_weight,
  batch_norm_forward,
  batch_norm_backward,
  batch_norm_update,
  max_pool_forward,
  max_pool_backward,
  average_pool_forward,
  average_pool_backward,
  flash_attention_forward,
  flash_attention_backward,
  cached_attention_forward,
  last_token,
  most_likely,
  batch_norm_inference,
  rms_norm_forward,
  rms_norm_backward,
  rotary_forward,
  rotary_backward,
  swiglu_forward,
  swiglu_backward,
  token_embedding_forward,
  token_embedding_backward,
  slice_columns,
  add_bias,
  route_forward,
  route_backward,
  dispatch_forward,
  dispatch_backward,
  combine_forward,
  combine_backward,
  all_to_all,
  balance_backward,
  insert_columns,
};

enum class TimeSource : std::uint8_t { none, measured, modelled };

enum class InstructionKind : std::uint8_t { alloc, free, run };

enum class EventKind : std::uint8_t {
  alloc,
  free,
  op_begin,
  op_end,
  step_begin,
  step_end,
  out_of_memory,
  segment_alloc,
  segment_free,
  free_requested,   // the program gave the buffer back; other streams still use it
  segment_map,      // an expandable segment grew by these bytes
  segment_unmap,    // an expandable segment gave these bytes back
  empty_cache,      // the program asked the allocator to give back what it caches
  recording_begin,  // what stands before it is the state in which the recording began
};

enum class DecisionKind : std::uint8_t { recompute, offload };

/// How a trace came to be.
enum class TraceKind : std::uint8_t { recorded, dry, planned, measured, imported };

/// Names by enum value.
template <class E>
struct EnumNames;

#define TIDEMARK_ENUM_NAMES(E, ...)                                               \
  template <>                                                                     \
  struct EnumNames<E> {                                                           \
    static constexpr std::string_view k_type = #E;                                \
    static constexpr auto k_names = std::to_array<std::string_view>(__VA_ARGS__); \
  }

TIDEMARK_ENUM_NAMES(Category,
                    {"weight", "optimizer_state", "gradient", "activation", "recomputed_activation",
                     "input", "temporary", "workspace", "communication", "allocator_slack",
                     "framework", "profiler", "unknown", "kv_cache"});
TIDEMARK_ENUM_NAMES(Phase,
                    {"init", "forward", "backward", "optimizer", "eval", "inference", "other"});
TIDEMARK_ENUM_NAMES(SpaceKind, {"device", "host_pageable", "host_pinned"});
TIDEMARK_ENUM_NAMES(DType, {"f32", "f64", "bf16", "f16", "i32", "i64", "u8"});
TIDEMARK_ENUM_NAMES(StreamKind, {"compute", "host_to_device", "device_to_host", "communication"});
TIDEMARK_ENUM_NAMES(OpKind, {"load_batch",
                             "fill",
                             "random_normal",
                             "linear_forward",
                             "linear_backward_data",
                             "linear_backward_weight",
                             "sigmoid_forward",
                             "sigmoid_backward",
                             "tanh_forward",
                             "tanh_backward",
                             "relu_forward",
                             "relu_backward",
                             "gelu_forward",
                             "gelu_backward",
                             "softmax_cross_entropy_forward",
                             "softmax_cross_entropy_backward",
                             "embedding_forward",
                             "embedding_backward",
                             "layer_norm_forward",
                             "layer_norm_backward",
                             "attention_forward",
                             "attention_backward",
                             "add",
                             "sgd_update",
                             "adamw_update",
                             "report_loss",
                             "copy",
                             "record_event",
                             "wait_event",
                             "all_reduce",
                             "reduce_scatter",
                             "all_gather",
                             "foreign",
                             "momentum_update",
                             "adam_update",
                             "sum_of_squares",
                             "clip_factor",
                             "scale_by",
                             "dropout_forward",
                             "dropout_backward",
                             "conv2d_forward",
                             "conv2d_backward_data",
                             "conv2d_backward_weight",
                             "batch_norm_forward",
                             "batch_norm_backward",
                             "batch_norm_update",
                             "max_pool_forward",
                             "max_pool_backward",
                             "average_pool_forward",
                             "average_pool_backward",
                             "flash_attention_forward",
                             "flash_attention_backward",
                             "cached_attention_forward",
                             "last_token",
                             "most_likely",
                             "batch_norm_inference",
                             "rms_norm_forward",
                             "rms_norm_backward",
                             "rotary_forward",
                             "rotary_backward",
                             "swiglu_forward",
                             "swiglu_backward",
                             "token_embedding_forward",
                             "token_embedding_backward",
                             "slice_columns",
                             "add_bias",
                             "route_forward",
                             "route_backward",
                             "dispatch_forward",
                             "dispatch_backward",
                             "combine_forward",
                             "combine_backward",
                             "all_to_all",
                             "balance_backward",
                             "insert_columns"});
TIDEMARK_ENUM_NAMES(TimeSource, {"none", "measured", "modelled"});
TIDEMARK_ENUM_NAMES(InstructionKind, {"alloc", "free", "run"});
TIDEMARK_ENUM_NAMES(EventKind, {"alloc", "free", "op_begin", "op_end", "step_begin", "step_end",
                                "out_of_memory", "segment_alloc", "segment_free", "free_requested",
                                "segment_map", "segment_unmap", "empty_cache", "recording_begin"});
TIDEMARK_ENUM_NAMES(DecisionKind, {"recompute", "offload"});
TIDEMARK_ENUM_NAMES(TraceKind, {"recorded", "dry", "planned", "measured", "imported"});
#undef TIDEMARK_ENUM_NAMES

template <class E>
concept NamedEnum = requires {
  EnumNames<E>::k_names;
};

template <NamedEnum E>
[[nodiscard]] constexpr std::string_view to_string(E value) {
  return EnumNames<E>::k_names[static_cast<std::size_t>(value)];
}

template <NamedEnum E>
[[nodiscard]] constexpr std::optional<E> parse_enum(std::string_view name) {
  for (std::size_t i = 0; i < EnumNames<E>::k_names.size(); ++i) {
    if (EnumNames<E>::k_names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

/// Bytes of one element.
[[nodiscard]] constexpr std::int64_t size_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

}  // namespace tidemark
