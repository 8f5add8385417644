// The matrix products of one layer on one rank: the part of its time that the tensors do not tell.
#pragma once

#include <array>
#include <cstddef>

#include "sim/strategy.h"

namespace tidemark {

/// `count` products of rows x inner by inner x columns.
struct Product {
  double rows = 0;
  double columns = 0;
  double inner = 0;
  double count = 1;
  [[nodiscard]] double flops() const { return 2 * rows * columns * inner * count; }
  bool operator==(const Product&) const = default;
};

struct LayerProduct {
  Product forward{};
  RecomputeSet again_with;    // by any of these it runs once more before its backward
  double backward_count = 2;  // products of the same size in backward: one for each operand, and
                              // the scores themselves with flash attention
  bool is_core = false;       // scores of attention, or their product with the values
  bool is_reduced = false;    // its result is summed over the tensor-parallel group
  bool is_exchanged = false;  // its result goes back to the ranks of its tokens (experts)
};

/// A list without allocation, as LayerTensors.
class LayerProducts {
 public:
  void add(const LayerProduct& product) { products_[count_++] = product; }
  [[nodiscard]] const LayerProduct* begin() const { return products_.data(); }
  [[nodiscard]] const LayerProduct* end() const { return products_.data() + count_; }

 private:
  std::array<LayerProduct, 16> products_{};
  std::size_t count_ = 0;
};

/// Of one micro-batch. Attention over all positions, as Megatron-LM computes and as model FLOPs are
/// counted (Korthikanti et al. 2022, appendix A); flash attention skips the masked half. Tokens
/// spread evenly over experts. Expects problems(model, strategy) to be empty.
[[nodiscard]] LayerProducts layer_products(const Transformer& model, bool dense,
                                           const Strategy& strategy);

/// Bytes of one layer and micro-batch that gradients of weights need, once those of inputs are
/// made: the input of each product and the gradient of its result. Rows as wide as the model are
/// shards with sequence parallelism, as is what is summed.
[[nodiscard]] double held_bytes(const LayerProducts& products, const Transformer& model,
                                const Strategy& strategy);

/// The product of the output layer.
[[nodiscard]] Product head_product(const Transformer& model, const Strategy& strategy);

/// Forward and backward of all layers and the output layer for the tokens of one step, without what
/// is recomputed, over all ranks: 72 B L s h^2 (1 + s/6h + V/12hL) for a GPT (the same appendix).
[[nodiscard]] double model_flops(const Transformer& model, const Strategy& strategy);

}  // namespace tidemark
