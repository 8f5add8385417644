#include "sim/builder.h"

#include <cmath>

#include "sim/lifetimes.h"
#include "sim/op_table.h"
#include "sim/program_builder.h"

namespace tidemark {
namespace {

using Shape = std::vector<std::int64_t>;

/// The optimizer of every parameter, in the order of creation.
void add_optimizer(ProgramBuilder& p, const OptimizerConfig& o) {
  for (const Parameter& w : p.parameters()) {
    const std::string name = p.name_of(w.weight) + ".update";
    p.at(p.layer_of(w.weight), Phase::optimizer);
    if (o.kind == Optimizer::sgd) {
      p.run(OpKind::sgd_update, name, {{"w", w.weight}, {"dw", w.gradient}},
            {real("learning_rate", o.learning_rate), real("weight_decay", o.weight_decay)});
      continue;
    }
    const BufferId m = p.state(w.weight, "m");
    const BufferId v = p.state(w.weight, "v");
    p.run(OpKind::adamw_update, name, {{"w", w.weight}, {"dw", w.gradient}, {"m", m}, {"v", v}},
          {real("learning_rate", o.learning_rate), real("beta1", o.beta1), real("beta2", o.beta2),
           real("epsilon", o.epsilon), real("weight_decay", o.weight_decay), per_step("t", 1, 1)});
  }
}

/// Forward and backward of softmax cross entropy; returns the gradient of the logits, which takes
/// the place of the logits.
BufferId add_loss(ProgramBuilder& p, BufferId logits, BufferId target, std::int64_t rows) {
  const LayerId layer = p.layer("loss", "softmax_cross_entropy");
  p.at(layer, Phase::forward);
  const BufferId loss = p.value("loss.loss", Category::activation, {1});
  const BufferId lse = p.value("loss.log_sum_exp", Category::activation, {rows});
  p.run(OpKind::softmax_cross_entropy_forward, "loss.forward",
        {{"logits", logits}, {"target", target}, {"loss", loss}, {"log_sum_exp", lse}});
  p.run(OpKind::report_loss, "loss.report", {{"loss", loss}});
  p.at(layer, Phase::backward);
  p.run(OpKind::softmax_cross_entropy_backward, "loss.backward",
        {{"logits", logits}, {"target", target}, {"log_sum_exp", lse}}, {real("scale", 1)});
  return logits;
}

/// y = x w^T + b with w [outputs, inputs]; its two backward ops share the names and shapes.
struct Linear {
  LayerId layer;
  std::string name;
  Parameter w, b;
  Shape x_shape, y_shape;
  BufferId x;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const BufferId y = p.value(name + ".y", Category::activation, y_shape);
    p.run(OpKind::linear_forward, name + ".forward",
          {{"x", x}, {"w", w.weight}, {"b", b.weight}, {"y", y}});
    return y;
  }

  void backward_weight(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    p.run(OpKind::linear_backward_weight, name + ".backward_weight",
          {{"dy", dy}, {"x", x}, {"dw", w.gradient}, {"db", b.gradient}});
  }

  BufferId backward_data(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, x_shape);
    p.run(OpKind::linear_backward_data, name + ".backward_data",
          {{"dy", dy}, {"w", w.weight}, {"dx", dx}});
    return dx;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    backward_weight(p, dy);
    return backward_data(p, dy);
  }
};

Linear make_linear(ProgramBuilder& p, const std::string& name, const Shape& x_shape,
                   std::int64_t outputs, double deviation) {
  Linear l{.layer = p.layer(name, "linear"),
           .name = name,
           .w = {},
           .b = {},
           .x_shape = x_shape,
           .y_shape = x_shape,
           .x = {}};
  l.y_shape.back() = outputs;
  l.w = p.parameter(l.layer, name + ".w", {outputs, x_shape.back()}, deviation, 0);
  l.b = p.parameter(l.layer, name + ".b", {outputs}, 0, 0);
  return l;
}

struct ActivationOps {
  OpKind forward;
  OpKind backward;
  const char* saved;  // role that the backward op reads
};

ActivationOps ops_of(Activation activation) {
  switch (activation) {
    case Activation::sigmoid:
      return {OpKind::sigmoid_forward, OpKind::sigmoid_backward, "y"};
    case Activation::tanh:
      return {OpKind::tanh_forward, OpKind::tanh_backward, "y"};
    case Activation::relu:
      return {OpKind::relu_forward, OpKind::relu_backward, "y"};
    case Activation::gelu:
      break;
  }
  return {OpKind::gelu_forward, OpKind::gelu_backward, "x"};
}

struct ActivationLayer {
  LayerId layer;
  std::string name;
  ActivationOps ops;
  Shape shape;
  BufferId x, y;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    y = p.value(name + ".y", Category::activation, shape);
    p.run(ops.forward, name + ".forward", {{"x", x}, {"y", y}});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, shape);
    const BufferId saved = ops.saved[0] == 'x' ? x : y;
    p.run(ops.backward, name + ".backward", {{"dy", dy}, {ops.saved, saved}, {"dx", dx}});
    return dx;
  }
};

// ---- the textbook network

void build_mlp(ProgramBuilder& p, const RunConfig& config) {
  const MlpConfig& m = config.model.mlp;
  const bool rectified = m.activation == Activation::relu || m.activation == Activation::gelu;
  const std::size_t count = m.widths.size() - 1;
  const LayerId input = p.layer("input", "input");
  std::vector<Linear> linears;
  std::vector<ActivationLayer> activations;
  for (std::size_t i = 0; i < count; ++i) {
    // He et al. 2015 for rectifiers, Glorot and Bengio 2010 (fan-in form) for saturating units.
    const double deviation = std::sqrt((rectified ? 2.0 : 1.0) / static_cast<double>(m.widths[i]));
    const Shape x_shape{config.batch, m.widths[i]};
    linears.push_back(
        make_linear(p, "linear" + std::to_string(i), x_shape, m.widths[i + 1], deviation));
    if (i + 1 == count) break;
    const std::string name = std::string(to_string(m.activation)) + std::to_string(i);
    activations.push_back({p.layer(name, std::string(to_string(m.activation))),
                           name,
                           ops_of(m.activation),
                           {config.batch, m.widths[i + 1]},
                           {},
                           {}});
  }

  p.at(input, Phase::forward);
  BufferId x = p.value("input.x", Category::input, {config.batch, m.widths[0]});
  const BufferId target = p.value("input.target", Category::input, {config.batch}, DType::i32);
  p.run(OpKind::load_batch, "input.load", {{"x", x}, {"target", target}},
        {per_step("cursor", 0, config.batch)});
  for (std::size_t i = 0; i < count; ++i) {
    x = linears[i].forward(p, x);
    if (i + 1 < count) x = activations[i].forward(p, x);
  }
  BufferId dy = add_loss(p, x, target, config.batch);
  for (std::size_t i = count; i-- > 0;) {
    linears[i].backward_weight(p, dy);
    if (i == 0) break;
    dy = activations[i - 1].backward(p, linears[i].backward_data(p, dy));
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
  BufferId qkv, probabilities;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    qkv = input;
    p.at(layer, Phase::forward);
    probabilities = p.value(name + ".probabilities", Category::activation,
                            {shape[0], heads, shape[1], shape[1]});
    const BufferId y = p.value(name + ".y", Category::activation, shape);
    p.run(OpKind::attention_forward, name + ".forward",
          {{"qkv", qkv}, {"probabilities", probabilities}, {"y", y}}, {integer("heads", heads)});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dqkv =
        p.value(name + ".dqkv", Category::temporary, {shape[0], shape[1], 3 * shape[2]});
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
};

struct Block {
  LayerNorm norm1;
  Linear qkv;
  Attention attention;
  Linear projection;
  LayerId add1;
  LayerNorm norm2;
  Linear expand;
  ActivationLayer gelu;
  Linear contract;
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
    h = projection.forward(p, attention.forward(p, h));
    x = add(p, add1, x, h);
    h = contract.forward(p, gelu.forward(p, expand.forward(p, norm2.forward(p, x))));
    return add(p, add2, x, h);
  }

  /// dy is the gradient of the block's output; returns that of its input.
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    BufferId d = contract.backward(p, dy);
    d = expand.backward(p, gelu.backward(p, d));
    dy = norm2.backward(p, d, dy);
    d = attention.backward(p, projection.backward(p, dy));
    return norm1.backward(p, qkv.backward(p, d), dy);
  }
};

Block make_block(ProgramBuilder& p, const std::string& name, const Gpt2Config& g,
                 const Shape& shape) {
  constexpr double k_deviation = 0.02;  // GPT-2; residual projections are scaled by 1/sqrt(2 L)
  const double residual = k_deviation / std::sqrt(2.0 * static_cast<double>(g.layers));
  p.group(name, "block");
  Shape wide = shape;
  wide.back() = 4 * g.channels;
  Block b{
      .norm1 = make_layer_norm(p, name + ".norm1", shape),
      .qkv = make_linear(p, name + ".qkv", shape, 3 * g.channels, k_deviation),
      .attention =
          {p.layer(name + ".attention", "attention"), name + ".attention", shape, g.heads, {}, {}},
      .projection = make_linear(p, name + ".projection", shape, g.channels, residual),
      .add1 = p.layer(name + ".add1", "add"),
      .norm2 = make_layer_norm(p, name + ".norm2", shape),
      .expand = make_linear(p, name + ".expand", shape, 4 * g.channels, k_deviation),
      .gelu =
          {p.layer(name + ".gelu", "gelu"), name + ".gelu", ops_of(Activation::gelu), wide, {}, {}},
      .contract = make_linear(p, name + ".contract", wide, g.channels, residual),
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
  const Shape shape{config.batch, config.sequence, g.channels};
  const Shape grid{config.batch, config.sequence};
  const LayerId input = p.layer("input", "input");
  const LayerId embedding = p.layer("embedding", "embedding");
  const Parameter wte =
      p.parameter(embedding, "embedding.wte", {g.vocabulary, g.channels}, 0.02, 0);
  const Parameter wpe = p.parameter(embedding, "embedding.wpe", {g.positions, g.channels}, 0.01, 0);
  std::vector<Block> blocks;
  for (std::int64_t i = 0; i < g.layers; ++i) {
    blocks.push_back(make_block(p, "block" + std::to_string(i), g, shape));
  }
  LayerNorm norm = make_layer_norm(p, "norm", shape);
  Gpt2Head head{p.layer("head", "linear"), wte, {}};

  p.at(input, Phase::forward);
  const BufferId tokens = p.value("input.tokens", Category::input, grid, DType::i32);
  const BufferId target = p.value("input.target", Category::input, grid, DType::i32);
  p.run(OpKind::load_batch, "input.load", {{"x", tokens}, {"target", target}},
        {per_step("cursor", 0, config.batch)});
  p.at(embedding, Phase::forward);
  BufferId x = p.value("embedding.y", Category::activation, shape);
  p.run(OpKind::embedding_forward, "embedding.forward",
        {{"tokens", tokens}, {"wte", wte.weight}, {"wpe", wpe.weight}, {"y", x}});
  for (Block& block : blocks) x = block.forward(p, x);
  head.x = norm.forward(p, x);
  const BufferId logits = head_forward(p, head, {config.batch, config.sequence, g.vocabulary});
  const BufferId dlogits = add_loss(p, logits, target, config.batch * config.sequence);
  BufferId dy = norm.backward(p, head_backward(p, head, dlogits, shape), BufferId{});
  for (std::size_t i = blocks.size(); i-- > 0;) dy = blocks[i].backward(p, dy);
  p.at(embedding, Phase::backward);
  p.run(OpKind::embedding_backward, "embedding.backward",
        {{"dy", dy}, {"tokens", tokens}, {"dwte", wte.gradient}, {"dwpe", wpe.gradient}});
}

}  // namespace

Trace build_program(const RunConfig& config) {
  validate(config);
  ProgramBuilder p(config.seed, config.dtype, config.precision == Precision::bf16);
  if (config.model.family == ModelFamily::mlp) {
    build_mlp(p, config);
  } else {
    build_gpt2(p, config);
  }
  add_optimizer(p, config.optimizer);
  Trace trace = p.finish();
  trace.meta.level = 2;
  trace.meta.title = title(config);
  trace.meta.config_json = to_json(config);
  return trace;
}

}  // namespace tidemark
