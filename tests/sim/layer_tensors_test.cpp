// What layers keep, against the formulas of papers and sums by hand.
#include "sim/layer_tensors.h"

#include "../catch.h"

using namespace tidemark;

namespace {

/// In units of hidden x tokens, one rank.
double per_element(const Transformer& m, const Kernels& kernels, RecomputeSet recompute,
                   const Layout& layout, std::int64_t sequence = 2048) {
  const LayerTensors tensors = layer_tensors(m, true, kernels, sequence);
  return rank_bytes(kept_bytes(tensors, recompute), layout, 1) / static_cast<double>(m.hidden);
}

constexpr Kernels k_2022{.attention = AttentionLowering::composite, .dropout = true};

}  // namespace

TEST_CASE("layer tensors: Korthikanti table 2, every line") {
  // arXiv 2205.05198, table 2: bytes for each of s x b x h; a s / h = 64 * 2048 / 6144.
  const Transformer m = find_transformer("megatron-22b")->model;
  const double score = 5 * 64.0 * 2048 / 6144;
  const Layout tp{.tensor = 8};
  const Layout sp{.tensor = 8, .sequence_parallel = true};
  const RecomputeSet selective{Recompute::attention_core};
  CHECK(per_element(m, k_2022, {}, {}) == Approx(34 + score));
  CHECK(per_element(m, k_2022, {}, tp) == Approx(10 + 24 / 8.0 + score / 8));
  CHECK(per_element(m, k_2022, {}, sp) == Approx((34 + score) / 8));
  CHECK(per_element(m, k_2022, selective, tp) == Approx(10 + 24 / 8.0));
  CHECK(per_element(m, k_2022, selective, sp) == Approx(34 / 8.0));
  CHECK(per_element(m, k_2022, {Recompute::full}, {}) == Approx(2));
}

TEST_CASE("layer tensors: Llama-3-8B, tensor by tensor") {
  const Transformer m = find_transformer("llama3-8b")->model;
  const Kernels kernels{.fused_gate = false};
  const auto bytes = [&](RecomputeSet recompute) {
    return rank_bytes(kept_bytes(layer_tensors(m, true, kernels, 8192), recompute), {}, 1);
  };
  const double row = 2 * 4096;
  const double kv = 2 * 1024;
  const double inner = 2 * 14336;
  CHECK(bytes({}) == 4 * row + 2 * row + 2 * kv + 4 * 32 + 4 * inner);
  CHECK(bytes({Recompute::full}) == row);
  CHECK(bytes({Recompute::norms}) == bytes({}) - 2 * row);
  CHECK(bytes({Recompute::activation}) == bytes({}) - 2 * inner);
  CHECK(bytes({Recompute::mlp}) == bytes({}) - 4 * inner);
  // Input, queries, values, attention with its log-sum-exp, gate, MLP output.
  CHECK(bytes({Recompute::alternate_products}) == row + row + kv + row + 4 * 32 + inner + row);
}

TEST_CASE("layer tensors: kept and made again are together what a layer holds") {
  const Transformer m = find_transformer("moonlight-16b")->model;
  for (const bool dense : {false, true}) {
    const LayerTensors tensors = layer_tensors(m, dense, {}, 4096);
    const auto all = rank_bytes(kept_bytes(tensors, {}), {}, 1);
    for (const Recompute part : {Recompute::full, Recompute::norms, Recompute::latent_up,
                                 Recompute::experts, Recompute::mlp}) {
      const double kept = rank_bytes(kept_bytes(tensors, {part}), {}, 1);
      CHECK(kept < all + 1);
      CHECK(kept + rank_bytes(remade_bytes(tensors, {part}), {}, 1) == Approx(all));
    }
  }
}

TEST_CASE("layer tensors: experts see each token several times") {
  Transformer m = find_transformer("qwen3-30b-a3b")->model;
  const auto routed = [&m](const Layout& layout) {
    return rank_bytes(kept_bytes(layer_tensors(m, false, {}, 4096), {}), layout, 1);
  };
  const double once = routed({});
  m.experts.per_token *= 2;
  CHECK(routed({}) - once == 8 * 2.0 * (2048 + 3 * 768));
  // With tensor parallelism, rows split unless experts gather them again.
  const double gathered = routed({.tensor = 4, .expert_tensor = 4});
  CHECK(gathered - routed({.tensor = 4}) == 16 * 2.0 * 2048 * (1 - 1 / 4.0));
}
