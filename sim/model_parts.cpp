#include "sim/model_parts.h"

#include "sim/op_table.h"

namespace tidemark {

BufferId add_loss(ProgramBuilder& p, const Loss& l) {
  p.at(l.layer, Phase::forward);
  const BufferId loss = p.value("loss.loss", Category::activation, {1});
  const BufferId lse = p.value("loss.log_sum_exp", Category::activation, {l.rows});
  p.run(OpKind::softmax_cross_entropy_forward, "loss.forward",
        {{"logits", l.logits}, {"target", l.target}, {"loss", loss}, {"log_sum_exp", lse}});
  p.run(OpKind::report_loss, "loss.report", {{"loss", loss}});
  if (!p.trains()) return l.logits;
  p.at(l.layer, Phase::backward);
  p.run(OpKind::softmax_cross_entropy_backward, "loss.backward",
        {{"logits", l.logits}, {"target", l.target}, {"log_sum_exp", lse}},
        {real("scale", l.scale)});
  return l.logits;
}

Linear make_linear(ProgramBuilder& p, const std::string& name, std::int64_t inputs,
                   std::int64_t outputs, double deviation, bool has_bias) {
  Linear l{.layer = p.layer(name, "linear"),
           .name = name,
           .w = {},
           .b = {},
           .outputs = outputs,
           .x = {}};
  l.w = p.parameter(l.layer, name + ".w", {outputs, inputs}, deviation, 0);
  if (has_bias) l.b = p.parameter(l.layer, name + ".b", {outputs}, 0, 0);
  return l;
}

Linear make_expert_linear(ProgramBuilder& p, const std::string& name, const Shape& shape,
                          double deviation) {
  Linear l{.layer = p.layer(name, "expert_linear"),
           .name = name,
           .w = {},
           .b = {},
           .outputs = shape[1],
           .x = {}};
  l.w = p.parameter(l.layer, name + ".w", shape, deviation, 0);
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

ActivationLayer make_activation(ProgramBuilder& p, const std::string& name, Activation activation) {
  return {
      p.layer(name, std::string(to_string(activation))), name, ops_of(activation), {}, {}, false};
}

double gradient_scale(const RunConfig& config) {
  return 1.0 / static_cast<double>(config.accumulation);
}

Dropout make_dropout(ProgramBuilder& p, const std::string& name, double probability) {
  Dropout d;
  if (probability > 0) d.layer = p.layer(name, "dropout");
  d.name = name;
  d.probability = probability;
  return d;
}

std::vector<Attribute> dropout_attributes(const ProgramBuilder& p, double probability,
                                          std::int64_t key) {
  return {real("probability", probability), integer("seed", p.seed()), integer("key", key),
          per_step("step", 0, 1)};
}

BufferId Dropout::forward(ProgramBuilder& p, BufferId x) {
  if (probability == 0 || !p.trains()) return x;
  key = p.random_key();
  p.at(layer, Phase::forward);
  const BufferId y = p.value(name + ".y", Category::activation, p.shape_of(x));
  p.run(OpKind::dropout_forward, name + ".forward", {{"x", x}, {"y", y}},
        dropout_attributes(p, probability, key));
  return y;
}

BufferId Dropout::backward(ProgramBuilder& p, BufferId dy) const {
  if (probability == 0) return dy;
  p.at(layer, Phase::backward);
  const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(dy));
  p.run(OpKind::dropout_backward, name + ".backward", {{"dy", dy}, {"dx", dx}},
        dropout_attributes(p, probability, key));
  return dx;
}

BatchBuffers load_batch(ProgramBuilder& p, LayerId layer, const RunConfig& config,
                        std::int32_t micro_batch, const Shape& x_shape) {
  const bool of_tokens = config.model.is_decoder();
  const Shape target_shape = of_tokens ? x_shape : Shape{x_shape.front()};
  p.at(layer, Phase::forward);
  BatchBuffers b;
  b.x = p.value(of_tokens ? "input.tokens" : "input.x", Category::input, x_shape,
                of_tokens ? DType::i32 : config.dtype);
  b.target = p.value("input.target", Category::input, target_shape, DType::i32);
  p.run(OpKind::load_batch, "input.load", {{"x", b.x}, {"target", b.target}},
        {per_step("cursor", micro_batch * x_shape.front(), p.trains() ? config.batch : 0),
         text("part", p.trains() ? k_training_part : k_held_out_part)});
  return b;
}

void begin_eval(ProgramBuilder& p, std::int32_t micro_batch) {
  p.begin({.section = Pass::Section::eval,
           .forward = Phase::eval,
           .micro_batch = micro_batch,
           .ending = micro_batch > 0 ? "@eval" + std::to_string(micro_batch) : "@eval"});
}

}  // namespace tidemark
