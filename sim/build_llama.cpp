#include "sim/build_llama.h"

#include <cmath>

#include "sim/decoder_parts.h"
#include "sim/feed_forward.h"
#include "sim/model_parts.h"

// B batch, T tokens, C channels, H heads, G heads of keys and values, D = C / H.

namespace tidemark {
namespace {

/// What it makes is read by linear layers only, or taken to experts as it is.
struct RmsNorm {
  LayerId layer;
  std::string name;
  double epsilon = 0;
  Parameter w{};
  BufferId x{}, inverse_rms{};

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const Shape shape = p.shape_of(x);
    const BufferId y = p.value(name + ".y", Category::activation, shape, p.factor_type());
    inverse_rms = p.value(name + ".inverse_rms", Category::activation, {shape[0] * shape[1]});
    p.run(OpKind::rms_norm_forward, name + ".forward",
          {{"x", x}, {"w", w.weight}, {"y", y}, {"inverse_rms", inverse_rms}},
          {real("epsilon", epsilon)});
    return y;
  }

  /// `residual` is the gradient that reaches x past this layer; none = invalid.
  BufferId backward(ProgramBuilder& p, BufferId dy, BufferId residual) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(x));
    std::vector<Use> uses{{"dy", dy}, {"x", x}, {"w", w.weight}, {"inverse_rms", inverse_rms}};
    if (residual.valid()) uses.emplace_back("residual", residual);
    uses.insert(uses.end(), {{"dx", dx}, {"dw", w.gradient}});
    p.run(OpKind::rms_norm_backward, name + ".backward", uses);
    return dx;
  }
};

RmsNorm make_rms_norm(ProgramBuilder& p, const std::string& name, const LlamaConfig& m) {
  RmsNorm n{.layer = p.layer(name, "rms_norm"), .name = name, .epsilon = m.epsilon};
  n.w = p.parameter(n.layer, name + ".w", {m.channels}, 0, 1);
  return n;
}

/// [B,T,(H+2G)D] to [B,T,3C]: what attention takes.
struct Rotary {
  LayerId layer;
  std::string name;
  std::int64_t heads = 1, kv_heads = 1, channels = 0;
  double base = 0;

  BufferId forward(ProgramBuilder& p, BufferId x) const {
    p.at(layer, Phase::forward);
    Shape shape = p.shape_of(x);
    shape.back() = 3 * channels;
    const BufferId y = p.value(name + ".y", Category::activation, shape);
    p.run(OpKind::rotary_forward, name + ".forward", {{"x", x}, {"y", y}}, attributes());
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    Shape shape = p.shape_of(dy);
    shape.back() = channels / heads * (heads + 2 * kv_heads);
    const BufferId dx = p.value(name + ".dx", Category::temporary, shape);
    p.run(OpKind::rotary_backward, name + ".backward", {{"dy", dy}, {"dx", dx}}, attributes());
    return dx;
  }

 private:
  [[nodiscard]] std::vector<Attribute> attributes() const {
    return {integer("heads", heads), integer("kv_heads", kv_heads), real("base", base)};
  }
};

struct Block {
  RmsNorm norm1;
  Linear qkv;
  Rotary rotary;
  Attention attention;
  Linear projection;
  Dropout dropout1;
  LayerId add1;
  RmsNorm norm2;
  FeedForward feed_forward;
  Dropout dropout2;
  LayerId add2;

  BufferId forward(ProgramBuilder& p, BufferId x) {
    BufferId h = rotary.forward(p, qkv.forward(p, norm1.forward(p, x)));
    h = dropout1.forward(p, projection.forward(p, attention.forward(p, h)));
    x = add_residual(p, add1, x, h);
    h = feed_forward.forward(p, norm2.forward(p, x));
    return add_residual(p, add2, x, dropout2.forward(p, h));
  }

  /// dy is the gradient of the block's output; returns that of its input.
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    BufferId d = feed_forward.backward(p, dropout2.backward(p, dy));
    dy = norm2.backward(p, d, dy);
    d = attention.backward(p, projection.backward(p, dropout1.backward(p, dy)));
    return norm1.backward(p, qkv.backward(p, rotary.backward(p, d)), dy);
  }
};

constexpr double k_deviation = 0.02;  // of initial weights
constexpr bool k_no_bias = false;

Block make_block(ProgramBuilder& p, const std::string& name, const RunConfig& config) {
  const LlamaConfig& m = config.model.llama;
  const std::int64_t c = m.channels;
  const std::int64_t qkv = c / m.heads * (m.heads + 2 * m.kv_heads);
  // Residual projections are scaled by 1/sqrt(2 L), as in GPT-2.
  const double residual = k_deviation / std::sqrt(2.0 * static_cast<double>(m.layers));
  p.group(name, "block");
  Block b{.norm1 = make_rms_norm(p, name + ".norm1", m),
          .qkv = make_linear(p, name + ".qkv", c, qkv, k_deviation, k_no_bias),
          .rotary = {.layer = p.layer(name + ".rotary", "rotary"),
                     .name = name + ".rotary",
                     .heads = m.heads,
                     .kv_heads = m.kv_heads,
                     .channels = c,
                     .base = m.rotary_base},
          .attention = {.layer = p.layer(name + ".attention", "attention"),
                        .name = name + ".attention",
                        .heads = m.heads,
                        .lowering = config.attention,
                        .dropout = config.attention_dropout},
          .projection = make_linear(p, name + ".projection", c, c, residual, k_no_bias),
          .dropout1 = make_dropout(p, name + ".dropout1", config.dropout),
          .add1 = p.layer(name + ".add1", "add"),
          .norm2 = make_rms_norm(p, name + ".norm2", m),
          .feed_forward =
              make_feed_forward(p, name, m,
                                {.tokens = config.batch / config.accumulation * config.sequence,
                                 .micro_batches = config.accumulation,
                                 .deviation = k_deviation,
                                 .down_deviation = residual}),
          .dropout2 = make_dropout(p, name + ".dropout2", config.dropout),
          .add2 = p.layer(name + ".add2", "add")};
  p.end_group();
  return b;
}

struct Llama {
  LayerId input, embedding;
  Parameter table;
  Dropout dropout;
  std::vector<Block> blocks;
  RmsNorm norm;
  Linear head;

  BufferId forward(ProgramBuilder& p, BufferId tokens) {
    p.at(embedding, Phase::forward);
    Shape shape = p.shape_of(tokens);
    shape.push_back(p.shape_of(table.weight)[1]);
    BufferId x = p.value("embedding.y", Category::activation, shape);
    p.run(OpKind::token_embedding_forward, "embedding.forward",
          {{"tokens", tokens}, {"w", table.weight}, {"y", x}});
    x = dropout.forward(p, x);
    for (Block& block : blocks) x = block.forward(p, x);
    return head.forward(p, norm.forward(p, x));
  }

  void backward(ProgramBuilder& p, BufferId dlogits, BufferId tokens) const {
    BufferId dy = norm.backward(p, head.backward(p, dlogits), BufferId{});
    for (std::size_t i = blocks.size(); i-- > 0;) dy = blocks[i].backward(p, dy);
    dy = dropout.backward(p, dy);
    p.at(embedding, Phase::backward);
    p.run(OpKind::token_embedding_backward, "embedding.backward",
          {{"dy", dy}, {"tokens", tokens}, {"dw", table.gradient}});
  }
};

Llama make_llama(ProgramBuilder& p, const RunConfig& config) {
  const LlamaConfig& m = config.model.llama;
  Llama l{.input = p.layer("input", "input"),
          .embedding = p.layer("embedding", "embedding"),
          .table = {},
          .dropout = {},
          .blocks = {},
          .norm = {},
          .head = {}};
  l.table = p.parameter(l.embedding, "embedding.w", {m.vocabulary, m.channels}, k_deviation, 0);
  l.dropout = make_dropout(p, "dropout", config.dropout);
  for (std::int64_t i = 0; i < m.layers; ++i) {
    l.blocks.push_back(make_block(p, "block" + std::to_string(i), config));
  }
  l.norm = make_rms_norm(p, "norm", m);
  l.head = make_linear(p, "head", m.channels, m.vocabulary, k_deviation, k_no_bias);
  return l;
}

}  // namespace

void build_llama(ProgramBuilder& p, const RunConfig& config) {
  Llama m = make_llama(p, config);
  const LayerId loss = p.layer("loss", "softmax_cross_entropy");
  const Shape grid{config.batch / config.accumulation, config.sequence};
  write_passes(
      p, config, {m.input, loss, grid, grid[0] * grid[1]},
      [&](BufferId tokens) { return m.forward(p, tokens); },
      [&](BufferId dlogits, BufferId tokens) { m.backward(p, dlogits, tokens); });
}

}  // namespace tidemark
