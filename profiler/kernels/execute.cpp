#include "profiler/kernels/execute.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "profiler/communicator.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "traces/error.h"

namespace tidemark {
namespace {

using Kernel = void (*)(const KernelCall&);

/// Null when the kind is not a kernel of this backend.
template <class T>
Kernel kernel_of(OpKind kind) {
  using enum OpKind;
  switch (kind) {
    case load_batch:
      return kernels::load_batch<T>;
    case fill:
      return kernels::fill<T>;
    case random_normal:
      return kernels::random_normal<T>;
    case linear_forward:
      return kernels::linear_forward<T>;
    case linear_backward_data:
      return kernels::linear_backward_data<T>;
    case linear_backward_weight:
      return kernels::linear_backward_weight<T>;
    case sigmoid_forward:
      return kernels::sigmoid_forward<T>;
    case sigmoid_backward:
      return kernels::sigmoid_backward<T>;
    case tanh_forward:
      return kernels::tanh_forward<T>;
    case tanh_backward:
      return kernels::tanh_backward<T>;
    case relu_forward:
      return kernels::relu_forward<T>;
    case relu_backward:
      return kernels::relu_backward<T>;
    case gelu_forward:
      return kernels::gelu_forward<T>;
    case gelu_backward:
      return kernels::gelu_backward<T>;
    case softmax_cross_entropy_forward:
      return kernels::softmax_cross_entropy_forward<T>;
    case softmax_cross_entropy_backward:
      return kernels::softmax_cross_entropy_backward<T>;
    case embedding_forward:
      return kernels::embedding_forward<T>;
    case embedding_backward:
      return kernels::embedding_backward<T>;
    case layer_norm_forward:
      return kernels::layer_norm_forward<T>;
    case layer_norm_backward:
      return kernels::layer_norm_backward<T>;
    case attention_forward:
      return kernels::attention_forward<T>;
    case attention_backward:
      return kernels::attention_backward<T>;
    case add:
      return kernels::add<T>;
    case sgd_update:
      return kernels::sgd_update<T>;
    case adamw_update:
      return kernels::adamw_update<T>;
    case momentum_update:
      return kernels::momentum_update<T>;
    case adam_update:
      return kernels::adam_update<T>;
    case sum_of_squares:
      return kernels::sum_of_squares<T>;
    case clip_factor:
      return kernels::clip_factor<T>;
    case scale_by:
      return kernels::scale_by<T>;
    case dropout_forward:
      return kernels::dropout_forward<T>;
    case dropout_backward:
      return kernels::dropout_backward<T>;
    case conv2d_forward:
      return kernels::conv2d_forward<T>;
    case conv2d_backward_data:
      return kernels::conv2d_backward_data<T>;
    case conv2d_backward_weight:
      return kernels::conv2d_backward_weight<T>;
    case batch_norm_forward:
      return kernels::batch_norm_forward<T>;
    case batch_norm_backward:
      return kernels::batch_norm_backward<T>;
    case batch_norm_update:
      return kernels::batch_norm_update<T>;
    case max_pool_forward:
      return kernels::max_pool_forward<T>;
    case max_pool_backward:
      return kernels::max_pool_backward<T>;
    case average_pool_forward:
      return kernels::average_pool_forward<T>;
    case average_pool_backward:
      return kernels::average_pool_backward<T>;
    case flash_attention_forward:
      return kernels::flash_attention_forward<T>;
    case flash_attention_backward:
      return kernels::flash_attention_backward<T>;
    case cached_attention_forward:
      return kernels::cached_attention_forward<T>;
    case last_token:
      return kernels::last_token<T>;
    case most_likely:
      return kernels::most_likely<T>;
    case batch_norm_inference:
      return kernels::batch_norm_inference<T>;
    case rms_norm_forward:
      return kernels::rms_norm_forward<T>;
    case rms_norm_backward:
      return kernels::rms_norm_backward<T>;
    case rotary_forward:
      return kernels::rotary_forward<T>;
    case rotary_backward:
      return kernels::rotary_backward<T>;
    case swiglu_forward:
      return kernels::swiglu_forward<T>;
    case swiglu_backward:
      return kernels::swiglu_backward<T>;
    case token_embedding_forward:
      return kernels::token_embedding_forward<T>;
    case token_embedding_backward:
      return kernels::token_embedding_backward<T>;
    case slice_columns:
      return kernels::slice_columns<T>;
    case insert_columns:
      return kernels::insert_columns<T>;
    case add_bias:
      return kernels::add_bias<T>;
    case route_forward:
      return kernels::route_forward<T>;
    case route_backward:
      return kernels::route_backward<T>;
    case dispatch_forward:
      return kernels::dispatch_forward<T>;
    case dispatch_backward:
      return kernels::dispatch_backward<T>;
    case combine_forward:
      return kernels::combine_forward<T>;
    case combine_backward:
      return kernels::combine_backward<T>;
    case balance_backward:
      return kernels::balance_backward<T>;
    default:
      return nullptr;
  }
}

/// The dtype that selects the kernel: of the first operand that is no index and not rounded.
DType floating_type(const Trace& trace, const Op& op) {
  for (const Operand& operand : op.operands) {
    const DType dtype = trace[operand.buffer].dtype;
    if (dtype != DType::i32 && !is_rounded(trace, op, operand)) return dtype;
  }
  return DType::f32;
}

std::string dtype_error(const Trace& trace, const Op& op) {
  const DType wanted = floating_type(trace, op);
  if (wanted != DType::f32 && wanted != DType::f64) {
    return "dtype " + std::string(to_string(wanted)) + " has no CPU kernel, f32 and f64 have";
  }
  for (const Operand& operand : op.operands) {
    const Buffer& buffer = trace[operand.buffer];
    const bool tokens_in = op.kind == OpKind::load_batch && operand.role == "x";
    const bool index = holds_indices(operand.role) || (tokens_in && buffer.dtype == DType::i32);
    const bool rounded = is_rounded(trace, op, operand) || operand.role.starts_with("bf16_");
    if (rounded && wanted != DType::f32) return operand.role + " is bf16 in an op that is not f32";
    const DType fits = index ? DType::i32 : rounded ? DType::bf16 : wanted;
    if (buffer.dtype != fits) {
      return operand.role + " is " + std::string(to_string(buffer.dtype)) + ", expected " +
             std::string(to_string(fits));
    }
  }
  return {};
}

/// A product of rounded factors, which not every machine has.
bool multiplies_rounded(const Trace& trace, const Op& op) {
  const bool linear = op.kind == OpKind::linear_forward ||
                      op.kind == OpKind::linear_backward_data ||
                      op.kind == OpKind::linear_backward_weight;
  return linear && std::ranges::any_of(op.operands, [&](const Operand& operand) {
           return is_rounded(trace, op, operand);
         });
}

}  // namespace

std::string operand_error(const Trace& trace, const Op& op) {
  if (op.kind == OpKind::record_event || op.kind == OpKind::wait_event) return {};
  for (const Operand& operand : op.operands) {
    const Buffer& buffer = trace[operand.buffer];
    if (buffer.size_bytes < element_count(buffer) * size_bytes(buffer.dtype)) {
      return operand.role + " has " + std::to_string(buffer.size_bytes) +
             " bytes, less than its shape";
    }
  }
  if (op.kind == OpKind::copy) return {};
  const bool elsewhere = op.kind == OpKind::report_loss || is_collective(op.kind);
  if (!elsewhere && kernel_of<float>(op.kind) == nullptr) {
    return "kind " + std::string(to_string(op.kind)) + " has no CPU kernel";
  }
  return dtype_error(trace, op);
}

std::string kernel_error(const Trace& trace, const Op& op) {
  if (std::string error = operand_error(trace, op); !error.empty()) return error;
  const std::string error = multiplies_rounded(trace, op) ? kernels::bfloat16_error() : "";
  return error.empty() ? error : "precision bf16: " + error;
}

std::int64_t KernelCall::position(std::int64_t rows, std::int64_t room) const {
  const std::int64_t first = integer("position");
  if (first >= 0 && rows <= room && first <= room - rows) return first;
  throw InputError({.file = {},
                    .place = "position of step " + std::to_string(step),
                    .expected = "at most " + std::to_string(room - rows),
                    .found = std::to_string(first)});
}

void execute_kernel(const KernelCall& call) {
  const bool wide = floating_type(call.trace, call.op) == DType::f64;
  const Kernel kernel = wide ? kernel_of<double>(call.op.kind) : kernel_of<float>(call.op.kind);
  if (kernel == nullptr) throw std::logic_error("no kernel for op " + call.op.name);
  kernel(call);
}

double reported_loss(const KernelCall& call) {
  if (call.buffer("loss").dtype == DType::f64) return *call.pointer<const double>("loss");
  return static_cast<double>(*call.pointer<const float>("loss"));
}

}  // namespace tidemark
