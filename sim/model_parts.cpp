#include "sim/model_parts.h"

namespace tidemark {

BufferId add_loss(ProgramBuilder& p, const Loss& l) {
  p.at(l.layer, Phase::forward);
  const BufferId loss = p.value("loss.loss", Category::activation, {1});
  const BufferId lse = p.value("loss.log_sum_exp", Category::activation, {l.rows});
  p.run(OpKind::softmax_cross_entropy_forward, "loss.forward",
        {{"logits", l.logits}, {"target", l.target}, {"loss", loss}, {"log_sum_exp", lse}});
  p.run(OpKind::report_loss, "loss.report", {{"loss", loss}});
  p.at(l.layer, Phase::backward);
  p.run(OpKind::softmax_cross_entropy_backward, "loss.backward",
        {{"logits", l.logits}, {"target", l.target}, {"log_sum_exp", lse}},
        {real("scale", l.scale)});
  return l.logits;
}

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

double gradient_scale(const RunConfig& config) {
  return 1.0 / static_cast<double>(config.accumulation);
}

Dropout make_dropout(ProgramBuilder& p, const std::string& name, double probability,
                     const Shape& shape) {
  Dropout d;
  if (probability > 0) d.layer = p.layer(name, "dropout");
  d.name = name;
  d.probability = probability;
  d.shape = shape;
  return d;
}

std::vector<Attribute> Dropout::attributes(const ProgramBuilder& p) const {
  return {real("probability", probability), integer("seed", p.seed()), integer("key", key),
          per_step("step", 0, 1)};
}

BufferId Dropout::forward(ProgramBuilder& p, BufferId x) {
  if (probability == 0) return x;
  key = p.random_key();
  p.at(layer, Phase::forward);
  const BufferId y = p.value(name + ".y", Category::activation, shape);
  p.run(OpKind::dropout_forward, name + ".forward", {{"x", x}, {"y", y}}, attributes(p));
  return y;
}

BufferId Dropout::backward(ProgramBuilder& p, BufferId dy) const {
  if (probability == 0) return dy;
  p.at(layer, Phase::backward);
  const BufferId dx = p.value(name + ".dx", Category::temporary, shape);
  p.run(OpKind::dropout_backward, name + ".backward", {{"dy", dy}, {"dx", dx}}, attributes(p));
  return dx;
}

Batch load_batch(ProgramBuilder& p, LayerId layer, const RunConfig& config,
                 std::int32_t micro_batch, const Shape& x_shape) {
  const bool text = config.model.family == ModelFamily::gpt2;
  const Shape target_shape = text ? x_shape : Shape{x_shape.front()};
  p.at(layer, Phase::forward);
  Batch b;
  b.x = p.value(text ? "input.tokens" : "input.x", Category::input, x_shape,
                text ? DType::i32 : config.dtype);
  b.target = p.value("input.target", Category::input, target_shape, DType::i32);
  p.run(OpKind::load_batch, "input.load", {{"x", b.x}, {"target", b.target}},
        {per_step("cursor", micro_batch * x_shape.front(), config.batch)});
  return b;
}

}  // namespace tidemark
