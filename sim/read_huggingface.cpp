#include <set>

#include "sim/description.h"
#include "sim/section.h"
#include "traces/error.h"

namespace tidemark {
namespace {

const std::set<std::string>& known_types() {
  static const std::set<std::string> types{"llama",       "mistral",     "mixtral", "qwen2",
                                           "qwen3",       "qwen3_moe",   "gpt2",    "gpt_neox",
                                           "deepseek_v2", "deepseek_v3", "gpt_oss"};
  return types;
}

std::string type_of(Section& f, const std::string& file) {
  const Section::Json* json = f.take("model_type");
  const std::string type = json != nullptr && json->is_string() ? json->get<std::string>() : "";
  if (known_types().contains(type)) return type;
  throw InputError(
      InputError::Parts{.file = file,
                        .place = "model_type",
                        .expected = fmt::format("one of {}", fmt::join(known_types(), ", ")),
                        .found = "'" + type.substr(0, 40) + "'"});
}

/// A field that would make layers differ in a way that Transformer cannot say.
void require_one(Section& f, const char* name) {
  if (f.integer_or(name, 1) != 1) f.expected(name, "1 (experts in every layer)");
}

void read_experts(Section& f, Transformer& m) {
  Experts& e = m.experts;
  e.count = f.integer_or({"n_routed_experts", "num_local_experts", "num_experts"}, 0);
  if (e.count == 0) return;
  e.per_token = f.integer({"num_experts_per_tok", "experts_per_token"});
  e.width = f.integer_or("moe_intermediate_size", m.mlp);
  // Wrong files must not overflow: both factors are checked again by problems().
  const std::int64_t shared = f.integer_or("n_shared_experts", 0);
  if (__builtin_mul_overflow(shared, e.width, &e.shared_width)) e.shared_width = -1;
  e.dense_layers = f.integer_or("first_k_dense_replace", 0);
  require_one(f, "moe_layer_freq");
  require_one(f, "decoder_sparse_step");
  const Section::Json* dense = f.take("mlp_only_layers");
  if (dense != nullptr && !dense->empty()) f.expected("mlp_only_layers", "an empty list");
}

void read_latent(Section& f, Transformer& m) {
  if (!f.has("kv_lora_rank")) return;
  m.latent.kv_rank = f.integer("kv_lora_rank");
  m.latent.query_rank = f.integer_or("q_lora_rank", 0);
  m.latent.rope_size = f.integer("qk_rope_head_dim");
  m.latent.value_size = f.integer("v_head_dim");
  m.head_size = f.integer("qk_nope_head_dim");
  f.pass({"head_dim", "qk_head_dim"});
}

std::int64_t head_size(const Transformer& m) {
  return m.heads > 0 ? m.hidden / m.heads : 0;
}

/// 4 x hidden; -1, which problems() refuses, where that is no number.
std::int64_t four_times(std::int64_t hidden) {
  std::int64_t out = 0;
  return __builtin_mul_overflow(hidden, std::int64_t{4}, &out) ? -1 : out;
}

std::int64_t read_gpt2(Section& f, Transformer& m) {
  m.layers = f.integer({"n_layer", "num_hidden_layers"});
  m.hidden = f.integer({"n_embd", "hidden_size"});
  m.heads = f.integer({"n_head", "num_attention_heads"});
  m.kv_heads = m.heads;
  m.head_size = head_size(m);
  m.mlp = f.integer_or("n_inner", four_times(m.hidden));
  m.positions = f.integer({"n_positions", "max_position_embeddings"});
  m.tied_head = f.flag_or("tie_word_embeddings", true);
  m.biases = true;
  m.norm = Norm::layer_norm;
  if (f.flag_or("add_cross_attention", false)) f.expected("add_cross_attention", "false");
  f.pass({"n_ctx"});
  return m.positions;
}

std::int64_t read_neox(Section& f, Transformer& m) {
  m.layers = f.integer("num_hidden_layers");
  m.hidden = f.integer("hidden_size");
  m.heads = f.integer("num_attention_heads");
  m.kv_heads = m.heads;
  m.head_size = head_size(m);
  m.mlp = f.integer("intermediate_size");
  m.tied_head = f.flag_or("tie_word_embeddings", false);
  m.biases = true;
  m.norm = Norm::layer_norm;
  if (!f.flag_or("attention_bias", true)) f.expected("attention_bias", "true");
  return f.integer_or("max_position_embeddings", 0);
}

std::int64_t read_llama(Section& f, Transformer& m) {
  m.gated_mlp = true;
  m.layers = f.integer("num_hidden_layers");
  m.hidden = f.integer("hidden_size");
  m.heads = f.integer("num_attention_heads");
  m.kv_heads = f.integer_or("num_key_value_heads", m.heads);
  m.head_size = f.integer_or("head_dim", head_size(m));
  m.mlp = f.integer("intermediate_size");
  m.tied_head = f.flag_or("tie_word_embeddings", false);
  m.biases = f.flag_or("mlp_bias", m.name == "gpt_oss");
  m.qkv_biases = f.flag_or("attention_bias", m.name == "qwen2");
  m.qk_norm = m.name.starts_with("qwen3");
  read_experts(f, m);
  read_latent(f, m);
  return f.integer_or("max_position_embeddings", 0);
}

/// Probabilities of dropout are part of a strategy here, as are the types of parameters.
void note_dropout(Section& f, Description& out) {
  for (const char* name : {"resid_pdrop", "embd_pdrop", "attn_pdrop", "hidden_dropout",
                           "attention_dropout", "classifier_dropout"}) {
    if (!f.has(name)) continue;
    if (f.real_or(name, 0) == 0) continue;
    out.assumptions.push_back(
        fmt::format("{}: training without dropout is assumed", f.place(name)));
  }
}

}  // namespace

Description read_huggingface(const std::string& text, const std::string& file) {
  const Document source = json_document(text, file);
  std::vector<std::string> problems;
  Section f(source, problems);
  NamedTransformer named;
  named.model.name = type_of(f, file);
  Transformer& m = named.model;
  m.vocabulary = f.integer("vocab_size");
  if (m.name == "gpt2") {
    named.sequence = read_gpt2(f, m);
  } else if (m.name == "gpt_neox") {
    named.sequence = read_neox(f, m);
  } else {
    named.sequence = read_llama(f, m);
  }
  named.about = file;
  Description out{.file = file, .format = DescriptionFormat::huggingface};
  note_dropout(f, out);
  require_none(problems);
  out.model = std::move(named);
  out.ignored = f.unread();
  return out;
}

NamedTransformer transformer_from_huggingface(const std::string& text, const std::string& file) {
  return *read_huggingface(text, file).model;
}

}  // namespace tidemark
