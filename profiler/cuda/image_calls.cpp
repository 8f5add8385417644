#include "profiler/cuda/image_calls.h"

#include <algorithm>

namespace tidemark {
namespace {

using cuda::Call;
using cuda::Kernel;

Call with_sizes(Call call, std::initializer_list<std::int64_t> sizes) {
  std::copy(sizes.begin(), sizes.end(), call.sizes);
  return call;
}

/// `x`: the role of the input side, `w`: that of the filters.
Call convolution_call(const KernelCall& op, const char* x, const char* w, Call call) {
  const std::vector<std::int64_t>& in = op.buffer(x).shape;
  const std::vector<std::int64_t>& filters = op.buffer(w).shape;
  return with_sizes(call, {in[0], in[1], in[2], in[3], filters[0], filters[2], op.integer("stride"),
                           op.integer("padding")});
}

Call with_channels(const KernelCall& op, Call call) {
  const std::vector<std::int64_t>& x = op.buffer("x").shape;
  call.reals[0] = static_cast<float>(op.real("epsilon"));
  return with_sizes(call, {x[0], x[1], op.elements("x") / (x[0] * x[1])});
}

/// The unbiased variance, as in kernels/batch_norm.cpp.
Call batch_norm_update_call(const KernelCall& op) {
  Call call = call_of(op, Kernel::batch_norm_update,
                      {"mean", "variance", "running_mean", "running_variance"});
  const auto count = static_cast<double>(op.integer("count"));
  call.reals[0] = static_cast<float>(op.real("momentum"));
  call.reals[1] = static_cast<float>(count / (count - 1));
  return with_sizes(call, {op.elements("mean")});
}

Call with_images(const KernelCall& op, Call call) {
  const std::vector<std::int64_t>& x = op.buffer("x").shape;
  return with_sizes(call, {x[0] * x[1], x[2], x[3], op.count("size")});
}

Call cached_attention_call(const KernelCall& op) {
  const Call call = call_of(op, Kernel::cached_attention_forward, {"qkv", "keys", "values", "y"});
  const std::vector<std::int64_t>& qkv = op.buffer("qkv").shape;
  const std::int64_t room = op.buffer("keys").shape[1];
  return with_sizes(
      call, {qkv[0], qkv[1], qkv[2] / 3, op.count("heads"), room, op.position(qkv[1], room)});
}

Call last_token_call(const KernelCall& op) {
  const std::vector<std::int64_t>& x = op.buffer("x").shape;
  return with_sizes(call_of(op, Kernel::last_token, {"x", "y"}), {x[0], x[1], x[2]});
}

Call average_call(const KernelCall& op, Kernel kernel, const char* image, const char* mean) {
  const bool forward = kernel == Kernel::average_pool_forward;
  const Call call =
      forward ? call_of(op, kernel, {image, mean}) : call_of(op, kernel, {mean, image});
  return with_sizes(call, {op.elements(mean), op.elements(image) / op.elements(mean)});
}

}  // namespace

std::optional<Call> find_image_call(const KernelCall& op) {
  switch (op.op.kind) {
    case OpKind::conv2d_forward:
      return convolution_call(op, "x", "w",
                              call_of(op, Kernel::conv2d_forward, {"x", "w", "b", "y"}));
    case OpKind::conv2d_backward_data:
      return convolution_call(op, "dx", "w",
                              call_of(op, Kernel::conv2d_backward_data, {"dy", "w", "dx"}));
    case OpKind::conv2d_backward_weight:
      return convolution_call(op, "x", "dw",
                              call_of(op, Kernel::conv2d_backward_weight, {"dy", "x", "dw", "db"}));
    case OpKind::batch_norm_forward:
      return with_channels(
          op, call_of(op, Kernel::batch_norm_forward, {"x", "w", "b", "y", "mean", "variance"}));
    case OpKind::batch_norm_backward:
      return with_channels(op, call_of(op, Kernel::batch_norm_backward,
                                       {"dy", "x", "w", "mean", "variance", "dx", "dw", "db"}));
    case OpKind::batch_norm_inference:
      return with_channels(
          op, call_of(op, Kernel::batch_norm_inference, {"x", "w", "b", "mean", "variance", "y"}));
    case OpKind::batch_norm_update:
      return batch_norm_update_call(op);
    case OpKind::max_pool_forward:
      return with_images(op, call_of(op, Kernel::max_pool_forward, {"x", "y"}));
    case OpKind::max_pool_backward:
      return with_images(op, call_of(op, Kernel::max_pool_backward, {"dy", "x", "dx"}));
    case OpKind::average_pool_forward:
      return average_call(op, Kernel::average_pool_forward, "x", "y");
    case OpKind::average_pool_backward:
      return average_call(op, Kernel::average_pool_backward, "dx", "dy");
    case OpKind::cached_attention_forward:
      return cached_attention_call(op);
    case OpKind::last_token:
      return last_token_call(op);
    case OpKind::most_likely:
      return with_sizes(call_of(op, Kernel::most_likely, {"logits", "tokens"}),
                        {op.rows("logits"), op.columns("logits")});
    default:
      return std::nullopt;
  }
}

}  // namespace tidemark
