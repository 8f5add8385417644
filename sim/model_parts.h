// Layers of which the models are made. Each writes its forward ops, remembers what it saved, and
// writes its backward ops. A layer serves one micro-batch after the other.
#pragma once

#include <string>
#include <vector>

#include "sim/config.h"
#include "sim/program_builder.h"

namespace tidemark {

using Shape = std::vector<std::int64_t>;

/// The loss of a step is the mean over its micro-batches.
[[nodiscard]] double gradient_scale(const RunConfig& config);

struct Loss {
  LayerId layer;
  BufferId logits;
  BufferId target;
  std::int64_t rows = 0;
  double scale = 1;  // of the gradients: 1 / micro-batches
};

/// Forward and, in a pass that trains, backward of softmax cross entropy; returns the logits, whose
/// place the gradient takes.
BufferId add_loss(ProgramBuilder& p, const Loss& l);

/// y = x w^T + b with w [outputs, inputs], or of experts each with its own of w [experts, outputs,
/// inputs]; its two backward ops share the names and shapes.
struct Linear {
  LayerId layer;
  std::string name;
  Parameter w, b;  // b may be none
  std::int64_t outputs = 0;
  BufferId x;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    Shape y_shape = p.shape_of(x);
    y_shape.back() = outputs;
    const BufferId y = p.value(name + ".y", Category::activation, y_shape);
    std::vector<Use> uses{{"x", x}, {"w", w.weight}};
    if (b.weight.valid()) uses.emplace_back("b", b.weight);
    uses.emplace_back("y", y);
    p.run(OpKind::linear_forward, name + ".forward", uses);
    return y;
  }

  /// Returns dy as backward_data takes it.
  BufferId backward_weight(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    std::vector<Use> uses{{"dy", dy}, {"x", x}, {"dw", w.gradient}};
    if (b.weight.valid()) uses.emplace_back("db", b.gradient);
    const BufferId factor = p.factor_of(name, dy);
    if (factor != dy) uses.emplace_back("bf16_dy", factor);
    p.run(OpKind::linear_backward_weight, name + ".backward_weight", uses);
    return factor;
  }

  BufferId backward_data(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(x));
    p.run(OpKind::linear_backward_data, name + ".backward_data",
          {{"dy", dy}, {"w", w.weight}, {"dx", dx}});
    return dx;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    return backward_data(p, backward_weight(p, dy));
  }
};

Linear make_linear(ProgramBuilder& p, const std::string& name, std::int64_t inputs,
                   std::int64_t outputs, double deviation, bool has_bias = true);

/// `shape`: experts, outputs, inputs.
Linear make_expert_linear(ProgramBuilder& p, const std::string& name, const Shape& shape,
                          double deviation);

struct ActivationOps {
  OpKind forward;
  OpKind backward;
  const char* saved;  // role that the backward op reads
};

ActivationOps ops_of(Activation activation);

struct ActivationLayer {
  LayerId layer;
  std::string name;
  ActivationOps ops;
  BufferId x, y;
  bool between_linears = false;  // y and dx are read by linear layers only

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    y = p.value(name + ".y", Category::activation, p.shape_of(x), type_of(p));
    p.run(ops.forward, name + ".forward", {{"x", x}, {"y", y}});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, p.shape_of(x), type_of(p));
    const BufferId saved = ops.saved[0] == 'x' ? x : y;
    p.run(ops.backward, name + ".backward", {{"dy", dy}, {ops.saved, saved}, {"dx", dx}});
    return dx;
  }

 private:
  [[nodiscard]] DType type_of(const ProgramBuilder& p) const {
    return between_linears ? p.factor_type() : p.type_of(x);
  }
};

ActivationLayer make_activation(ProgramBuilder& p, const std::string& name, Activation activation);

/// The mask of a dropout: a function of the run's seed, `key`, the step and the element.
[[nodiscard]] std::vector<Attribute> dropout_attributes(const ProgramBuilder& p, double probability,
                                                        std::int64_t key);

/// Nothing when the probability is 0, and in a pass that does not train.
struct Dropout {
  LayerId layer;
  std::string name;
  double probability = 0;
  std::int64_t key = 0;

  BufferId forward(ProgramBuilder& p, BufferId x);
  BufferId backward(ProgramBuilder& p, BufferId dy) const;
};

Dropout make_dropout(ProgramBuilder& p, const std::string& name, double probability);

/// The samples of one micro-batch: of the part of the data that is trained on, or in a pass that
/// does not train of what is held out.
struct BatchBuffers {
  BufferId x;
  BufferId target;
};
BatchBuffers load_batch(ProgramBuilder& p, LayerId layer, const RunConfig& config,
                        std::int32_t micro_batch, const Shape& x_shape);

/// Begins the evaluation of a micro-batch; names end in "@eval", "@eval1", ...
void begin_eval(ProgramBuilder& p, std::int32_t micro_batch);

/// The ends of a model. A micro-batch has `x_shape`, and as many `rows` of logits.
struct Ends {
  LayerId input;
  LayerId loss;
  Shape x_shape;
  std::int64_t rows = 0;
};

/// All passes of a training run: of each micro-batch logits = forward(x), the loss and
/// backward(gradient of the logits, x); and, in section eval, forward and loss alone.
template <class Forward, class Backward>
void write_passes(ProgramBuilder& p, const RunConfig& config, const Ends& ends, Forward forward,
                  Backward backward) {
  const auto micro_batches = static_cast<std::int32_t>(config.accumulation);
  for (std::int32_t micro = 0; micro < micro_batches; ++micro) {
    p.micro_batch(micro);
    const BatchBuffers batch = load_batch(p, ends.input, config, micro, ends.x_shape);
    const Loss loss{ends.loss, forward(batch.x), batch.target, ends.rows, gradient_scale(config)};
    backward(add_loss(p, loss), batch.x);
  }
  for (std::int32_t micro = 0; config.eval_every > 0 && micro < micro_batches; ++micro) {
    begin_eval(p, micro);
    const BatchBuffers batch = load_batch(p, ends.input, config, micro, ends.x_shape);
    add_loss(p, {ends.loss, forward(batch.x), batch.target, ends.rows, 1});
  }
}

}  // namespace tidemark
