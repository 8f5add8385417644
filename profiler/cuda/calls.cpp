#include "profiler/cuda/calls.h"

#include <cmath>
#include <optional>
#include <stdexcept>

#include "profiler/communicator.h"
#include "profiler/cuda/flash_bodies.h"
#include "profiler/cuda/image_calls.h"
#include "profiler/cuda/kernel_bodies.h"
#include "profiler/kernels/attention_keys.h"
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

template <std::size_t N>
void set(std::int64_t (&sizes)[N], std::initializer_list<std::int64_t> values) {
  std::copy(values.begin(), values.end(), sizes);
}

cuda::Mask mask_of(const KernelCall& op) {
  const kernels::DropoutMask mask(op);
  return {.stream = mask.stream,
          .threshold = mask.threshold,
          .scale = static_cast<float>(mask.scale),
          .first = mask.first,
          .run = mask.run,
          .stride = mask.stride,
          .offset = mask.offset};
}

/// The launches of a linear op: factors that are not bfloat16 yet are rounded first when the op
/// says so, then comes one product for each group of rows.
struct LinearCalls {
  const KernelCall& op;
  std::vector<std::string_view> roles;  // a, b, c, bias, sums of a
  std::int64_t groups;
  std::vector<Call> calls;

  /// m, n, k of row-major c[m,n] of one group; `transposed` 1: a, 2: b.
  void add_products(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t transposed) {
    Call first = call_of(op, Kernel::product, roles);
    set(first.sizes, {m, n, k, transposed});
    if (op.has("bf16_factors") || op.has("bf16_dy") || first.bf16 != 0) round_factors(first);
    for (std::int64_t group = 0; group < groups; ++group) {
      calls.push_back(first);
      for (std::size_t i = 0; i < 3; ++i) move(calls.back(), i, group);
    }
  }

 private:
  /// As kernels/linear.cpp: dy to where it is kept, the others behind each other.
  void round_factors(Call& product) {
    auto* free = op.pointer<std::uint16_t>("bf16_factors");
    for (std::size_t i = 0; i < 2; ++i) {
      if (op.is_bf16(roles[i])) continue;
      const std::int64_t count = op.elements(roles[i]);
      const bool has_own = roles[i] == "dy" && op.has("bf16_dy");
      Call round;
      round.kernel = Kernel::round;
      round.pointers[0] = product.pointers[i];
      round.pointers[1] = has_own ? op.pointer<std::uint16_t>("bf16_dy") : free;
      round.bf16 = 2;
      round.sizes[0] = count;
      calls.push_back(round);
      product.pointers[i] = round.pointers[1];
      product.bf16 |= 1U << i;
      if (!has_own && free != nullptr) free += count;
    }
  }

  void move(Call& call, std::size_t i, std::int64_t group) const {
    if (call.pointers[i] == nullptr) return;  // only the shapes are looked at
    const std::int64_t element_bytes = (call.bf16 >> i & 1U) != 0 ? 2 : 4;
    call.pointers[i] = static_cast<std::byte*>(call.pointers[i]) +
                       group * (op.elements(roles[i]) / groups) * element_bytes;
  }
};

std::vector<Call> linear_calls(const KernelCall& op) {
  const bool backward_weight = op.op.kind == OpKind::linear_backward_weight;
  const std::int64_t groups = linear_groups(op.buffer(backward_weight ? "dw" : "w"));
  LinearCalls out{op, {}, groups, {}};
  if (op.op.kind == OpKind::linear_forward) {
    out.roles = {"x", "w", "y", "b"};
    out.add_products(op.rows("x") / groups, op.rows("w") / groups, op.columns("x"), 2);
    return std::move(out.calls);
  }
  if (!backward_weight) {
    out.roles = {"dy", "w", "dx"};
    out.add_products(op.rows("dy") / groups, op.columns("w"), op.columns("dy"), 0);
    return std::move(out.calls);
  }
  // The product can sum what it reads, but not add to sums, and of a rounded dy they would differ.
  const bool fuses = op.has("db") && !op.accumulates("db") && !op.has("bf16_dy") &&
                     (op.is_bf16("dy") || !(op.has("bf16_factors") || op.is_bf16("x")));
  out.roles = {"dy", "x", "dw"};
  if (fuses) out.roles.insert(out.roles.end(), {"", "db"});
  out.add_products(op.columns("dy"), op.columns("x"), op.rows("dy") / groups, 1);
  if (!op.has("db") || fuses) return std::move(out.calls);
  Call sums = call_of(op, Kernel::column_sums, {"dy", "db"});
  set(sums.sizes, {op.rows("dy"), op.columns("dy")});
  out.calls.push_back(sums);
  return std::move(out.calls);
}

/// Sizes behind the first four: of a library's workspace; keys, place of the first query among
/// them, tokens of a part.
Call attention_call(const KernelCall& op) {
  Call call;
  switch (op.op.kind) {
    case OpKind::attention_forward:
      call = call_of(op, Kernel::attention_forward, {"qkv", "probabilities", "y", "kv"});
      break;
    case OpKind::attention_backward:
      call = call_of(op, Kernel::attention_backward,
                     {"qkv", "probabilities", "dy", "dqkv", "workspace", "kv", "dkv"});
      break;
    case OpKind::flash_attention_forward:
      call = call_of(op, Kernel::flash_attention_forward,
                     {"qkv", "y", "log_sum_exp", "workspace", "kv"});
      break;
    default:
      call = call_of(op, Kernel::flash_attention_backward,
                     {"dy", "qkv", "y", "log_sum_exp", "dqkv", "workspace", "kv", "dkv"});
  }
  const kernels::AttentionKeys keys(op);
  const std::vector<std::int64_t>& shape = op.buffer("qkv").shape;
  call.mask = mask_of(op);
  // A library has random numbers of its own: with dropout its results would be others.
  const bool rounds = integer_at(op.op, "bf16", 0) == 1 && call.mask.threshold == 0 && !keys.apart;
  set(call.sizes, {shape[0], shape[1], op.columns("qkv") / 3, op.integer("heads"),
                   rounds ? op.buffer("workspace").size_bytes : 0, keys.count, keys.position,
                   keys.part_tokens});
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
    set(call.sizes, {op.elements("tokens"), sequence, op.columns("dwte"), op.rows("dwte"),
                     op.rows("dwpe"), op.position(sequence, op.rows("dwpe"))});
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
  const double scale = find_attribute(op.op, "scale") == nullptr ? 1 : op.real("scale");
  call.reals[0] = static_cast<float>(forward ? scale : scale / static_cast<double>(rows));
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
                       op.columns(in) / (heads + 2 * groups), op.integer("position")});
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
      set(call.sizes, {op.elements("tokens"), op.columns("dw"), op.rows("dw")});
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
    case OpKind::balance_backward:
      call = call_of(op, Kernel::balance_backward, {"logits", "slots", "dlogits"});
      set(call.sizes, {op.rows("logits"), op.columns("logits"), choices, op.integer("capacity")});
      call.reals[0] =
          static_cast<float>(op.real("scale") * static_cast<double>(op.columns("logits")) /
                             static_cast<double>(op.rows("logits")));
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
    case OpKind::add_bias: {
      Call call = call_of(op, Kernel::add_bias, {"y", "b"});
      set(call.sizes, {op.rows("y"), op.columns("y")});
      return std::vector{call};
    }
    case OpKind::slice_columns: {
      Call call = call_of(op, Kernel::slice_columns, {"x", "y"});
      set(call.sizes, {op.rows("y"), op.columns("x"), op.columns("y"), op.integer("first")});
      return std::vector{call};
    }
    case OpKind::insert_columns: {
      Call call = call_of(op, Kernel::insert_columns, {"x", "y"});
      set(call.sizes, {op.rows("x"), op.columns("x"), op.columns("y"), op.integer("first")});
      return std::vector{call};
    }
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
    case OpKind::balance_backward:
      return std::vector{expert_call(op)};
    default:
      break;
  }
  if (const std::optional<Call> call = find_image_call(op)) return std::vector{*call};
  return std::nullopt;
}

/// Empty when what a kernel has no room for is small enough.
std::string size_error(const Trace& trace, const Op& op) {
  const auto columns = [&](const char* role) {
    const Operand* operand = find_operand(op, role);
    return operand == nullptr ? 0 : column_count(trace[operand->buffer]);
  };
  const auto limited = [](std::int64_t found, std::int64_t most, const char* what) {
    if (found <= most) return std::string();
    return "the CUDA backend takes " + std::string(what) + " of at most " + std::to_string(most) +
           ", not " + std::to_string(found);
  };
  switch (op.kind) {
    case OpKind::balance_backward:
      return limited(columns("logits"), cuda::k_partials, "experts in a number");
    case OpKind::flash_attention_forward:
    case OpKind::flash_attention_backward:
      return limited(columns("qkv") / 3 / integer_at(op, "heads", 0), cuda::k_most_width,
                     "heads with a width");
    default:
      return {};
  }
}

}  // namespace

Call call_of(const KernelCall& op, Kernel kernel, const std::vector<std::string_view>& roles) {
  Call call;
  call.kernel = kernel;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    call.pointers[i] = op.pointer<std::byte>(roles[i]);
    if (op.accumulates(roles[i])) call.accumulates |= 1U << i;
    if (op.is_bf16(roles[i])) call.bf16 |= 1U << i;
  }
  return call;
}

bool is_made_on_host(OpKind kind) {
  return kind == OpKind::load_batch || kind == OpKind::random_normal;
}

std::string cuda_kernel_error(const Trace& trace, const Op& op) {
  if (std::string error = operand_error(trace, op); !error.empty()) return error;
  if (is_structural(op.kind)) return {};
  for (const Operand& operand : op.operands) {
    if (trace[operand.buffer].dtype == DType::f64) return "the CUDA backend has no f64";
  }
  if (is_collective(op.kind)) return {};  // NCCL's
  if (is_made_on_host(op.kind) || op.kind == OpKind::report_loss) return {};
  if (std::string error = size_error(trace, op); !error.empty()) return error;
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
