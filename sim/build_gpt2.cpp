#include "sim/build_gpt2.h"

#include <algorithm>
#include <cmath>

#include "sim/decoder_parts.h"
#include "sim/model_parts.h"
#include "sim/op_table.h"

// B batch, T tokens, C channels, H heads, V vocabulary, S tokens that a cache can hold.

namespace tidemark {
namespace {

/// What it makes is read by linear layers only.
struct LayerNorm {
  LayerId layer;
  std::string name;
  Parameter w, b;
  BufferId x, mean, inverse_deviation;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const Shape shape = p.shape_of(x);
    const BufferId y = p.value(name + ".y", Category::activation, shape, p.factor_type());
    const std::int64_t rows = shape[0] * shape[1];
    mean = p.value(name + ".mean", Category::activation, {rows});
    inverse_deviation = p.value(name + ".inverse_deviation", Category::activation, {rows});
    p.run(OpKind::layer_norm_forward, name + ".forward",
          {{"x", x},
           {"w", w.weight},
           {"b", b.weight},
           {"y", y},
           {"mean", mean},
           {"inverse_deviation", inverse_deviation}},
          {real("epsilon", 1e-5)});
    return y;
  }

  /// `residual` is the gradient that reaches x past this layer; none = invalid.
  BufferId backward(ProgramBuilder& p, BufferId dy, BufferId residual) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(x));
    std::vector<Use> uses{{"dy", dy},
                          {"x", x},
                          {"w", w.weight},
                          {"mean", mean},
                          {"inverse_deviation", inverse_deviation}};
    if (residual.valid()) uses.push_back({"residual", residual});
    uses.insert(uses.end(), {{"dx", dx}, {"dw", w.gradient}, {"db", b.gradient}});
    p.run(OpKind::layer_norm_backward, name + ".backward", uses);
    return dx;
  }
};

LayerNorm make_layer_norm(ProgramBuilder& p, const std::string& name, std::int64_t channels) {
  LayerNorm n{.layer = p.layer(name, "layer_norm"),
              .name = name,
              .w = {},
              .b = {},
              .x = {},
              .mean = {},
              .inverse_deviation = {}};
  n.w = p.parameter(n.layer, name + ".w", {channels}, 0, 1);
  n.b = p.parameter(n.layer, name + ".b", {channels}, 0, 0);
  return n;
}

struct Block {
  LayerNorm norm1;
  Linear qkv;
  Attention attention;
  Linear projection;
  Dropout dropout1;
  LayerId add1;
  LayerNorm norm2;
  Linear expand;
  ActivationLayer gelu;
  Linear contract;
  Dropout dropout2;
  LayerId add2;

  /// `position`: of the first token, with a cache.
  BufferId forward(ProgramBuilder& p, BufferId x, const Attribute* position = nullptr) {
    BufferId h = qkv.forward(p, norm1.forward(p, x));
    h = position == nullptr ? attention.forward(p, h) : attention.cached_forward(p, h, *position);
    h = dropout1.forward(p, projection.forward(p, h));
    x = add_residual(p, add1, x, h);
    h = contract.forward(p, gelu.forward(p, expand.forward(p, norm2.forward(p, x))));
    h = dropout2.forward(p, h);
    return add_residual(p, add2, x, h);
  }

  /// dy is the gradient of the block's output; returns that of its input.
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    BufferId d = contract.backward(p, dropout2.backward(p, dy));
    d = expand.backward(p, gelu.backward(p, d));
    dy = norm2.backward(p, d, dy);
    d = attention.backward(p, projection.backward(p, dropout1.backward(p, dy)));
    return norm1.backward(p, qkv.backward(p, d), dy);
  }
};

Block make_block(ProgramBuilder& p, const std::string& name, const RunConfig& config) {
  const std::int64_t c = config.model.gpt2.channels;
  constexpr double k_deviation = 0.02;  // GPT-2; residual projections are scaled by 1/sqrt(2 L)
  const double residual =
      k_deviation / std::sqrt(2.0 * static_cast<double>(config.model.gpt2.layers));
  p.group(name, "block");
  Block b{.norm1 = make_layer_norm(p, name + ".norm1", c),
          .qkv = make_linear(p, name + ".qkv", c, 3 * c, k_deviation),
          .attention = {.layer = p.layer(name + ".attention", "attention"),
                        .name = name + ".attention",
                        .heads = config.model.gpt2.heads,
                        .lowering = config.attention,
                        .dropout = config.attention_dropout},
          .projection = make_linear(p, name + ".projection", c, c, residual),
          .dropout1 = make_dropout(p, name + ".dropout1", config.dropout),
          .add1 = p.layer(name + ".add1", "add"),
          .norm2 = make_layer_norm(p, name + ".norm2", c),
          .expand = make_linear(p, name + ".expand", c, 4 * c, k_deviation),
          .gelu = make_activation(p, name + ".gelu", Activation::gelu),
          .contract = make_linear(p, name + ".contract", 4 * c, c, residual),
          .dropout2 = make_dropout(p, name + ".dropout2", config.dropout),
          .add2 = p.layer(name + ".add2", "add")};
  b.gelu.between_linears = true;
  p.end_group();
  return b;
}

/// All layers, without a pass through them.
struct Gpt2 {
  LayerId input, embedding;
  Parameter wte, wpe;
  Dropout dropout;
  std::vector<Block> blocks;
  LayerNorm norm;
  LayerId head;
  BufferId head_x{};

  /// From tokens [B,T] to the output of the last block [B,T,C].
  BufferId trunk(ProgramBuilder& p, BufferId tokens, const Attribute* position = nullptr) {
    p.at(embedding, Phase::forward);
    Shape shape = p.shape_of(tokens);
    shape.push_back(p.shape_of(wte.weight)[1]);
    BufferId x = p.value("embedding.y", Category::activation, shape);
    p.run(OpKind::embedding_forward, "embedding.forward",
          {{"tokens", tokens}, {"wte", wte.weight}, {"wpe", wpe.weight}, {"y", x}},
          position == nullptr ? std::vector<Attribute>{} : std::vector{*position});
    x = dropout.forward(p, x);
    for (Block& block : blocks) x = block.forward(p, x, position);
    return x;
  }

  /// logits = norm(x) wte^T with the weights of the embedding (tied).
  BufferId logits(ProgramBuilder& p, BufferId x) {
    head_x = norm.forward(p, x);
    p.at(head, Phase::forward);
    Shape shape = p.shape_of(x);
    shape.back() = p.shape_of(wte.weight)[0];
    const BufferId y = p.value("head.logits", Category::activation, shape);
    p.run(OpKind::linear_forward, "head.forward", {{"x", head_x}, {"w", wte.weight}, {"y", y}});
    return y;
  }

  void backward(ProgramBuilder& p, BufferId dlogits, BufferId tokens) const {
    BufferId dy = norm.backward(p, head_backward(p, dlogits), BufferId{});
    for (std::size_t i = blocks.size(); i-- > 0;) dy = blocks[i].backward(p, dy);
    dy = dropout.backward(p, dy);
    p.at(embedding, Phase::backward);
    p.run(OpKind::embedding_backward, "embedding.backward",
          {{"dy", dy}, {"tokens", tokens}, {"dwte", wte.gradient}, {"dwpe", wpe.gradient}});
  }

 private:
  BufferId head_backward(ProgramBuilder& p, BufferId dlogits) const {
    p.at(head, Phase::backward);
    std::vector<Use> uses{{"dy", dlogits}, {"x", head_x}, {"dw", wte.gradient}};
    const BufferId factor = p.factor_of("head", dlogits);
    if (factor != dlogits) uses.emplace_back("bf16_dy", factor);
    p.run(OpKind::linear_backward_weight, "head.backward_weight", uses);
    const BufferId dx = p.value("head.dx", Category::temporary, p.shape_of(head_x));
    p.run(OpKind::linear_backward_data, "head.backward_data",
          {{"dy", factor}, {"w", wte.weight}, {"dx", dx}});
    return dx;
  }
};

Gpt2 make_gpt2(ProgramBuilder& p, const RunConfig& config) {
  const Gpt2Config& g = config.model.gpt2;
  Gpt2 m;
  m.input = p.layer("input", "input");
  m.embedding = p.layer("embedding", "embedding");
  m.wte = p.parameter(m.embedding, "embedding.wte", {g.vocabulary, g.channels}, 0.02, 0);
  m.wpe = p.parameter(m.embedding, "embedding.wpe", {g.positions, g.channels}, 0.01, 0);
  m.dropout = make_dropout(p, "dropout", config.dropout);
  for (std::int64_t i = 0; i < g.layers; ++i) {
    m.blocks.push_back(make_block(p, "block" + std::to_string(i), config));
  }
  m.norm = make_layer_norm(p, "norm", g.channels);
  m.head = p.layer("head", "linear");
  return m;
}

void make_caches(ProgramBuilder& p, Gpt2& m, const RunConfig& config) {
  const Shape shape{config.batch, config.sequence, config.model.gpt2.channels};
  for (Block& block : m.blocks) {
    Attention& a = block.attention;
    a.cache.keys = p.persistent(a.layer, a.name + ".keys", Category::kv_cache, shape, 0.0);
    a.cache.values = p.persistent(a.layer, a.name + ".values", Category::kv_cache, shape, 0.0);
  }
}

/// The most likely token behind the last one of x [B,T,C] goes to `next` [B,1].
void add_next_token(ProgramBuilder& p, Gpt2& m, BufferId x, BufferId next) {
  Shape shape = p.shape_of(x);
  if (shape[1] > 1) {
    shape[1] = 1;
    p.at(m.head, Phase::forward);
    const BufferId last = p.value("head.last_x", Category::activation, shape);
    p.run(OpKind::last_token, "head.last", {{"x", x}, {"y", last}});
    x = last;
  }
  const BufferId logits = m.logits(p, x);
  p.run(OpKind::most_likely, "head.choose", {{"logits", logits}, {"tokens", next}});
}

}  // namespace

void build_gpt2(ProgramBuilder& p, const RunConfig& config) {
  Gpt2 m = make_gpt2(p, config);
  const LayerId loss = p.layer("loss", "softmax_cross_entropy");
  const Shape grid{config.batch / config.accumulation, config.sequence};
  write_passes(
      p, config, {m.input, loss, grid, grid[0] * grid[1]},
      [&](BufferId tokens) { return m.logits(p, m.trunk(p, tokens)); },
      [&](BufferId dlogits, BufferId tokens) { m.backward(p, dlogits, tokens); });
}

void build_gpt2_inference(ProgramBuilder& p, const RunConfig& config) {
  Gpt2 m = make_gpt2(p, config);
  make_caches(p, m, config);
  const BufferId next =
      p.persistent(m.input, "input.next", Category::input, {config.batch, 1}, DType::i32);

  p.begin({.section = Pass::Section::init, .forward = Phase::inference, .ending = "@prompt"});
  p.at(m.input, Phase::forward);
  const BufferId prompt =
      p.value("input.tokens", Category::input, {config.batch, config.prompt}, DType::i32);
  p.run(OpKind::load_batch, "input.load", {{"x", prompt}}, {integer("cursor", 0)});
  const Attribute begin = integer("position", 0);
  add_next_token(p, m, m.trunk(p, prompt, &begin), next);

  p.begin({.section = Pass::Section::body, .forward = Phase::inference});
  const Attribute behind = per_step("position", config.prompt, 1);
  add_next_token(p, m, m.trunk(p, next, &behind), next);
}

}  // namespace tidemark
