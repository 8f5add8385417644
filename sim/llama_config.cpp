#include "sim/llama_config.h"

#include "sim/config_checks.h"

namespace tidemark {

using namespace config_checks;

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
}

std::set<std::string> llama_keys() {
  return {"layers",     "heads",     "kv_heads",    "channels", "hidden",
          "vocabulary", "positions", "rotary_base", "epsilon"};
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

LlamaConfig llama_from_huggingface(const Json& j) {
  // The defaults of transformers' LlamaConfig: those of the 7B model.
  LlamaConfig m{.layers = 32,
                .heads = 32,
                .channels = 4096,
                .hidden = 11008,
                .vocabulary = 32000,
                .positions = 2048,
                .epsilon = 1e-6};
  get(j, "num_hidden_layers", m.layers);
  get(j, "num_attention_heads", m.heads);
  m.kv_heads = m.heads;
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
  if (m.heads > 0 && m.channels % m.heads == 0) only("head_dim", m.channels / m.heads);
  return m;
}

}  // namespace tidemark
