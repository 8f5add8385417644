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

/// Forward and backward of softmax cross entropy; returns the gradient of the logits, which takes
/// the place of the logits.
BufferId add_loss(ProgramBuilder& p, const Loss& l);

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
                   std::int64_t outputs, double deviation);

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

/// Nothing when the probability is 0.
struct Dropout {
  LayerId layer;
  std::string name;
  double probability = 0;
  Shape shape;
  std::int64_t key = 0;

  BufferId forward(ProgramBuilder& p, BufferId x);
  BufferId backward(ProgramBuilder& p, BufferId dy) const;

 private:
  [[nodiscard]] std::vector<Attribute> attributes(const ProgramBuilder& p) const;
};

Dropout make_dropout(ProgramBuilder& p, const std::string& name, double probability,
                     const Shape& shape);

/// The samples of one micro-batch.
struct Batch {
  BufferId x;
  BufferId target;
};
Batch load_batch(ProgramBuilder& p, LayerId layer, const RunConfig& config,
                 std::int32_t micro_batch, const Shape& x_shape);

}  // namespace tidemark
