#include "sim/llama_config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/config_checks.h"

namespace tidemark {

using namespace config_checks;

namespace {

constexpr std::int64_t k_most_experts = 4096;

void validate_experts(const LlamaConfig& m, std::int64_t batch, std::int64_t sequence) {
  want_between("model experts", m.experts, 0, k_most_experts);
  if (m.experts == 0) return;
  want_between("model experts_per_token", m.experts_per_token, 1, m.experts);
  want_real("model capacity_factor", m.capacity_factor, 0.01, static_cast<double>(k_most_experts));
  want_real("model balance_loss", m.balance_loss, 0, 1e6);
  const std::int64_t capacity = expert_capacity(m, batch * sequence);
  want_between("slots of all experts", m.experts * capacity, 1,
               std::numeric_limits<std::int32_t>::max());
  want_product("experts x capacity x channels", {m.experts, capacity, m.channels});
  want_product("experts x capacity x 2 hidden", {m.experts, capacity, 2, m.hidden});
  want_product("experts x 2 hidden x channels", {m.experts, 2, m.hidden, m.channels});
}

}  // namespace

std::int64_t expert_capacity(const LlamaConfig& m, std::int64_t tokens) {
  const double each = static_cast<double>(tokens) * static_cast<double>(m.experts_per_token) /
                      static_cast<double>(m.experts);
  // No expert is chosen twice by a token.
  return std::clamp(static_cast<std::int64_t>(std::ceil(m.capacity_factor * each)), std::int64_t{1},
                    tokens);
}

void validate_llama(const LlamaConfig& m, std::int64_t batch, std::int64_t sequence) {
  want_between("model layers", m.layers, 1, k_most_layers);
  want_between("model channels", m.channels, 2, k_largest_extent);
  want_between("model heads", m.heads, 1, m.channels / 2);
  want_between("model kv_heads", m.kv_heads, 1, m.heads);
  want_between("model hidden", m.hidden, 1, k_largest_extent);
  want_between("model vocabulary", m.vocabulary, 2, k_largest_extent);
  want_between("model positions", m.positions, 1, k_largest_extent);
  want_between("--seq", sequence, 1, m.positions);
  want_real("model rotary_base", m.rotary_base, 1.0001, 1e12);
  want_real("model epsilon", m.epsilon, 0, 1);
  if (m.channels % (2 * m.heads) != 0) {
    bad("model heads", fmt::format("a divisor of channels / 2 = {}", m.channels / 2),
        std::to_string(m.heads));
  }
  if (m.heads % m.kv_heads != 0) {
    bad("model kv_heads", fmt::format("a divisor of heads = {}", m.heads),
        std::to_string(m.kv_heads));
  }
  want_product("batch x sequence x 3 channels", {batch, sequence, 3, m.channels});
  want_product("batch x sequence x 2 hidden", {batch, sequence, 2, m.hidden});
  want_product("batch x heads x sequence x sequence", {batch, m.heads, sequence, sequence});
  want_product("batch x sequence x vocabulary", {batch, sequence, m.vocabulary});
  want_product("vocabulary x channels", {m.vocabulary, m.channels});
  want_product("3 channels x channels", {3, m.channels, m.channels});
  want_product("2 hidden x channels", {2, m.hidden, m.channels});
  validate_experts(m, batch, sequence);
}

std::set<std::string> llama_keys() {
  return {"layers",      "heads",      "kv_heads",          "channels",
          "hidden",      "vocabulary", "positions",         "rotary_base",
          "epsilon",     "experts",    "experts_per_token", "capacity_factor",
          "balance_loss"};
}

LlamaConfig llama_from(const Json& j) {
  LlamaConfig m;
  get(j, "layers", m.layers);
  get(j, "heads", m.heads);
  m.kv_heads = m.heads;
  get(j, "kv_heads", m.kv_heads);
  get(j, "channels", m.channels);
  get(j, "hidden", m.hidden);
  get(j, "vocabulary", m.vocabulary);
  get(j, "positions", m.positions);
  get(j, "rotary_base", m.rotary_base);
  get(j, "epsilon", m.epsilon);
  get(j, "experts", m.experts);
  get(j, "experts_per_token", m.experts_per_token);
  get(j, "capacity_factor", m.capacity_factor);
  get(j, "balance_loss", m.balance_loss);
  return m;
}

void add_llama(const LlamaConfig& m, Json& j) {
  j["layers"] = m.layers;
  j["heads"] = m.heads;
  j["kv_heads"] = m.kv_heads;
  j["channels"] = m.channels;
  j["hidden"] = m.hidden;
  j["vocabulary"] = m.vocabulary;
  j["positions"] = m.positions;
  j["rotary_base"] = m.rotary_base;
  j["epsilon"] = m.epsilon;
  if (m.experts == 0) return;  // an older reader refuses keys that it does not know
  j["experts"] = m.experts;
  j["experts_per_token"] = m.experts_per_token;
  j["capacity_factor"] = m.capacity_factor;
  if (m.balance_loss > 0) j["balance_loss"] = m.balance_loss;
}

namespace {

/// The form of transformers 5: {"rope_type": "default", "rope_theta": 10000.0}.
void take_rope_parameters(const Json& j, LlamaConfig& m) {
  if (!j.contains("rope_parameters") || j["rope_parameters"].is_null()) return;
  const Json& rope = j["rope_parameters"];
  if (!rope.is_object()) bad("rope_parameters", "a JSON object", rope.type_name());
  std::string type = "default";
  get(rope, "rope_type", type);
  if (type != "default") bad("rope_type", "default", "'" + type + "'");
  get(rope, "rope_theta", m.rotary_base);
}

}  // namespace

namespace {

/// The defaults of transformers' LlamaConfig, those of the 7B model, and of its MixtralConfig.
LlamaConfig huggingface_defaults(bool is_mixtral) {
  LlamaConfig m{.layers = 32,
                .heads = 32,
                .channels = 4096,
                .hidden = 11008,
                .vocabulary = 32000,
                .positions = 2048,
                .epsilon = 1e-6};
  if (!is_mixtral) return m;
  m.kv_heads = 8;
  m.hidden = 14336;
  m.positions = 131072;
  m.rotary_base = 1e6;
  m.epsilon = 1e-5;
  m.experts = 8;
  return m;
}

/// transformers adds the loss with `output_router_logits` only, as one over all layers, and of each
/// of a token's choices: ours is the sum over the layers, of all choices together.
void take_router_loss(const Json& j, LlamaConfig& m) {
  bool adds_loss = false;
  double coefficient = 0.001;  // the default of its MixtralConfig
  get(j, "output_router_logits", adds_loss);
  get(j, "router_aux_loss_coef", coefficient);
  if (!adds_loss) return;
  m.balance_loss =
      coefficient * static_cast<double>(m.experts_per_token) / static_cast<double>(m.layers);
}

}  // namespace

LlamaConfig llama_from_huggingface(const Json& j, bool is_mixtral) {
  LlamaConfig m = huggingface_defaults(is_mixtral);
  get(j, "num_hidden_layers", m.layers);
  get(j, "num_attention_heads", m.heads);
  if (!is_mixtral) m.kv_heads = m.heads;
  if (j.contains("num_key_value_heads") && !j["num_key_value_heads"].is_null()) {
    get(j, "num_key_value_heads", m.kv_heads);
  }
  get(j, "hidden_size", m.channels);
  get(j, "intermediate_size", m.hidden);
  get(j, "vocab_size", m.vocabulary);
  get(j, "max_position_embeddings", m.positions);
  get(j, "rope_theta", m.rotary_base);
  take_rope_parameters(j, m);
  get(j, "rms_norm_eps", m.epsilon);
  const auto only = [&j](const char* key, const Json& wanted) {
    if (!j.contains(key) || j[key] == wanted || j[key].is_null()) return;
    bad(key, wanted.dump(), j[key].dump());
  };
  only("hidden_act", "silu");
  only("tie_word_embeddings", false);
  only("attention_bias", false);
  only("mlp_bias", false);
  only("rope_scaling", nullptr);
  if (is_mixtral) {
    get(j, "num_local_experts", m.experts);
    get(j, "num_experts_per_tok", m.experts_per_token);
    want_between("num_local_experts", m.experts, 1, k_most_experts);
    only("sliding_window", nullptr);
    only("router_jitter_noise", 0.0);
    take_router_loss(j, m);
  }
  if (m.heads > 0 && m.channels % m.heads == 0) only("head_dim", m.channels / m.heads);
  return m;
}

}  // namespace tidemark
