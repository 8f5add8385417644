#include "sim/builder.h"

#include <algorithm>
#include <cmath>

#include "sim/build_image.h"
#include "sim/lifetimes.h"
#include "sim/model_parts.h"
#include "sim/op_table.h"
#include "sim/program_builder.h"

namespace tidemark {
namespace {

/// Scales all gradients down to a common norm of at most `max_norm`.
void add_clipping(ProgramBuilder& p, double max_norm) {
  const LayerId layer = p.layer("clip", "clip");
  p.at(layer, Phase::optimizer);
  const BufferId sum = p.value("clip.sum", Category::temporary, {1});
  const BufferId factor = p.value("clip.factor", Category::temporary, {1});
  for (const Parameter& w : p.parameters()) {
    p.run(OpKind::sum_of_squares, p.name_of(w.weight) + ".norm", {{"x", w.gradient}, {"sum", sum}});
  }
  p.run(OpKind::clip_factor, "clip.factor", {{"sum", sum}, {"factor", factor}},
        {real("max_norm", max_norm)});
  for (const Parameter& w : p.parameters()) {
    p.at(p.layer_of(w.weight), Phase::optimizer);
    p.run(OpKind::scale_by, p.name_of(w.weight) + ".clip", {{"x", w.gradient}, {"factor", factor}});
  }
}

void add_update(ProgramBuilder& p, const OptimizerConfig& o, const Parameter& w) {
  const std::string name = p.name_of(w.weight) + ".update";
  const Attribute rate = real("learning_rate", o.learning_rate);
  const Attribute decay = real("weight_decay", o.weight_decay);
  p.at(p.layer_of(w.weight), Phase::optimizer);
  if (o.kind == Optimizer::sgd) {
    p.run(OpKind::sgd_update, name, {{"w", w.weight}, {"dw", w.gradient}}, {rate, decay});
    return;
  }
  if (o.kind == Optimizer::momentum) {
    const BufferId velocity = p.state(w.weight, "velocity");
    p.run(OpKind::momentum_update, name,
          {{"w", w.weight}, {"dw", w.gradient}, {"velocity", velocity}},
          {rate, real("momentum", o.momentum), decay});
    return;
  }
  const BufferId m = p.state(w.weight, "m");
  const BufferId v = p.state(w.weight, "v");
  p.run(o.kind == Optimizer::adam ? OpKind::adam_update : OpKind::adamw_update, name,
        {{"w", w.weight}, {"dw", w.gradient}, {"m", m}, {"v", v}},
        {rate, real("beta1", o.beta1), real("beta2", o.beta2), real("epsilon", o.epsilon), decay,
         per_step("t", 1, 1)});
}

/// The optimizer of every parameter, in the order of creation.
void add_optimizer(ProgramBuilder& p, const OptimizerConfig& o) {
  if (o.clip_norm > 0) add_clipping(p, o.clip_norm);
  for (const Parameter& w : p.parameters()) add_update(p, o, w);
}

// ---- the textbook network

void build_mlp(ProgramBuilder& p, const RunConfig& config) {
  const MlpConfig& m = config.model.mlp;
  const bool rectified = m.activation == Activation::relu || m.activation == Activation::gelu;
  const std::size_t count = m.widths.size() - 1;
  const std::int64_t rows = config.batch / config.accumulation;
  const LayerId input = p.layer("input", "input");
  std::vector<Linear> linears;
  std::vector<ActivationLayer> activations;
  std::vector<Dropout> dropouts;
  for (std::size_t i = 0; i < count; ++i) {
    // He et al. 2015 for rectifiers, Glorot and Bengio 2010 (fan-in form) for saturating units.
    const double deviation = std::sqrt((rectified ? 2.0 : 1.0) / static_cast<double>(m.widths[i]));
    const Shape x_shape{rows, m.widths[i]};
    linears.push_back(
        make_linear(p, "linear" + std::to_string(i), x_shape, m.widths[i + 1], deviation));
    if (i + 1 == count) break;
    const std::string name = std::string(to_string(m.activation)) + std::to_string(i);
    activations.push_back({p.layer(name, std::string(to_string(m.activation))),
                           name,
                           ops_of(m.activation),
                           {rows, m.widths[i + 1]},
                           {},
                           {}});
    dropouts.push_back(
        make_dropout(p, "dropout" + std::to_string(i), config.dropout, {rows, m.widths[i + 1]}));
  }

  const LayerId loss = p.layer("loss", "softmax_cross_entropy");
  for (std::int32_t micro = 0; micro < config.accumulation; ++micro) {
    p.micro_batch(micro);
    const Batch batch = load_batch(p, input, config, micro, {rows, m.widths[0]});
    BufferId x = batch.x;
    for (std::size_t i = 0; i < count; ++i) {
      x = linears[i].forward(p, x);
      if (i + 1 < count) x = dropouts[i].forward(p, activations[i].forward(p, x));
    }
    BufferId dy = add_loss(p, {loss, x, batch.target, rows, gradient_scale(config)});
    for (std::size_t i = count; i-- > 0;) {
      linears[i].backward_weight(p, dy);
      if (i == 0) break;
      dy = dropouts[i - 1].backward(p, linears[i].backward_data(p, dy));
      dy = activations[i - 1].backward(p, dy);
    }
  }
}

// ---- GPT-2. B batch, T tokens, C channels, H heads, V vocabulary.

struct LayerNorm {
  LayerId layer;
  std::string name;
  Parameter w, b;
  Shape shape;
  BufferId x, mean, inverse_deviation;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const BufferId y = p.value(name + ".y", Category::activation, shape);
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
    const BufferId dx = p.value(name + ".dx", Category::temporary, shape);
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

LayerNorm make_layer_norm(ProgramBuilder& p, const std::string& name, const Shape& shape) {
  LayerNorm n{.layer = p.layer(name, "layer_norm"),
              .name = name,
              .w = {},
              .b = {},
              .shape = shape,
              .x = {},
              .mean = {},
              .inverse_deviation = {}};
  n.w = p.parameter(n.layer, name + ".w", {shape.back()}, 0, 1);
  n.b = p.parameter(n.layer, name + ".b", {shape.back()}, 0, 0);
  return n;
}

struct Attention {
  LayerId layer;
  std::string name;
  Shape shape;  // [B, T, C]
  std::int64_t heads = 1;
  AttentionLowering lowering = AttentionLowering::composite;
  BufferId qkv, probabilities, y, log_sum_exp;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    qkv = input;
    p.at(layer, Phase::forward);
    if (lowering == AttentionLowering::flash) return flash_forward(p);
    probabilities = p.value(name + ".probabilities", Category::activation,
                            {shape[0], heads, shape[1], shape[1]});
    y = p.value(name + ".y", Category::activation, shape);
    p.run(OpKind::attention_forward, name + ".forward",
          {{"qkv", qkv}, {"probabilities", probabilities}, {"y", y}}, {integer("heads", heads)});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dqkv =
        p.value(name + ".dqkv", Category::temporary, {shape[0], shape[1], 3 * shape[2]});
    if (lowering == AttentionLowering::flash) return flash_backward(p, dy, dqkv);
    const BufferId workspace =
        p.value(name + ".workspace", Category::workspace, {shape[1], shape[1]});
    p.run(OpKind::attention_backward, name + ".backward",
          {{"dy", dy},
           {"qkv", qkv},
           {"probabilities", probabilities},
           {"dqkv", dqkv},
           {"workspace", workspace}},
          {integer("heads", heads)});
    return dqkv;
  }

 private:
  BufferId scores(ProgramBuilder& p, const std::string& suffix, std::int64_t count) const {
    const std::int64_t rows = std::min(k_flash_rows, shape[1]);
    return p.value(name + suffix, Category::workspace, {count, rows, shape[1]});
  }

  BufferId flash_forward(ProgramBuilder& p) {
    y = p.value(name + ".y", Category::activation, shape);
    log_sum_exp = p.value(name + ".log_sum_exp", Category::activation, {shape[0], heads, shape[1]});
    p.run(OpKind::flash_attention_forward, name + ".forward",
          {{"qkv", qkv},
           {"y", y},
           {"log_sum_exp", log_sum_exp},
           {"workspace", scores(p, ".forward_workspace", 1)}},
          {integer("heads", heads)});
    return y;
  }

  BufferId flash_backward(ProgramBuilder& p, BufferId dy, BufferId dqkv) const {
    p.run(OpKind::flash_attention_backward, name + ".backward",
          {{"dy", dy},
           {"qkv", qkv},
           {"y", y},
           {"log_sum_exp", log_sum_exp},
           {"dqkv", dqkv},
           {"workspace", scores(p, ".workspace", 2)}},
          {integer("heads", heads)});
    return dqkv;
  }
};

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
  std::string name;
  Shape shape;

  BufferId add(ProgramBuilder& p, LayerId layer, BufferId a, BufferId b) const {
    const std::string add_name = p.name_of(layer);
    p.at(layer, Phase::forward);
    const BufferId y = p.value(add_name + ".y", Category::activation, shape);
    p.run(OpKind::add, add_name + ".forward", {{"a", a}, {"b", b}, {"y", y}});
    return y;
  }

  BufferId forward(ProgramBuilder& p, BufferId x) {
    BufferId h = qkv.forward(p, norm1.forward(p, x));
    h = dropout1.forward(p, projection.forward(p, attention.forward(p, h)));
    x = add(p, add1, x, h);
    h = contract.forward(p, gelu.forward(p, expand.forward(p, norm2.forward(p, x))));
    h = dropout2.forward(p, h);
    return add(p, add2, x, h);
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

Block make_block(ProgramBuilder& p, const std::string& name, const RunConfig& config,
                 const Shape& shape) {
  const Gpt2Config& g = config.model.gpt2;
  constexpr double k_deviation = 0.02;  // GPT-2; residual projections are scaled by 1/sqrt(2 L)
  const double residual = k_deviation / std::sqrt(2.0 * static_cast<double>(g.layers));
  p.group(name, "block");
  Shape wide = shape;
  wide.back() = 4 * g.channels;
  Block b{
      .norm1 = make_layer_norm(p, name + ".norm1", shape),
      .qkv = make_linear(p, name + ".qkv", shape, 3 * g.channels, k_deviation),
      .attention = {p.layer(name + ".attention", "attention"),
                    name + ".attention",
                    shape,
                    g.heads,
                    config.attention,
                    {},
                    {},
                    {},
                    {}},
      .projection = make_linear(p, name + ".projection", shape, g.channels, residual),
      .dropout1 = make_dropout(p, name + ".dropout1", config.dropout, shape),
      .add1 = p.layer(name + ".add1", "add"),
      .norm2 = make_layer_norm(p, name + ".norm2", shape),
      .expand = make_linear(p, name + ".expand", shape, 4 * g.channels, k_deviation),
      .gelu =
          {p.layer(name + ".gelu", "gelu"), name + ".gelu", ops_of(Activation::gelu), wide, {}, {}},
      .contract = make_linear(p, name + ".contract", wide, g.channels, residual),
      .dropout2 = make_dropout(p, name + ".dropout2", config.dropout, shape),
      .add2 = p.layer(name + ".add2", "add"),
      .name = name,
      .shape = shape};
  p.end_group();
  return b;
}

struct Gpt2Head {
  LayerId layer;
  Parameter wte;
  BufferId x;
};

/// logits = x wte^T with the weights of the embedding (tied).
BufferId head_forward(ProgramBuilder& p, const Gpt2Head& head, const Shape& logits_shape) {
  p.at(head.layer, Phase::forward);
  const BufferId logits = p.value("head.logits", Category::activation, logits_shape);
  p.run(OpKind::linear_forward, "head.forward",
        {{"x", head.x}, {"w", head.wte.weight}, {"y", logits}});
  return logits;
}

BufferId head_backward(ProgramBuilder& p, const Gpt2Head& head, BufferId dlogits,
                       const Shape& shape) {
  p.at(head.layer, Phase::backward);
  p.run(OpKind::linear_backward_weight, "head.backward_weight",
        {{"dy", dlogits}, {"x", head.x}, {"dw", head.wte.gradient}});
  const BufferId dx = p.value("head.dx", Category::temporary, shape);
  p.run(OpKind::linear_backward_data, "head.backward_data",
        {{"dy", dlogits}, {"w", head.wte.weight}, {"dx", dx}});
  return dx;
}

void build_gpt2(ProgramBuilder& p, const RunConfig& config) {
  const Gpt2Config& g = config.model.gpt2;
  const std::int64_t sequences = config.batch / config.accumulation;
  const Shape grid{sequences, config.sequence};
  const Shape shape{sequences, config.sequence, g.channels};
  const LayerId input = p.layer("input", "input");
  const LayerId embedding = p.layer("embedding", "embedding");
  const Parameter wte =
      p.parameter(embedding, "embedding.wte", {g.vocabulary, g.channels}, 0.02, 0);
  const Parameter wpe = p.parameter(embedding, "embedding.wpe", {g.positions, g.channels}, 0.01, 0);
  Dropout dropout = make_dropout(p, "dropout", config.dropout, shape);
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < g.layers; ++i) {
    blocks.push_back(make_block(p, "block" + std::to_string(i), config, shape));
  }
  LayerNorm norm = make_layer_norm(p, "norm", shape);
  Gpt2Head head{p.layer("head", "linear"), wte, {}};

  const LayerId loss = p.layer("loss", "softmax_cross_entropy");
  for (std::int32_t micro = 0; micro < config.accumulation; ++micro) {
    p.micro_batch(micro);
    const Batch batch = load_batch(p, input, config, micro, grid);
    p.at(embedding, Phase::forward);
    BufferId x = p.value("embedding.y", Category::activation, shape);
    p.run(OpKind::embedding_forward, "embedding.forward",
          {{"tokens", batch.x}, {"wte", wte.weight}, {"wpe", wpe.weight}, {"y", x}});
    x = dropout.forward(p, x);
    for (Block& block : blocks) x = block.forward(p, x);
    head.x = norm.forward(p, x);
    const BufferId logits = head_forward(p, head, {sequences, config.sequence, g.vocabulary});
    const BufferId dlogits = add_loss(
        p, {loss, logits, batch.target, sequences * config.sequence, gradient_scale(config)});
    BufferId dy = norm.backward(p, head_backward(p, head, dlogits, shape), BufferId{});
    for (std::size_t i = blocks.size(); i-- > 0;) dy = blocks[i].backward(p, dy);
    dy = dropout.backward(p, dy);
    p.at(embedding, Phase::backward);
    p.run(OpKind::embedding_backward, "embedding.backward",
          {{"dy", dy}, {"tokens", batch.x}, {"dwte", wte.gradient}, {"dwpe", wpe.gradient}});
  }
}

}  // namespace

Trace build_program(const RunConfig& config) {
  validate(config);
  ProgramBuilder p(config.seed, config.dtype, config.precision == Precision::bf16);
  switch (config.model.family) {
    case ModelFamily::mlp:
      build_mlp(p, config);
      break;
    case ModelFamily::gpt2:
      build_gpt2(p, config);
      break;
    case ModelFamily::lenet:
      build_lenet(p, config);
      break;
    case ModelFamily::resnet:
      build_resnet(p, config);
      break;
  }
  p.micro_batch(0);
  add_optimizer(p, config.optimizer);
  Trace trace = p.finish();
  trace.meta.level = 2;
  trace.meta.title = title(config);
  trace.meta.config_json = to_json(config);
  return trace;
}

}  // namespace tidemark
