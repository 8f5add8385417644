// How a transformer is trained on many ranks: parallel layout, state recipe, recomputation,
// schedule and batch. With the model it is all that capacity planning reckons with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/config.h"
#include "sim/state_recipe.h"
#include "sim/transformer.h"

namespace tidemark {

/// Ranks = tensor x pipeline x data x context.
struct Layout {
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t virtual_stages = 1;  // model chunks per pipeline rank
  std::int64_t data = 1;
  std::int64_t context = 1;
  std::int64_t expert = 1;         // over tensor x data x context, not beside them
  std::int64_t expert_tensor = 1;  // ranks that split each routed expert
  std::int64_t shard = 0;          // ranks of a hybrid sharding group; 0 = data x context
  bool sequence_parallel = false;
  bool operator==(const Layout&) const = default;
  [[nodiscard]] std::int64_t ranks() const { return tensor * pipeline * data * context; }
};

/// `zero_bubble`: ZB-H1 (Qi et al. 2023, section 2.1), which makes gradients of weights apart from
/// those of inputs and as many micro-batches later as there are ranks before this one.
enum class PipelineSchedule : std::uint8_t { gpipe, one_f_one_b, interleaved, zero_bubble };

template <>
struct EnumNames<PipelineSchedule> {
  static constexpr std::string_view k_type = "schedule";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"gpipe", "one_f_one_b", "interleaved", "zero_bubble"});
};

/// What a layer makes again in its backward instead of keeping it.
enum class Recompute : std::uint8_t {
  full,                // everything but the input of the layer
  attention_core,      // scores and their softmax (Korthikanti's "selective")
  norms,               // outputs of norms
  activation,          // what the MLP's nonlinearity makes
  mlp,                 // the dense MLP, from its input
  experts,             // router and experts, from their input
  latent_up,           // Q, K and V of latent attention, from their compression
  alternate_products,  // all but the attention and every second matrix product (torchtitan's "op")
};

template <>
struct EnumNames<Recompute> {
  static constexpr std::string_view k_type = "recompute";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"full", "attention_core", "norms", "activation", "mlp",
                                       "experts", "latent_up", "alternate_products"});
};

class RecomputeSet {
 public:
  constexpr RecomputeSet() = default;
  constexpr RecomputeSet(std::initializer_list<Recompute> parts) {
    for (const Recompute part : parts) bits_ |= bit(part);
  }
  constexpr void add(Recompute part) { bits_ |= bit(part); }
  [[nodiscard]] constexpr bool has(Recompute part) const { return (bits_ & bit(part)) != 0; }
  [[nodiscard]] constexpr bool meets(RecomputeSet other) const {
    return (bits_ & other.bits_) != 0;
  }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  bool operator==(const RecomputeSet&) const = default;

 private:
  static constexpr std::uint32_t bit(Recompute part) {
    return std::uint32_t{1} << static_cast<std::uint32_t>(part);
  }
  std::uint32_t bits_ = 0;
};

/// Bytes per logit that the loss holds at its peak, by how it is computed:
enum class LossLowering : std::uint8_t {
  fused,           // 4: 16-bit logits and their gradient
  chunked,         // 3.5: 16-bit logits, and an eighth of the tokens at a time as `eager`
  in_place,        // 6: 16-bit logits, and f32 ones that become softmax and gradient (Megatron)
  eager,           // 14: 16-bit logits, f32 log-softmax and two f32 gradients (PyTorch)
  eager_parallel,  // 20: log-softmax, gradient, and three results of its expression (PyTorch's
                   // loss_parallel over a split vocabulary)
};

template <>
struct EnumNames<LossLowering> {
  static constexpr std::string_view k_type = "loss";
  static constexpr auto k_names =
      std::to_array<std::string_view>({"fused", "chunked", "in_place", "eager", "eager_parallel"});
};

/// Which kernels run decides what they keep. Values between layers are 16 bits wide.
struct Kernels {
  AttentionLowering attention = AttentionLowering::flash;
  bool fused_gate = true;    // silu(gate) x up is one op that keeps its inputs only
  bool dropout = false;      // after attention scores and both residual branches
  bool f8_products = false;  // inputs of matrix products are kept in 8 bits (Transformer Engine)
  LossLowering loss = LossLowering::in_place;
  bool operator==(const Kernels&) const = default;
};

struct Batch {
  std::int64_t sequence = 0;       // tokens
  std::int64_t micro_batch = 1;    // sequences per rank at a time
  std::int64_t micro_batches = 1;  // per step
  bool operator==(const Batch&) const = default;
};

struct Strategy {
  Layout layout;
  StateRecipe recipe;
  RecomputeSet recompute;
  bool kept_on_host = false;  // what layers keep, from forward to backward
  Kernels kernels;
  PipelineSchedule schedule = PipelineSchedule::one_f_one_b;
  Batch batch;
  /// Layers of each of the pipeline x virtual_stages stages, in model order; empty = all the same.
  std::vector<std::int64_t> stage_layers;
  bool operator==(const Strategy&) const = default;
};

/// Everything that is wrong with the two together, one line each, which begins with the name of the
/// field ("layout.tensor: ..."). Empty = valid. What the other functions of capacity planning ask
/// for.
[[nodiscard]] std::vector<std::string> problems(const Transformer& model, const Strategy& strategy);

/// Throws InputError with all lines of problems().
void require_valid(const Transformer& model, const Strategy& strategy);

/// Layers of stage `index` in model order.
[[nodiscard]] std::int64_t layers_of_stage(const Transformer& model, const Strategy& strategy,
                                           std::int64_t index);
/// The first of them: how many layers all stages before it have.
[[nodiscard]] std::int64_t first_layer_of_stage(const Transformer& model, const Strategy& strategy,
                                                std::int64_t index);

[[nodiscard]] ShardSizes shard_sizes(const Layout& layout);         // of what experts do not hold
[[nodiscard]] ShardSizes expert_shard_sizes(const Layout& layout);  // of routed experts

}  // namespace tidemark
