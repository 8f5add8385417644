#include "sim/trained_transformer.h"

namespace tidemark {
namespace {

Transformer gpt2(const std::string& name, const Gpt2Config& c) {
  return {.name = name,
          .layers = c.layers,
          .hidden = c.channels,
          .heads = c.heads,
          .kv_heads = c.heads,
          .head_size = c.channels / c.heads,
          .mlp = 4 * c.channels,
          .vocabulary = c.vocabulary,
          .positions = c.positions,
          .biases = true,
          .tied_head = true,
          .norm = Norm::layer_norm};
}

Transformer llama(const std::string& name, const LlamaConfig& c) {
  return {.name = name,
          .layers = c.layers,
          .hidden = c.channels,
          .heads = c.heads,
          .kv_heads = c.kv_heads,
          .head_size = c.channels / c.heads,
          .mlp = c.hidden,
          .vocabulary = c.vocabulary,
          .gated_mlp = true,
          .norm = Norm::rms_norm,
          .experts = {.count = c.experts,
                      .per_token = c.experts > 0 ? c.experts_per_token : 0,
                      .width = c.experts > 0 ? c.hidden : 0}};
}

}  // namespace

std::optional<NamedTransformer> trained_transformer(const RunConfig& config) {
  if (!config.model.is_decoder()) return std::nullopt;
  const ModelConfig& m = config.model;
  return NamedTransformer{
      .model = m.family == ModelFamily::gpt2 ? gpt2(m.name, m.gpt2) : llama(m.name, m.llama),
      .sequence = config.sequence,
      .about = "a model of the reference trainer"};
}

}  // namespace tidemark
