// Level A of capacity planning: the peak of every pipeline rank in closed form, for screening.
//
// It sums what is live at some moments that every schedule passes, so that it never exceeds a count
// of all moments: before the first backward, before the first backward after the last forward, and
// before the optimizer; on the last stage also inside the loss. Bytes are reals: shards are not
// rounded up to whole elements.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/layer_tensors.h"
#include "sim/strategy.h"

namespace tidemark {

/// Bytes of one pipeline rank at its peak, on the device.
struct RankMemory {
  std::int64_t rank = 0;
  double states = 0;   // parameters, optimizer, and those gradients that are there
  double layers = 0;   // what layers keep of all micro-batches in flight
  double ends = 0;     // of embedding, final norm, output layer, loss and messages, likewise
  double working = 0;  // gathered units, gradients of one unit, what one backward makes again
  [[nodiscard]] double total() const { return states + layers + ends + working; }
  bool operator==(const RankMemory&) const = default;
};

/// Parameters of one pipeline rank before any split.
struct RankParameters {
  Parameters layers;
  Parameters embedding;
  Parameters head;  // with the final norm
};

/// Of `parameters` on one rank, as `recipe` keeps them: the tensor part divided by the tensor-
/// parallel ranks, experts by theirs, each part then by its own shard group.
[[nodiscard]] ParameterBytes state_bytes(const StateRecipe& recipe, const Layout& layout,
                                         const Parameters& parameters);

/// The same of embedding, final norm and output layer.
[[nodiscard]] ParameterBytes end_state_bytes(const StateRecipe& recipe, const Layout& layout,
                                             const Parameters& parameters);

/// Of the parameters of those.
[[nodiscard]] StatePart end_parameter(const StateRecipe& recipe);

/// Bytes of one part of a state: the parameter, the master copy, one of the two moments, ...
[[nodiscard]] double part_bytes(const StatePart& part, const Layout& layout,
                                const Parameters& parameters);

/// Elements of `parameters` that one rank computes with (gathered, when they are shards).
[[nodiscard]] double local_elements(const Layout& layout, const Parameters& parameters);

/// Bytes beside the shards while a unit of `elements` runs: the unit in the compute type, and its
/// gradient before it is reduced.
struct UnitBytes {
  double gathered = 0;
  double gradient = 0;
};
[[nodiscard]] UnitBytes unit_bytes(const StateRecipe& recipe, const ShardSizes& sizes,
                                   double elements);

/// Bytes per logit that the loss keeps until its backward, and the most beside them while it runs.
struct LossBytes {
  double kept = 0;
  double working = 0;
};
[[nodiscard]] LossBytes loss_bytes(LossLowering loss);

/// What torch.distributed.pipelining keeps beside layers (stage.py of PyTorch; torchtitan runs on
/// it): of every micro-batch of the step a buffer for the input of a stage and one for the gradient
/// of its output; of those in flight the output. With StateRecipe::keeps_outputs, of all of them
/// until the step ends, and the gradient of the input too. The last stage puts out logits. A rank
/// alone, or one of another library, keeps none of it.
struct MessageBytes {
  double rows = 0;    // of one micro-batch between stages
  double logits = 0;  // of one micro-batch behind the last stage, if they stay
  double stay = 0;    // rows, if outputs and gradients of inputs stay; else 0
  bool operator==(const MessageBytes&) const = default;
};
[[nodiscard]] MessageBytes message_bytes(const Transformer& model, const Strategy& strategy);

/// Level A for one model; holds what does not depend on the strategy.
class CapacityModel {
 public:
  explicit CapacityModel(const Transformer& model);

  /// All functions expect problems(model, strategy) to be empty.
  [[nodiscard]] RankParameters parameters(const Strategy& strategy, std::int64_t rank) const;
  [[nodiscard]] RankMemory rank(const Strategy& strategy, std::int64_t rank) const;
  [[nodiscard]] std::vector<RankMemory> ranks(const Strategy& strategy) const;
  /// The rank with the largest total, the first of equals. Looks only at ranks that can be it.
  [[nodiscard]] RankMemory peak(const Strategy& strategy) const;

  /// Bytes of what stays gathered during the whole step.
  [[nodiscard]] double gathered_bytes(const Strategy& strategy,
                                      const RankParameters& parameters) const;

  /// Of the output layer's gradient on the last rank while it is whole, tied or not.
  [[nodiscard]] double head_gradient_bytes(const Strategy& strategy) const;

  [[nodiscard]] const Transformer& model() const { return model_; }

  struct StageLayers {
    std::int64_t dense = 0;
    std::int64_t routed = 0;  // with experts
  };
  [[nodiscard]] StageLayers stage_layers(const Strategy& strategy, std::int64_t stage) const;
  /// Parameters of one layer, before any split.
  [[nodiscard]] const Parameters& layer(bool dense) const {
    return dense ? dense_layer_ : routed_layer_;
  }

 private:
  struct Terms;
  [[nodiscard]] Terms terms(const Strategy& strategy) const;
  struct Rank;
  [[nodiscard]] RankMemory rank(const Strategy& strategy, const Terms& terms,
                                std::int64_t rank) const;
  [[nodiscard]] RankMemory before_backward(const Rank& rank, std::int64_t forwards,
                                           std::int64_t backwards) const;
  [[nodiscard]] double messages(const Rank& rank, std::int64_t chunk, double open,
                                double done) const;
  [[nodiscard]] double layer_backward(const Strategy& strategy, const Terms& terms,
                                      const StageLayers& layers) const;

  Transformer model_;
  Parameters dense_layer_;
  Parameters routed_layer_;
  Parameters embedding_;
  Parameters head_;
  Parameters final_norm_;
};

}  // namespace tidemark
