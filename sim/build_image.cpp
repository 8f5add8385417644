#include "sim/build_image.h"

#include <cmath>

#include "sim/model_parts.h"

namespace tidemark {
namespace {

/// He et al. 2015: rectifiers halve the variance.
double deviation_of(std::int64_t fan_in) {
  return std::sqrt(2.0 / static_cast<double>(fan_in));
}

struct Convolution {
  LayerId layer;
  std::string name;
  Parameter w, b;  // b is invalid without a bias
  Shape x_shape, y_shape, workspace_shape;
  std::int64_t stride = 1, padding = 0;
  BufferId x;

  [[nodiscard]] std::vector<Attribute> window() const {
    return {integer("stride", stride), integer("padding", padding)};
  }
  BufferId workspace(ProgramBuilder& p, const char* suffix) const {
    return p.value(name + suffix, Category::workspace, workspace_shape);
  }

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const BufferId y = p.value(name + ".y", Category::activation, y_shape);
    std::vector<Use> uses{{"x", x}, {"w", w.weight}};
    if (b.weight.valid()) uses.emplace_back("b", b.weight);
    uses.insert(uses.end(), {{"y", y}, {"workspace", workspace(p, ".columns")}});
    p.run(OpKind::conv2d_forward, name + ".forward", uses, window());
    return y;
  }

  void backward_weight(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    std::vector<Use> uses{{"dy", dy}, {"x", x}, {"dw", w.gradient}};
    if (b.weight.valid()) uses.emplace_back("db", b.gradient);
    uses.emplace_back("workspace", workspace(p, ".columns_of_x"));
    p.run(OpKind::conv2d_backward_weight, name + ".backward_weight", uses, window());
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    backward_weight(p, dy);
    const BufferId dx = p.value(name + ".dx", Category::temporary, x_shape);
    p.run(OpKind::conv2d_backward_data, name + ".backward_data",
          {{"dy", dy}, {"w", w.weight}, {"dx", dx}, {"workspace", workspace(p, ".columns_of_dx")}},
          window());
    return dx;
  }
};

struct ConvolutionShape {
  std::int64_t filters, kernel, stride, padding;
  bool bias;
};

Convolution make_convolution(ProgramBuilder& p, const std::string& name, const Shape& x_shape,
                             const ConvolutionShape& s) {
  Convolution c;
  const auto extent = [&s](std::int64_t n) {
    return (n + 2 * s.padding - s.kernel) / s.stride + 1;
  };
  c.layer = p.layer(name, "convolution");
  c.name = name;
  c.x_shape = x_shape;
  c.y_shape = {x_shape[0], s.filters, extent(x_shape[2]), extent(x_shape[3])};
  const std::int64_t depth = x_shape[1] * s.kernel * s.kernel;
  c.workspace_shape = {depth, c.y_shape[2] * c.y_shape[3] + s.filters};
  c.stride = s.stride;
  c.padding = s.padding;
  c.w = p.parameter(c.layer, name + ".w", {s.filters, x_shape[1], s.kernel, s.kernel},
                    deviation_of(depth), 0);
  if (s.bias) c.b = p.parameter(c.layer, name + ".b", {s.filters}, 0, 0);
  return c;
}

struct BatchNorm {
  static constexpr double k_epsilon = 1e-5;
  static constexpr double k_momentum = 0.1;

  LayerId layer;
  std::string name;
  Parameter w, b;
  BufferId running_mean, running_variance;
  Shape shape;
  BufferId x, mean, variance;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const BufferId y = p.value(name + ".y", Category::activation, shape);
    if (!p.trains()) {
      p.run(OpKind::batch_norm_inference, name + ".forward",
            {{"x", x},
             {"w", w.weight},
             {"b", b.weight},
             {"mean", running_mean},
             {"variance", running_variance},
             {"y", y}},
            {real("epsilon", k_epsilon)});
      return y;
    }
    mean = p.value(name + ".mean", Category::activation, {shape[1]});
    variance = p.value(name + ".variance", Category::activation, {shape[1]});
    p.run(OpKind::batch_norm_forward, name + ".forward",
          {{"x", x},
           {"w", w.weight},
           {"b", b.weight},
           {"y", y},
           {"mean", mean},
           {"variance", variance}},
          {real("epsilon", k_epsilon)});
    p.run(OpKind::batch_norm_update, name + ".running",
          {{"mean", mean},
           {"variance", variance},
           {"running_mean", running_mean},
           {"running_variance", running_variance}},
          {real("momentum", k_momentum), integer("count", shape[0] * shape[2] * shape[3])});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, shape);
    p.run(OpKind::batch_norm_backward, name + ".backward",
          {{"dy", dy},
           {"x", x},
           {"w", w.weight},
           {"mean", mean},
           {"variance", variance},
           {"dx", dx},
           {"dw", w.gradient},
           {"db", b.gradient}},
          {real("epsilon", k_epsilon)});
    return dx;
  }
};

BatchNorm make_batch_norm(ProgramBuilder& p, const std::string& name, const Shape& shape) {
  BatchNorm n;
  n.layer = p.layer(name, "batch_norm");
  n.name = name;
  n.shape = shape;
  n.w = p.parameter(n.layer, name + ".w", {shape[1]}, 0, 1);
  n.b = p.parameter(n.layer, name + ".b", {shape[1]}, 0, 0);
  n.running_mean = p.persistent(n.layer, name + ".running_mean", Category::weight, {shape[1]}, 0.0);
  n.running_variance =
      p.persistent(n.layer, name + ".running_variance", Category::weight, {shape[1]}, 1.0);
  return n;
}

struct MaxPool {
  LayerId layer;
  std::string name;
  Shape x_shape, y_shape;
  std::int64_t size = 2;
  BufferId x;

  BufferId forward(ProgramBuilder& p, BufferId input) {
    x = input;
    p.at(layer, Phase::forward);
    const BufferId y = p.value(name + ".y", Category::activation, y_shape);
    p.run(OpKind::max_pool_forward, name + ".forward", {{"x", x}, {"y", y}},
          {integer("size", size)});
    return y;
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    p.at(layer, Phase::backward);
    const BufferId dx = p.value(name + ".dx", Category::temporary, x_shape);
    p.run(OpKind::max_pool_backward, name + ".backward", {{"dy", dy}, {"x", x}, {"dx", dx}},
          {integer("size", size)});
    return dx;
  }
};

/// `flat`: y is [B, C H' W'], as a linear layer reads it.
MaxPool make_max_pool(ProgramBuilder& p, const std::string& name, const Shape& x, bool flat) {
  MaxPool m;
  m.layer = p.layer(name, "max_pool");
  m.name = name;
  m.x_shape = x;
  m.y_shape = {x[0], x[1], x[2] / m.size, x[3] / m.size};
  if (flat) m.y_shape = {x[0], x[1] * m.y_shape[2] * m.y_shape[3]};
  return m;
}

/// Convolution, batch norm and, but before an addition, a rectifier.
struct Unit {
  Convolution convolution;
  BatchNorm norm;

  BufferId forward(ProgramBuilder& p, BufferId x) {
    return norm.forward(p, convolution.forward(p, x));
  }
  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    return convolution.backward(p, norm.backward(p, dy));
  }
};

Unit make_unit(ProgramBuilder& p, const std::string& name, const Shape& x,
               const ConvolutionShape& s) {
  Convolution c = make_convolution(p, name + ".convolution", x, s);
  BatchNorm n = make_batch_norm(p, name + ".norm", c.y_shape);
  return {std::move(c), std::move(n)};
}

/// y = relu(second(relu(first(x))) + x); where the shape changes, x passes a 1x1 convolution.
struct ResidualBlock {
  Unit first, second;
  ActivationLayer relu1, relu2;
  bool projects = false;
  Unit shortcut;
  LayerId add;
  std::string name;
  Shape x_shape, y_shape;

  BufferId forward(ProgramBuilder& p, BufferId x) {
    const BufferId h = second.forward(p, relu1.forward(p, first.forward(p, x)));
    const BufferId s = projects ? shortcut.forward(p, x) : x;
    p.at(add, Phase::forward);
    const BufferId sum = p.value(name + ".add.y", Category::activation, y_shape);
    p.run(OpKind::add, name + ".add.forward", {{"a", h}, {"b", s}, {"y", sum}});
    return relu2.forward(p, sum);
  }

  BufferId backward(ProgramBuilder& p, BufferId dy) const {
    const BufferId d = relu2.backward(p, dy);
    const BufferId through = first.backward(p, relu1.backward(p, second.backward(p, d)));
    const BufferId past = projects ? shortcut.backward(p, d) : d;
    p.at(add, Phase::backward);
    const BufferId dx = p.value(name + ".add.dx", Category::temporary, x_shape);
    p.run(OpKind::add, name + ".add.backward", {{"a", through}, {"b", past}, {"y", dx}});
    return dx;
  }
};

ResidualBlock make_block(ProgramBuilder& p, const std::string& name, const Shape& x,
                         std::int64_t filters, std::int64_t stride) {
  p.group(name, "block");
  ResidualBlock b;
  b.name = name;
  b.x_shape = x;
  b.first = make_unit(p, name + ".first", x, {filters, 3, stride, 1, false});
  b.y_shape = b.first.convolution.y_shape;
  b.relu1 = make_activation(p, name + ".relu1", Activation::relu);
  b.second = make_unit(p, name + ".second", b.y_shape, {filters, 3, 1, 1, false});
  b.projects = b.y_shape != x;
  if (b.projects) b.shortcut = make_unit(p, name + ".shortcut", x, {filters, 1, stride, 0, false});
  b.add = p.layer(name + ".add", "add");
  b.relu2 = make_activation(p, name + ".relu2", Activation::relu);
  p.end_group();
  return b;
}

Shape input_shape(const RunConfig& config) {
  const ImageConfig& m = config.model.image;
  return {config.batch / config.accumulation, m.channels, m.height, m.width};
}

}  // namespace

void build_lenet(ProgramBuilder& p, const RunConfig& config) {
  const LayerId input = p.layer("input", "input");
  const Shape image = input_shape(config);
  Convolution conv1 = make_convolution(p, "conv1", image, {6, 5, 1, 2, true});
  ActivationLayer relu1 = make_activation(p, "relu1", Activation::relu);
  MaxPool pool1 = make_max_pool(p, "pool1", conv1.y_shape, false);
  Convolution conv2 = make_convolution(p, "conv2", pool1.y_shape, {16, 5, 1, 0, true});
  ActivationLayer relu2 = make_activation(p, "relu2", Activation::relu);
  MaxPool pool2 = make_max_pool(p, "pool2", conv2.y_shape, true);
  const std::int64_t features = pool2.y_shape[1];
  Linear linear1 = make_linear(p, "linear1", features, 120, deviation_of(features));
  ActivationLayer relu3 = make_activation(p, "relu3", Activation::relu);
  Linear linear2 = make_linear(p, "linear2", 120, 84, deviation_of(120));
  ActivationLayer relu4 = make_activation(p, "relu4", Activation::relu);
  Linear linear3 = make_linear(p, "linear3", 84, config.model.image.classes, deviation_of(84));
  const LayerId loss = p.layer("loss", "softmax_cross_entropy");

  const auto forward = [&](BufferId x) {
    x = pool1.forward(p, relu1.forward(p, conv1.forward(p, x)));
    x = pool2.forward(p, relu2.forward(p, conv2.forward(p, x)));
    x = relu3.forward(p, linear1.forward(p, x));
    x = relu4.forward(p, linear2.forward(p, x));
    return linear3.forward(p, x);
  };
  const auto backward = [&](BufferId dy, BufferId) {
    dy = relu4.backward(p, linear3.backward(p, dy));
    dy = relu3.backward(p, linear2.backward(p, dy));
    dy = relu2.backward(p, pool2.backward(p, linear1.backward(p, dy)));
    dy = relu1.backward(p, pool1.backward(p, conv2.backward(p, dy)));
    conv1.backward_weight(p, dy);
  };
  write_passes(p, config, {input, loss, image, image[0]}, forward, backward);
}

void build_resnet(ProgramBuilder& p, const RunConfig& config) {
  const ImageConfig& m = config.model.image;
  const LayerId input = p.layer("input", "input");
  const Shape image = input_shape(config);
  Unit stem = make_unit(p, "stem", image, {m.filters, 3, 1, 1, false});
  ActivationLayer relu = make_activation(p, "stem.relu", Activation::relu);
  std::vector<ResidualBlock> blocks;
  Shape shape = stem.convolution.y_shape;
  for (std::int64_t stage = 0; stage < 3; ++stage) {
    for (std::int64_t i = 0; i < m.blocks; ++i) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(i);
      blocks.push_back(make_block(p, name, shape, m.filters << stage, stage > 0 && i == 0 ? 2 : 1));
      shape = blocks.back().y_shape;
    }
  }
  const LayerId pool = p.layer("pool", "average_pool");
  const Shape pooled{shape[0], shape[1]};
  Linear head = make_linear(p, "head", shape[1], m.classes, deviation_of(shape[1]));
  const LayerId loss = p.layer("loss", "softmax_cross_entropy");

  const auto forward = [&](BufferId x) {
    x = relu.forward(p, stem.forward(p, x));
    for (ResidualBlock& block : blocks) x = block.forward(p, x);
    p.at(pool, Phase::forward);
    const BufferId features = p.value("pool.y", Category::activation, pooled);
    p.run(OpKind::average_pool_forward, "pool.forward", {{"x", x}, {"y", features}});
    return head.forward(p, features);
  };
  const auto backward = [&](BufferId dy, BufferId) {
    dy = head.backward(p, dy);
    p.at(pool, Phase::backward);
    const BufferId dx = p.value("pool.dx", Category::temporary, shape);
    p.run(OpKind::average_pool_backward, "pool.backward", {{"dy", dy}, {"dx", dx}});
    dy = dx;
    for (std::size_t i = blocks.size(); i-- > 0;) dy = blocks[i].backward(p, dy);
    stem.convolution.backward_weight(p, stem.norm.backward(p, relu.backward(p, dy)));
  };
  write_passes(p, config, {input, loss, image, image[0]}, forward, backward);
}

}  // namespace tidemark
