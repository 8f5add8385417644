#include "sim/transformer.h"

namespace tidemark {
namespace {

std::int64_t norm_parameters(const Transformer& m, std::int64_t width) {
  return m.norm == Norm::layer_norm ? 2 * width : width;
}

/// Queries, keys, values and the way back, without norms of the layer.
Parameters grouped_attention(const Transformer& m) {
  const std::int64_t q = m.heads * m.head_size;
  const std::int64_t kv = m.kv_heads * m.head_size;
  Parameters p{.tensor = m.hidden * (q + 2 * kv) + q * m.hidden};
  if (m.biases || m.qkv_biases) p.tensor += q + 2 * kv;
  if (m.biases) p.replicated += m.hidden;
  if (m.qk_norm) p.replicated += 2 * norm_parameters(m, m.head_size);
  return p;
}

/// The two compressions are whole on every rank, as Megatron and torchtitan keep them.
Parameters latent_attention(const Transformer& m) {
  const LatentAttention& l = m.latent;
  const std::int64_t q = m.heads * (m.head_size + l.rope_size);
  Parameters p;
  if (l.query_rank > 0) {
    p.replicated += m.hidden * l.query_rank + norm_parameters(m, l.query_rank);
    p.tensor += l.query_rank * q;
  } else {
    p.tensor += m.hidden * q;
  }
  p.replicated += m.hidden * (l.kv_rank + l.rope_size) + norm_parameters(m, l.kv_rank);
  p.tensor += l.kv_rank * m.heads * (m.head_size + l.value_size);
  p.tensor += m.heads * l.value_size * m.hidden;
  return p;
}

Parameters mlp_parameters(const Transformer& m, std::int64_t width) {
  const std::int64_t inputs = m.gated_mlp ? 2 : 1;
  Parameters p{.tensor = (inputs + 1) * m.hidden * width};
  if (m.biases) {
    p.tensor += inputs * width;
    p.replicated += m.hidden;
  }
  return p;
}

Transformer llama(std::string name, std::int64_t layers, std::int64_t hidden, std::int64_t heads,
                  std::int64_t kv_heads, std::int64_t mlp, std::int64_t vocabulary) {
  return {.name = std::move(name),
          .layers = layers,
          .hidden = hidden,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_size = hidden / heads,
          .mlp = mlp,
          .vocabulary = vocabulary,
          .gated_mlp = true};
}

Transformer gpt(std::string name, std::int64_t layers, std::int64_t hidden, std::int64_t heads) {
  return {.name = std::move(name),
          .layers = layers,
          .hidden = hidden,
          .heads = heads,
          .kv_heads = heads,
          .head_size = hidden / heads,
          .mlp = 4 * hidden,
          .vocabulary = 51200,
          .positions = 2048,
          .biases = true,
          .tied_head = true,
          .norm = Norm::layer_norm};
}

std::vector<NamedTransformer> make_transformers() {
  const std::string megatron = "Korthikanti et al. 2022, table 3";
  const std::string llama3 = "Llama 3 (Grattafiori et al. 2024, table 3)";
  Transformer llama32_3b = llama("llama3.2-3b", 28, 3072, 24, 8, 8192, 128256);
  llama32_3b.tied_head = true;
  Transformer qwen3_8b = llama("qwen3-8b", 36, 4096, 32, 8, 12288, 151936);
  qwen3_8b.qk_norm = true;
  Transformer qwen3_30b = llama("qwen3-30b-a3b", 48, 2048, 32, 4, 6144, 151936);
  qwen3_30b.head_size = 128;
  qwen3_30b.qk_norm = true;
  qwen3_30b.experts = {.count = 128, .per_token = 8, .width = 768};
  Transformer gpt_oss = llama("gpt-oss-120b", 36, 2880, 64, 8, 2880, 201088);
  gpt_oss.head_size = 64;
  gpt_oss.biases = true;
  gpt_oss.experts = {.count = 128, .per_token = 4, .width = 2880};
  Transformer moonlight = llama("moonlight-16b", 27, 2048, 16, 16, 11264, 163840);
  moonlight.experts = {
      .count = 64, .per_token = 6, .width = 1408, .shared_width = 2816, .dense_layers = 1};
  moonlight.latent = {.kv_rank = 512, .rope_size = 64, .value_size = 128};
  return {{gpt("megatron-22b", 48, 6144, 64), 2048, megatron},
          {gpt("gpt3-175b", 96, 12288, 96), 2048, megatron},
          {gpt("turing-530b", 105, 20480, 128), 2048, megatron},
          {gpt("megatron-1t", 128, 25600, 160), 2048, megatron},
          {llama("llama3-8b", 32, 4096, 32, 8, 14336, 128256), 8192, llama3},
          {llama("llama3-70b", 80, 8192, 64, 8, 28672, 128256), 8192, llama3},
          {llama("llama3-405b", 126, 16384, 128, 8, 53248, 128256), 8192, llama3},
          {llama32_3b, 8192, "config.json of Llama-3.2-3B"},
          {qwen3_8b, 4096, "config.json of Qwen3-8B"},
          {qwen3_30b, 4096, "config.json of Qwen3-30B-A3B"},
          {gpt_oss, 4096, "config.json of gpt-oss-120b"},
          {moonlight, 8192, "config.json of Moonlight-16B-A3B"}};
}

}  // namespace

Parameters& Parameters::operator+=(const Parameters& more) {
  tensor += more.tensor;
  replicated += more.replicated;
  expert += more.expert;
  return *this;
}

Parameters layer_parameters(const Transformer& m, bool dense) {
  Parameters p = m.latent.kv_rank > 0 ? latent_attention(m) : grouped_attention(m);
  p.replicated += 2 * norm_parameters(m, m.hidden);
  if (dense) {
    p += mlp_parameters(m, m.mlp);
    return p;
  }
  const Parameters expert = mlp_parameters(m, m.experts.width);
  p.expert += m.experts.count * expert.total();
  p.replicated += m.experts.count * m.hidden;  // the router
  if (m.experts.shared_width > 0) p += mlp_parameters(m, m.experts.shared_width);
  return p;
}

Parameters embedding_parameters(const Transformer& m) {
  return {.tensor = m.vocabulary * m.hidden, .replicated = m.positions * m.hidden};
}

Parameters head_parameters(const Transformer& m) {
  return {.tensor = m.vocabulary * m.hidden};
}

Parameters final_norm_parameters(const Transformer& m) {
  return {.replicated = norm_parameters(m, m.hidden)};
}

bool is_dense(const Transformer& m, std::int64_t index) {
  return m.experts.count == 0 || index < m.experts.dense_layers;
}

std::int64_t parameter_count(const Transformer& m) {
  std::int64_t count = embedding_parameters(m).total() + final_norm_parameters(m).total();
  if (!m.tied_head) count += head_parameters(m).total();
  const std::int64_t dense = m.experts.count == 0 ? m.layers : m.experts.dense_layers;
  return count + dense * layer_parameters(m, true).total() +
         (m.layers - dense) * (dense == m.layers ? 0 : layer_parameters(m, false).total());
}

const std::vector<NamedTransformer>& named_transformers() {
  static const std::vector<NamedTransformer> table = make_transformers();
  return table;
}

const NamedTransformer* find_transformer(std::string_view name) {
  for (const NamedTransformer& named : named_transformers()) {
    if (named.model.name == name) return &named;
  }
  return nullptr;
}

}  // namespace tidemark
