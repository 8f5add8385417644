// What capacity planning must know of a decoder-only transformer: its shapes, nothing of its
// execution. The reference trainer runs the models of sim/config.h; these are only reckoned with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/enums.h"

namespace tidemark {

enum class Norm : std::uint8_t { layer_norm, rms_norm };

template <>
struct EnumNames<Norm> {
  static constexpr std::string_view k_type = "norm";
  static constexpr auto k_names = std::to_array<std::string_view>({"layer_norm", "rms_norm"});
};

/// Mixture of experts. `count` 0: every layer has one dense MLP.
struct Experts {
  std::int64_t count = 0;
  std::int64_t per_token = 0;     // experts that each token visits
  std::int64_t width = 0;         // of one expert
  std::int64_t shared_width = 0;  // of the expert that every token visits; 0 = none
  std::int64_t dense_layers = 0;  // leading layers that keep the dense MLP
  bool operator==(const Experts&) const = default;
};

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). `kv_rank` 0: not used.
struct LatentAttention {
  std::int64_t query_rank = 0;  // 0 = queries are projected directly
  std::int64_t kv_rank = 0;
  std::int64_t rope_size = 0;   // per head, of queries; shared by all heads, of keys
  std::int64_t value_size = 0;  // per head
  bool operator==(const LatentAttention&) const = default;
};

struct Transformer {
  std::string name;
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;    // = heads without grouped queries
  std::int64_t head_size = 0;   // with latent attention: the part of queries and keys without rope
  std::int64_t mlp = 0;         // width of the dense MLP
  std::int64_t vocabulary = 0;  // as stored, padding included
  std::int64_t positions = 0;   // rows of a learned table; 0 = rotary
  bool gated_mlp = false;       // two projections into the MLP, multiplied
  bool biases = false;          // of all linear layers
  bool qkv_biases = false;      // of the projections to Q, K and V only
  bool tied_head = false;       // the output layer is the embedding
  bool qk_norm = false;         // a norm per head of queries and keys
  Norm norm = Norm::rms_norm;
  Experts experts{};
  LatentAttention latent{};
  bool operator==(const Transformer&) const = default;
};

/// Elements by how ranks share them, which decides by what each is divided.
struct Parameters {
  std::int64_t tensor = 0;      // split over the tensor-parallel group
  std::int64_t replicated = 0;  // whole on each of its ranks: norms, router, biases after a sum
  std::int64_t expert = 0;      // routed experts: split over the expert-parallel group
  [[nodiscard]] std::int64_t total() const { return tensor + replicated + expert; }
  Parameters& operator+=(const Parameters& more);
  bool operator==(const Parameters&) const = default;
};

/// Of one layer; `dense`: with the MLP of a dense layer (always so without experts).
[[nodiscard]] Parameters layer_parameters(const Transformer& model, bool dense);
/// Token table and learned positions.
[[nodiscard]] Parameters embedding_parameters(const Transformer& model);
/// The output layer, a table of its own also when it is tied; without the final norm.
[[nodiscard]] Parameters head_parameters(const Transformer& model);
[[nodiscard]] Parameters final_norm_parameters(const Transformer& model);
/// Whether layer `index` (0 = first) has the dense MLP.
[[nodiscard]] bool is_dense(const Transformer& model, std::int64_t index);
/// All of the model; a tied output layer counts once.
[[nodiscard]] std::int64_t parameter_count(const Transformer& model);

/// Published models by name: "llama3-8b", "gpt3-175b", ... Shapes: the config.json that each
/// publisher ships, or the paper that `about` names.
struct NamedTransformer {
  Transformer model;
  std::int64_t sequence = 0;  // tokens that it was trained with
  std::string about;
};
[[nodiscard]] const std::vector<NamedTransformer>& named_transformers();

/// Nullptr when there is none of that name.
[[nodiscard]] const NamedTransformer* find_transformer(std::string_view name);

}  // namespace tidemark
