// The gradient of whole programs, in double precision: forward, backward and the order in which
// gradients are accumulated, against central differences of the loss in every weight.
#include <functional>
#include <map>

#include "tests/catch.h"
#include "tests/profiler/open_program.h"
#include "tests/profiler/programs.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// A program whose weights the test sets and whose gradients it sees.
class Weighted {
 public:
  explicit Weighted(RunConfig config)
      : program_(build_program(with_sgd(config)), data_for(config)) {
    program_.run(program_.program().init);
    for (std::size_t i = 0; i < program_.trace().buffers.size(); ++i) {
      const BufferId id{i};
      if (program_.trace()[id].category == Category::weight) weights_[id] = program_.load(id);
    }
  }

  std::map<BufferId, Numbers>& weights() { return weights_; }
  [[nodiscard]] const std::string& name_of(BufferId id) const { return program_.trace()[id].name; }

  /// One step at `weights()`; the gradients are those that the optimizer was given.
  double loss(std::map<BufferId, Numbers>* gradients = nullptr) {
    for (const auto& [id, values] : weights_) program_.store(id, values);
    program_.run(program_.program().body, 0, [&](const Op& op) {
      if (op.kind != OpKind::sgd_update || gradients == nullptr) return;
      (*gradients)[op.operands[0].buffer] = program_.load(op.operands[1].buffer);
    });
    return program_.take_loss();
  }

 private:
  static RunConfig with_sgd(RunConfig config) {
    config.optimizer.kind = Optimizer::sgd;
    return config;
  }

  OpenProgram program_;
  std::map<BufferId, Numbers> weights_;
};

/// Every weight of every parameter, relative to the largest gradient of its parameter.
void check_gradients(
    const RunConfig& config, const std::function<bool(const std::string&)>& is_chosen =
                                 [](const std::string&) { return true; }) {
  constexpr double k_step = 1e-5;
  Weighted program(config);
  std::map<BufferId, Numbers> gradients;
  program.loss(&gradients);
  for (auto& [id, values] : program.weights()) {
    INFO(program.name_of(id));
    if (program.name_of(id).find(".running_") != std::string::npos) continue;  // not trained
    REQUIRE(gradients.contains(id));
    if (!is_chosen(program.name_of(id))) continue;
    Numbers expected;
    for (double& value : values) {
      const double before = value;
      value = before + k_step;
      const double above = program.loss();
      value = before - k_step;
      const double below = program.loss();
      value = before;
      expected.push_back((above - below) / (2 * k_step));
    }
    double largest = 0;
    for (const double g : expected) largest = std::max(largest, std::abs(g));
    CHECK(largest > 1e-7);  // a gradient that is not there cannot be checked
    // The loss is known to 1e-16, so a difference quotient to about 1e-11.
    const double tolerance = std::max(1e-6, 1e-10 / largest);
    CHECK(relative_error(gradients.at(id), expected) < tolerance);
  }
}

}  // namespace

TEST_CASE("the gradient of an MLP equals finite differences for each activation") {
  for (const Activation activation :
       {Activation::sigmoid, Activation::tanh, Activation::relu, Activation::gelu}) {
    INFO(to_string(activation));
    check_gradients(small_mlp(activation, DType::f64));
  }
}

TEST_CASE("the gradient of a GPT-2 with tied embeddings equals finite differences") {
  check_gradients(small_gpt2(DType::f64));
}

TEST_CASE("the gradient of a Llama decoder equals finite differences in both lowerings") {
  RunConfig llama = small_llama(DType::f64);
  check_gradients(llama);
  llama.attention = AttentionLowering::flash;
  llama.accumulation = 2;
  check_gradients(llama);
}

TEST_CASE("the gradient of a decoder with experts equals finite differences") {
  RunConfig moe = small_moe(DType::f64);
  check_gradients(moe);
  moe.accumulation = 2;
  moe.dropout = 0.25;
  moe.model.llama.capacity_factor = 0.5;
  check_gradients(moe);
}

TEST_CASE("gradients of micro-batches with dropout and flash attention equal finite differences") {
  RunConfig gpt2 = small_gpt2(DType::f64);
  gpt2.accumulation = 2;
  gpt2.dropout = 0.25;
  gpt2.attention_dropout = 0.25;
  for (const auto lowering : {AttentionLowering::composite, AttentionLowering::flash}) {
    gpt2.attention = lowering;
    check_gradients(gpt2);
  }
  RunConfig mlp = small_mlp(Activation::tanh, DType::f64);
  mlp.accumulation = 2;
  mlp.dropout = 0.25;
  check_gradients(mlp);
}

TEST_CASE("the gradient of LeNet-5 equals finite differences") {
  check_gradients(small_lenet(DType::f64), [](const std::string& name) {
    return name.starts_with("conv") || name.starts_with("linear3");  // the others are linear.cpp's
  });
}

TEST_CASE("the gradient of a residual network with batch norm equals finite differences") {
  check_gradients(small_resnet(DType::f64));
}
