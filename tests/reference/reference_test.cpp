// Losses, gradients and running statistics against PyTorch, from the same weights and data. The
// formulas that make both are in make_reference.py.
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "profiler/kernels/random.h"
#include "sim/builder.h"
#include "sim/op_table.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/profiler/open_program.h"
#include "tests/profiler/programs.h"

using namespace tidemark;
using namespace tidemark::test;
using Json = nlohmann::json;

namespace {

const Json& reference() {
  static const Json json = [] {
    std::ifstream file(std::string(TIDEMARK_SOURCE_DIR) + "/tests/reference/pytorch.json");
    return Json::parse(file);
  }();
  return json;
}

std::uint64_t random_24(std::uint64_t stream, std::uint64_t i) {
  return kernels::mix(kernels::mix(stream) + i) >> 40;
}

RunConfig config_of(const std::string& name, DType dtype) {
  RunConfig c;
  c.model.name = name;
  c.batch = reference()["batch"];
  c.dtype = dtype;
  if (name == "mlp") c.model.mlp.widths = {20, 24, 5};
  if (name == "lenet") {
    c.model.family = ModelFamily::lenet;
    c.model.image = {.channels = 1, .height = 12, .width = 12, .classes = 4};
  }
  if (name == "resnet") {
    c.model.family = ModelFamily::resnet;
    c.model.image = {
        .channels = 1, .height = 8, .width = 8, .classes = 3, .blocks = 1, .filters = 4};
  }
  if (name == "gpt2") {
    c.model.family = ModelFamily::gpt2;
    c.model.gpt2 = {.layers = 2, .heads = 2, .channels = 16, .vocabulary = 32, .positions = 16};
    c.sequence = 12;
  }
  if (name == "llama" || name.starts_with("moe")) {
    c.model.family = ModelFamily::llama;
    c.model.llama = {.layers = 2,
                     .heads = 4,
                     .kv_heads = 2,
                     .channels = 16,
                     .hidden = 20,
                     .vocabulary = 32,
                     .positions = 16,
                     .rotary_base = 100};
    c.sequence = 12;
    if (name != "llama") c.model.llama.experts = 4;
  }
  const Json& o = reference()["models"][name]["optimizer"];
  c.model.llama.balance_loss = o.value("balance", 0.0);
  c.optimizer.kind = parse_enum<Optimizer>(o["kind"].get<std::string>()).value();
  c.optimizer.learning_rate = o["learning_rate"];
  c.optimizer.weight_decay = o.value("weight_decay", 0.0);
  c.optimizer.epsilon = o.value("epsilon", 1e-8);
  c.optimizer.clip_norm = o.value("clip_norm", 0.0);
  return c;
}

Dataset data_of(const RunConfig& c) {
  const std::uint64_t rows = reference()["rows"];
  if (c.model.is_decoder()) {
    std::string text;
    for (std::uint64_t i = 0; i < rows * 12 + 1; ++i) {
      text += static_cast<char>(random_24(9, i) % 32);
    }
    return Dataset::text(text);
  }
  const bool mlp = c.model.family == ModelFamily::mlp;
  const auto columns = static_cast<std::uint64_t>(mlp ? c.model.mlp.widths.front()
                                                      : c.model.image.height * c.model.image.width);
  const auto classes =
      static_cast<std::uint64_t>(mlp ? c.model.mlp.widths.back() : c.model.image.classes);
  std::string csv;
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t i = r * columns; i < (r + 1) * columns; ++i) {
      csv += std::to_string(r == 0 ? 16 : random_24(7, i) % 17) + ",";
    }
    csv += std::to_string(random_24(8, r) % classes) + "\n";
  }
  return Dataset::table(csv, "reference");
}

/// A program that runs from the weights of the reference.
class Training {
 public:
  explicit Training(const RunConfig& config)
      : program_(of_all_samples(build_program(config)), data_of(config)) {
    program_.run(program_.program().init);
    std::uint64_t row = 0;
    for (const Json& p : reference()["models"][config.model.name]["gradients"]) {
      set_weight(p, row++);
    }
  }

  /// One step; the first gradients are kept.
  double step(std::int64_t index) {
    program_.run(program_.program().body, index, [&](const Op& op) {
      if (index == 0) look_at(op);
    });
    return program_.take_loss();
  }

  [[nodiscard]] const Numbers& gradient(const std::string& weight) const {
    return gradients_.at(weight);
  }
  [[nodiscard]] Numbers weight(const std::string& name) const {
    return program_.load(buffer_named(program_.trace(), name));
  }

 private:
  /// The reference holds nothing out.
  static Trace of_all_samples(Trace trace) {
    for (Op& op : trace.ops) {
      std::erase_if(op.attributes, [](const Attribute& a) { return a.name == "part"; });
    }
    return trace;
  }

  /// Gradients as backward made them: before they are clipped or used.
  void look_at(const Op& op) {
    if (op.phase != Phase::optimizer) return;
    for (const Operand& operand : op.operands) {
      const std::string& name = program_.trace()[operand.buffer].name;
      if (!name.ends_with(".gradient")) continue;
      gradients_.emplace(name.substr(0, name.size() - 9), program_.load(operand.buffer));
    }
  }

  void set_weight(const Json& p, std::uint64_t row) {
    const BufferId id = buffer_named(program_.trace(), p["name"]);
    const Buffer& buffer = program_.trace()[id];
    REQUIRE(buffer.shape == p["shape"].get<std::vector<std::int64_t>>());
    const double offset = p["offset"], scale = p["scale"];
    Numbers values;
    for (std::int64_t i = 0; i < element_count(buffer); ++i) {
      const auto bits = static_cast<double>(random_24(1000 + row, static_cast<std::uint64_t>(i)));
      values.push_back(static_cast<float>(offset + scale * (bits * 0x1p-23 - 1)));
    }
    program_.store(id, values);
  }

  OpenProgram program_;
  std::map<std::string, Numbers> gradients_;
};

/// Cosine and relative L2 distance of the recorded elements, and the norm of all.
void check_gradient(const Json& p, const Numbers& all, double tolerance) {
  INFO(p["name"].get<std::string>());
  const auto expected = p["values"].get<Numbers>();
  const std::size_t stride = p["stride"];
  REQUIRE((all.size() + stride - 1) / stride == expected.size());
  double squares = 0, dot = 0, mine = 0, theirs = 0, distance = 0;
  for (const double g : all) squares += g * g;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double g = all[i * stride];
    dot += g * expected[i];
    mine += g * g;
    theirs += expected[i] * expected[i];
    distance += (g - expected[i]) * (g - expected[i]);
  }
  REQUIRE(theirs > 0);
  CHECK(dot / std::sqrt(mine * theirs) >= 0.999999);
  CHECK(std::sqrt(distance / theirs) <= tolerance);
  CHECK(std::abs(std::sqrt(squares) / p["norm"].get<double>() - 1) <= tolerance);
}

double relative(double a, double b) {
  return std::abs(a - b) / std::abs(b);
}

void check_model(const std::string& name, DType dtype) {
  const bool wide = dtype == DType::f64;
  CAPTURE(name, wide);
  const Json& model = reference()["models"][name];
  const Numbers losses = model[wide ? "losses_f64" : "losses_f32"];
  Training training(config_of(name, dtype));
  REQUIRE(losses.size() == 20);
  for (std::size_t step = 0; step < losses.size(); ++step) {
    CAPTURE(step);
    const double tolerance = wide ? 1e-11 : step == 0 ? 1e-6 : 1e-5;
    CHECK(relative(training.step(static_cast<std::int64_t>(step)), losses[step]) <= tolerance);
  }
  CHECK(losses.back() != losses.front());
  for (const Json& p : model["gradients"]) {
    check_gradient(p, training.gradient(p["name"]), wide ? 1e-8 : 1e-5);
  }
  if (!model.contains("statistics")) return;
  for (const auto& [key, values] : model["statistics"].items()) {
    CAPTURE(key);
    const Numbers mine = training.weight(key);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      CHECK(mine[i] == Approx(values[i].get<double>()).epsilon(wide ? 1e-9 : 1e-4).margin(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("20 steps, gradients and running statistics are PyTorch's") {
  for (const char* name : {"mlp", "lenet", "resnet", "gpt2", "llama", "moe", "moe_balanced"}) {
    for (const DType dtype : {DType::f64, DType::f32}) check_model(name, dtype);
  }
}
