// What one layer of a transformer keeps from forward for backward, tensor by tensor.
#pragma once

#include <array>
#include <cstddef>

#include "sim/strategy.h"

namespace tidemark {

/// By what the bytes of a tensor are divided on a rank.
enum class Split : std::uint8_t {
  tensor,    // the tensor-parallel group
  sequence,  // that group with sequence parallelism; else each of its ranks has the whole
  routed,    // rows that experts see: tensor / expert_tensor, as experts gather what they split
};

struct KeptTensor {
  const char* name = "";
  double bytes_per_token = 0;  // before the split; a token of the whole model
  Split split = Split::sequence;
  RecomputeSet dropped_by;   // by any of these it is made again
  RecomputeSet only_with;    // kept with one of these only; empty = always
  bool has_gradient = true;  // of its own size; not of masks and statistics
};

/// A list without allocation: screening makes one for each configuration.
class LayerTensors {
 public:
  void add(const KeptTensor& tensor) { tensors_[count_++] = tensor; }
  [[nodiscard]] const KeptTensor* begin() const { return tensors_.data(); }
  [[nodiscard]] const KeptTensor* end() const { return tensors_.data() + count_; }

 private:
  std::array<KeptTensor, 32> tensors_{};
  std::size_t count_ = 0;
};

/// Every tensor that backward reads, whatever is recomputed. A tensor that two ops read counts
/// once. Of a GPT layer with dropout and composite attention they are the 34 + 5as/h bytes per
/// element of Korthikanti et al. 2022, table 2. Statistics of norms (some bytes per token) are left
/// out.
[[nodiscard]] LayerTensors layer_tensors(const Transformer& model, bool dense,
                                         const Kernels& kernels, std::int64_t sequence);

/// Whether the tensor lives in a layer's backward at all, kept or made again.
[[nodiscard]] bool is_held(const KeptTensor& tensor, RecomputeSet recompute);

/// Bytes per token by split.
struct TokenBytes {
  double tensor = 0;
  double sequence = 0;
  double routed = 0;
  bool operator==(const TokenBytes&) const = default;
};

/// What stays from forward to backward.
[[nodiscard]] TokenBytes kept_bytes(const LayerTensors& tensors, RecomputeSet recompute);

/// What the backward of one layer makes again, beside what was kept.
[[nodiscard]] TokenBytes remade_bytes(const LayerTensors& tensors, RecomputeSet recompute);

/// On one rank.
[[nodiscard]] double rank_bytes(const TokenBytes& bytes, const Layout& layout, double tokens);

}  // namespace tidemark
