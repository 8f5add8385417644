#include "profiler/cuda/calls.h"

#include <cmath>
#include <optional>
#include <stdexcept>

#include "profiler/kernels/dropout_mask.h"
#include "profiler/kernels/execute.h"

namespace tidemark {
namespace {

using cuda::Call;
using cuda::Kernel;

/// A kernel whose operands are those of the op, in this order, and whose size is the number of
/// elements of the last of them.
struct Elementwise {
  Kernel kernel;
  std::vector<std::string_view> roles;
};

std::optional<Elementwise> elementwise(OpKind kind) {
  switch (kind) {
    case OpKind::sigmoid_forward:
      return Elementwise{Kernel::sigmoid_forward, {"x", "y"}};
    case OpKind::sigmoid_backward:
      return Elementwise{Kernel::sigmoid_backward, {"dy", "y", "dx"}};
    case OpKind::tanh_forward:
      return Elementwise{Kernel::tanh_forward, {"x", "y"}};
    case OpKind::tanh_backward:
      return Elementwise{Kernel::tanh_backward, {"dy", "y", "dx"}};
    case OpKind::relu_forward:
      return Elementwise{Kernel::relu_forward, {"x", "y"}};
    case OpKind::relu_backward:
      return Elementwise{Kernel::relu_backward, {"dy", "y", "dx"}};
    case OpKind::gelu_forward:
      return Elementwise{Kernel::gelu_forward, {"x", "y"}};
    case OpKind::gelu_backward:
      return Elementwise{Kernel::gelu_backward, {"dy", "x", "dx"}};
    case OpKind::add:
      return Elementwise{Kernel::add, {"a", "b", "y"}};
    case OpKind::dropout_forward:
      return Elementwise{Kernel::dropout, {"x", "y"}};
    case OpKind::dropout_backward:
      return Elementwise{Kernel::dropout, {"dy", "dx"}};
    default:
      return std::nullopt;
  }
}

/// Operands by role, with the bit of those that are added to.
Call call_of(const KernelCall& op, Kernel kernel, const std::vector<std::string_view>& roles) {
  Call call;
  call.kernel = kernel;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    call.pointers[i] = op.pointer<std::byte>(roles[i]);
    if (op.accumulates(roles[i])) call.accumulates |= 1U << i;
  }
  return call;
}

template <std::size_t N>
void set(std::int64_t (&sizes)[N], std::initializer_list<std::int64_t> values) {
  std::copy(values.begin(), values.end(), sizes);
}

cuda::Mask mask_of(const KernelCall& op) {
  const kernels::DropoutMask mask(op);
  return {mask.stream + mask.first, mask.threshold, static_cast<float>(mask.scale)};
}

/// m, n, k of row-major c[m,n]; `transposed` 1: a, 2: b.
Call product(const KernelCall& op, const std::vector<std::string_view>& roles, std::int64_t m,
             std::int64_t n, std::int64_t k, std::int64_t transposed) {
  Call call = call_of(op, Kernel::product, roles);
  set(call.sizes, {m, n, k, transposed});
  return call;
}

/// The product of each group of rows; `first` is that of the first.
std::vector<Call> in_groups(const KernelCall& op, const std::vector<std::string_view>& roles,
                            std::int64_t groups, Call first) {
  std::vector<Call> calls;
  for (std::int64_t group = 0; group < groups; ++group) {
    calls.push_back(first);
    for (std::size_t i = 0; i < 3; ++i) {
      if (first.pointers[i] == nullptr) continue;  // only the shapes are looked at
      auto* const part = static_cast<float*>(first.pointers[i]);
      calls.back().pointers[i] = part + group * (op.elements(roles[i]) / groups);
    }
  }
  return calls;
}

std::vector<Call> linear_calls(const KernelCall& op) {
  const bool backward_weight = op.op.kind == OpKind::linear_backward_weight;
  const std::int64_t groups = linear_groups(op.buffer(backward_weight ? "dw" : "w"));
  if (op.op.kind == OpKind::linear_forward) {
    const std::vector<std::string_view> roles{"x", "w", "y", "b"};
    return in_groups(
        op, roles, groups,
        product(op, roles, op.rows("x") / groups, op.rows("w") / groups, op.columns("x"), 2));
  }
  if (!backward_weight) {
    const std::vector<std::string_view> roles{"dy", "w", "dx"};
    return in_groups(
        op, roles, groups,
        product(op, roles, op.rows("dy") / groups, op.columns("w"), op.columns("dy"), 0));
  }
  const std::vector<std::string_view> roles{"dy", "x", "dw"};
  std::vector<Call> calls =
      in_groups(op, roles, groups,
                product(op, roles, op.columns("dy"), op.columns("x"), op.rows("dy") / groups, 1));
  if (!op.has("db")) return calls;
  Call sums = call_of(op, Kernel::column_sums, {"dy", "db"});
  set(sums.sizes, {op.rows("dy"), op.columns("dy")});
  calls.push_back(sums);
  return calls;
}

Call attention_call(const KernelCall& op) {
  Call call;
  switch (op.op.kind) {
    case OpKind::attention_forward:
      call = call_of(op, Kernel::attention_forward, {"qkv", "probabilities", "y"});
      break;
    case OpKind::attention_backward:
      call = call_of(op, Kernel::attention_backward,
                     {"qkv", "probabilities", "dy", "dqkv", "workspace"});
      break;
    case OpKind::flash_attention_forward:
      call = call_of(op, Kernel::flash_attention_forward, {"qkv", "y", "log_sum_exp"});
      break;
    default:
      call =
          call_of(op, Kernel::flash_attention_backward, {"dy", "qkv", "y", "log_sum_exp", "dqkv"});
  }
  const std::vector<std::int64_t>& shape = op.buffer("qkv").shape;
  set(call.sizes, {shape[0], shape[1], op.columns("qkv") / 3, op.integer("heads")});
  call.mask = mask_of(op);
  return call;
}

Call embedding_call(const KernelCall& op) {
  const bool forward = op.op.kind == OpKind::embedding_forward;
  Call call = forward ? call_of(op, Kernel::embedding_forward, {"tokens", "wte", "wpe", "y"})
                      : call_of(op, Kernel::embedding_backward, {"dy", "tokens", "dwte", "dwpe"});
  const std::int64_t sequence = op.columns("tokens");
  if (forward) {
    const std::int64_t channels = op.columns("wte");
    set(call.sizes, {op.elements("tokens"), sequence, channels});
    call.pointers[2] = op.pointer<float>("wpe") + op.position(sequence, op.rows("wpe")) * channels;
  } else {
    set(call.sizes, {op.elements("tokens"), sequence, op.columns("dwte"), op.elements("dwte"),
                     op.elements("dwpe")});
  }
  return call;
}

Call layer_norm_call(const KernelCall& op) {
  const bool forward = op.op.kind == OpKind::layer_norm_forward;
  Call call =
      forward
          ? call_of(op, Kernel::layer_norm_forward,
                    {"x", "w", "b", "y", "mean", "inverse_deviation"})
          : call_of(op, Kernel::layer_norm_backward,
                    {"dy", "x", "w", "mean", "inverse_deviation", "residual", "dx", "dw", "db"});
  set(call.sizes, {op.rows("x"), op.columns("x")});
  if (forward) call.reals[0] = static_cast<float>(op.real("epsilon"));
  return call;
}

Call cross_entropy_call(const KernelCall& op) {
  const bool forward = op.op.kind == OpKind::softmax_cross_entropy_forward;
  Call call =
      forward
          ? call_of(op, Kernel::cross_entropy_forward, {"logits", "target", "log_sum_exp", "loss"})
          : call_of(op, Kernel::cross_entropy_backward, {"logits", "target", "log_sum_exp"});
  const std::int64_t rows = op.rows("logits");
  set(call.sizes, {rows, op.columns("logits")});
  if (!forward) call.reals[0] = static_cast<float>(op.real("scale") / static_cast<double>(rows));
  return call;
}

/// The factors of kernels/optimizer.cpp, made in double as there.
Call adam_call(const KernelCall& op, bool decoupled) {
  Call call = call_of(op, Kernel::adam, {"w", "dw", "m", "v"});
  const double t = static_cast<double>(op.integer("t"));
  const double rate = op.real("learning_rate");
  const double decay = op.real("weight_decay");
  const double reals[] = {decoupled ? 1 - rate * decay : 1,
                          rate / (1 - std::pow(op.real("beta1"), t)),
                          op.real("beta1"),
                          op.real("beta2"),
                          1 / (1 - std::pow(op.real("beta2"), t)),
                          op.real("epsilon"),
                          decoupled ? 0 : decay};
  for (std::size_t i = 0; i < 7; ++i) call.reals[i] = static_cast<float>(reals[i]);
  return call;
}

Call update_call(const KernelCall& op) {
  const auto real = [&op](const char* name) { return static_cast<float>(op.real(name)); };
  Call call;
  switch (op.op.kind) {
    case OpKind::sgd_update:
      call = call_of(op, Kernel::sgd, {"w", "dw"});
      call.reals[0] = real("learning_rate");
      call.reals[1] = real("weight_decay");
      break;
    case OpKind::momentum_update:
      call = call_of(op, Kernel::momentum, {"w", "dw", "velocity"});
      call.reals[0] = real("learning_rate");
      call.reals[1] = real("momentum");
      call.reals[2] = real("weight_decay");
      break;
    default:
      call = adam_call(op, op.op.kind == OpKind::adamw_update);
  }
  call.sizes[0] = op.elements("w");
  return call;
}

Call clipping_call(const KernelCall& op) {
  Call call;
  switch (op.op.kind) {
    case OpKind::sum_of_squares:
      call = call_of(op, Kernel::sum_of_squares, {"x", "sum"});
      call.sizes[0] = op.elements("x");
      break;
    case OpKind::clip_factor:
      call = call_of(op, Kernel::clip_factor, {"sum", "factor"});
      call.reals[0] = static_cast<float>(op.real("max_norm"));
      break;
    default:
      call = call_of(op, Kernel::scale_by, {"x", "factor"});
      call.sizes[0] = op.elements("x");
  }
  return call;
}

Call decoder_call(const KernelCall& op) {
  const bool forward = op.has("y");
  Call call;
  switch (op.op.kind) {
    case OpKind::rms_norm_forward:
      call = call_of(op, Kernel::rms_norm_forward, {"x", "w", "y", "inverse_rms"});
      call.reals[0] = static_cast<float>(op.real("epsilon"));
      set(call.sizes, {op.rows("x"), op.columns("x")});
      return call;
    case OpKind::rms_norm_backward:
      call = call_of(op, Kernel::rms_norm_backward,
                     {"dy", "x", "w", "inverse_rms", "residual", "dx", "dw"});
      set(call.sizes, {op.rows("x"), op.columns("x")});
      return call;
    case OpKind::rotary_forward:
    case OpKind::rotary_backward: {
      const char* const in = forward ? "x" : "dx";
      const std::int64_t heads = op.integer("heads");
      const std::int64_t groups = op.integer("kv_heads");
      call = forward ? call_of(op, Kernel::rotary_forward, {"x", "y"})
                     : call_of(op, Kernel::rotary_backward, {"dy", "dx"});
      set(call.sizes, {op.rows(in), op.buffer(in).shape[1], heads, groups,
                       op.columns(in) / (heads + 2 * groups)});
      call.reals[0] = static_cast<float>(op.real("base"));
      return call;
    }
    case OpKind::swiglu_forward:
    case OpKind::swiglu_backward:
      call = forward ? call_of(op, Kernel::swiglu_forward, {"x", "y"})
                     : call_of(op, Kernel::swiglu_backward, {"dy", "x", "dx"});
      set(call.sizes, {op.rows("x"), op.columns("x") / 2});
      return call;
    case OpKind::token_embedding_forward:
      call = call_of(op, Kernel::token_embedding_forward, {"tokens", "w", "y"});
      set(call.sizes, {op.elements("tokens"), op.columns("w")});
      return call;
    default:
      call = call_of(op, Kernel::token_embedding_backward, {"dy", "tokens", "dw"});
      set(call.sizes, {op.elements("tokens"), op.columns("dw"), op.elements("dw")});
      return call;
  }
}

Call expert_call(const KernelCall& op) {
  Call call;
  const std::int64_t choices = op.columns("slots");
  const auto set_rows = [&](const char* slot_row) {
    set(call.sizes, {op.rows("slots"), choices, op.columns(slot_row), op.rows(slot_row)});
    return call;
  };
  switch (op.op.kind) {
    case OpKind::route_forward:
      call = call_of(op, Kernel::route_forward, {"logits", "gates", "slots"});
      set(call.sizes, {op.rows("logits"), op.columns("logits"), choices, op.integer("capacity")});
      return call;
    case OpKind::route_backward:
      call = call_of(op, Kernel::route_backward, {"dgates", "gates", "slots", "dlogits"});
      set(call.sizes, {op.rows("dlogits"), op.columns("dlogits"), choices, op.integer("capacity")});
      return call;
    case OpKind::dispatch_forward:
      call = call_of(op, Kernel::dispatch_forward, {"x", "slots", "y"});
      return set_rows("y");
    case OpKind::dispatch_backward:
      call = call_of(op, Kernel::dispatch_backward, {"dy", "slots", "residual", "dx"});
      return set_rows("dy");
    case OpKind::combine_forward:
      call = call_of(op, Kernel::combine_forward, {"x", "slots", "gates", "y"});
      return set_rows("x");
    default:
      call = call_of(op, Kernel::combine_backward, {"dy", "x", "slots", "gates", "dx", "dgates"});
      return set_rows("x");
  }
}

/// None for a kind that the plug-in has no kernels for.
std::optional<std::vector<Call>> find_calls(const KernelCall& op) {
  if (const std::optional<Elementwise> e = elementwise(op.op.kind)) {
    Call call = call_of(op, e->kernel, e->roles);
    call.sizes[0] = op.elements(e->roles.back());
    if (e->kernel == Kernel::dropout) call.mask = mask_of(op);
    return std::vector{call};
  }
  switch (op.op.kind) {
    case OpKind::fill: {
      Call call = call_of(op, Kernel::fill, {"y"});
      call.sizes[0] = op.elements("y");
      call.reals[0] = static_cast<float>(op.real("value"));
      return std::vector{call};
    }
    case OpKind::linear_forward:
    case OpKind::linear_backward_data:
    case OpKind::linear_backward_weight:
      return linear_calls(op);
    case OpKind::attention_forward:
    case OpKind::attention_backward:
    case OpKind::flash_attention_forward:
    case OpKind::flash_attention_backward:
      return std::vector{attention_call(op)};
    case OpKind::embedding_forward:
    case OpKind::embedding_backward:
      return std::vector{embedding_call(op)};
    case OpKind::layer_norm_forward:
    case OpKind::layer_norm_backward:
      return std::vector{layer_norm_call(op)};
    case OpKind::softmax_cross_entropy_forward:
    case OpKind::softmax_cross_entropy_backward:
      return std::vector{cross_entropy_call(op)};
    case OpKind::sgd_update:
    case OpKind::momentum_update:
    case OpKind::adam_update:
    case OpKind::adamw_update:
      return std::vector{update_call(op)};
    case OpKind::sum_of_squares:
    case OpKind::clip_factor:
    case OpKind::scale_by:
      return std::vector{clipping_call(op)};
    case OpKind::rms_norm_forward:
    case OpKind::rms_norm_backward:
    case OpKind::rotary_forward:
    case OpKind::rotary_backward:
    case OpKind::swiglu_forward:
    case OpKind::swiglu_backward:
    case OpKind::token_embedding_forward:
    case OpKind::token_embedding_backward:
      return std::vector{decoder_call(op)};
    case OpKind::route_forward:
    case OpKind::route_backward:
    case OpKind::dispatch_forward:
    case OpKind::dispatch_backward:
    case OpKind::combine_forward:
    case OpKind::combine_backward:
      return std::vector{expert_call(op)};
    default:
      return std::nullopt;
  }
}

/// Empty unless the op is for a part of the tokens in a way that the kernels do not know.
std::string part_error(const Op& op) {
  const bool in_runs = integer_at(op, "run", 0) != 0;
  const bool turned = op.kind == OpKind::rotary_forward || op.kind == OpKind::rotary_backward;
  const bool further =
      (turned || op.kind == OpKind::embedding_backward) && integer_at(op, "position", 0) != 0;
  const bool scaled =
      op.kind == OpKind::softmax_cross_entropy_forward && find_attribute(op, "scale") != nullptr;
  const bool apart = find_operand(op, "kv") != nullptr;
  const char* const name = apart     ? "kv"
                           : in_runs ? "run"
                           : further ? "position"
                           : scaled  ? "scale"
                                     : "";
  if (*name == 0) return {};
  return "the CUDA backend has no " + std::string(to_string(op.kind)) + " with " + name + " yet";
}

}  // namespace

bool is_made_on_host(OpKind kind) {
  return kind == OpKind::load_batch || kind == OpKind::random_normal;
}

std::string cuda_kernel_error(const Trace& trace, const Op& op) {
  if (std::string error = kernel_error(trace, op); !error.empty()) return error;
  if (is_structural(op.kind)) return {};
  for (const Operand& operand : op.operands) {
    const DType dtype = trace[operand.buffer].dtype;
    if (dtype == DType::f64 || dtype == DType::bf16) {
      return "the CUDA backend has no " + std::string(to_string(dtype)) + " yet";
    }
  }
  if (is_made_on_host(op.kind) || op.kind == OpKind::report_loss) return {};
  if (std::string error = part_error(op); !error.empty()) return error;
  const std::vector<std::byte*> nowhere(op.operands.size(), nullptr);
  if (find_calls({trace, op, 0, nowhere, nullptr})) return {};
  return "kind " + std::string(to_string(op.kind)) + " has no CUDA kernel";
}

std::vector<cuda::Call> cuda_calls(const KernelCall& call) {
  std::optional<std::vector<Call>> calls = find_calls(call);
  if (!calls) throw std::logic_error("no CUDA kernel for op " + call.op.name);
  return std::move(*calls);
}

}  // namespace tidemark
