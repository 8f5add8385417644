#include "sim/builder.h"

#include <cmath>

#include "sim/build_gpt2.h"
#include "sim/build_image.h"
#include "sim/build_llama.h"
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
    linears.push_back(
        make_linear(p, "linear" + std::to_string(i), m.widths[i], m.widths[i + 1], deviation));
    if (i + 1 == count) break;
    const std::string name = std::string(to_string(m.activation)) + std::to_string(i);
    activations.push_back(make_activation(p, name, m.activation));
    dropouts.push_back(make_dropout(p, "dropout" + std::to_string(i), config.dropout));
  }

  const LayerId loss = p.layer("loss", "softmax_cross_entropy");
  const auto forward = [&](BufferId x) {
    for (std::size_t i = 0; i < count; ++i) {
      x = linears[i].forward(p, x);
      if (i + 1 < count) x = dropouts[i].forward(p, activations[i].forward(p, x));
    }
    return x;
  };
  const auto backward = [&](BufferId dy, BufferId) {
    for (std::size_t i = count; i-- > 0;) {
      dy = linears[i].backward_weight(p, dy);
      if (i == 0) break;
      dy = dropouts[i - 1].backward(p, linears[i].backward_data(p, dy));
      dy = activations[i - 1].backward(p, dy);
    }
  };
  write_passes(p, config, {input, loss, {rows, m.widths[0]}, rows}, forward, backward);
}

}  // namespace

Trace build_program(const RunConfig& config) {
  validate(config);
  const bool trains = config.phase == RunPhase::training;
  ProgramBuilder p({.seed = config.seed,
                    .dtype = config.dtype,
                    .bf16_products = config.precision == Precision::bf16,
                    .gradients = trains});
  switch (config.model.family) {
    case ModelFamily::mlp:
      build_mlp(p, config);
      break;
    case ModelFamily::gpt2:
      trains ? build_gpt2(p, config) : build_gpt2_inference(p, config);
      break;
    case ModelFamily::llama:
      build_llama(p, config);
      break;
    case ModelFamily::lenet:
      build_lenet(p, config);
      break;
    case ModelFamily::resnet:
      build_resnet(p, config);
      break;
  }
  p.micro_batch(0);
  if (trains) add_optimizer(p, config.optimizer);
  Trace trace = p.finish();
  trace.meta.level = 2;
  trace.meta.title = title(config);
  trace.meta.config_json = to_json(config);
  trace.meta.eval_every = config.eval_every;
  return trace;
}

}  // namespace tidemark
