// The gradient of whole programs, in double precision: forward, backward and the order in which
// gradients are accumulated, against central differences of the loss in every weight.
#include <cstring>
#include <functional>
#include <map>

#include "profiler/backend.h"
#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "tests/profiler/programs.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// A program whose weights the test sets and whose gradients it sees.
class OpenProgram {
 public:
  explicit OpenProgram(RunConfig config)
      : trace_(build_program(with_sgd(config))),
        data_(data_for(config)),
        memory_(trace_, {.device_bytes = 64 << 20, .host_bytes = 0, .poison = true}, recorder_),
        backend_(make_cpu_backend({trace_, memory_, recorder_, clock_}, &data_)) {
    for (const Instruction& line : trace_.program.init) perform(line);
    for (std::size_t i = 0; i < trace_.buffers.size(); ++i) {
      if (trace_.buffers[i].category == Category::weight) weights_[BufferId{i}] = load(BufferId{i});
    }
  }

  std::map<BufferId, Numbers>& weights() { return weights_; }
  [[nodiscard]] const std::string& name_of(BufferId id) const { return trace_[id].name; }

  /// One step at `weights()`; the gradients are those that the optimizer was given.
  double loss(std::map<BufferId, Numbers>* gradients = nullptr) {
    for (const auto& [id, values] : weights_) {
      std::memcpy(memory_.pointer(id), values.data(), values.size() * sizeof(double));
    }
    for (const Instruction& line : trace_.program.body) {
      const bool update =
          line.kind == InstructionKind::run && trace_[line.op()].kind == OpKind::sgd_update;
      if (update && gradients != nullptr) {
        const Op& op = trace_[line.op()];
        (*gradients)[op.operands[0].buffer] = load(op.operands[1].buffer);
      }
      perform(line);
    }
    return backend_->take_loss().value();
  }

 private:
  static RunConfig with_sgd(RunConfig config) {
    config.optimizer.kind = Optimizer::sgd;
    return config;
  }
  void perform(const Instruction& line) {
    if (line.kind == InstructionKind::alloc) memory_.allocate(line.buffer());
    if (line.kind == InstructionKind::free) memory_.release(line.buffer());
    if (line.kind == InstructionKind::run) backend_->run(line.op(), 0);
  }
  [[nodiscard]] Numbers load(BufferId id) const {
    Numbers values(static_cast<std::size_t>(element_count(trace_[id])));
    std::memcpy(values.data(), memory_.pointer(id), values.size() * sizeof(double));
    return values;
  }

  Trace trace_;
  Dataset data_;
  Clock clock_{false};
  Recorder recorder_{clock_, 1024};
  ProgramMemory memory_;
  std::unique_ptr<Backend> backend_;
  std::map<BufferId, Numbers> weights_;
};

/// Every weight of every parameter, relative to the largest gradient of its parameter.
void check_gradients(
    const RunConfig& config, const std::function<bool(const std::string&)>& is_chosen =
                                 [](const std::string&) { return true; }) {
  constexpr double k_step = 1e-5;
  OpenProgram program(config);
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
