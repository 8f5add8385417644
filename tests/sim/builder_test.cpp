// Programs of the built-in models: sizes counted by hand, legality, gradients.
#include "sim/builder.h"

#include <map>
#include <set>

#include "../catch.h"
#include "sim/check.h"
#include "sim/op_table.h"
#include "sim/program_builder.h"
#include "sim/timeline.h"
#include "traces/error.h"
#include "traces/validate.h"

using namespace tidemark;

namespace {

std::int64_t bytes_of(const Trace& t, Category category) {
  std::int64_t bytes = 0;
  for (const Buffer& b : t.buffers) bytes += b.category == category ? b.size_bytes : 0;
  return bytes;
}

RunConfig textbook() {
  RunConfig c;
  c.model.name = "textbook";
  c.model.mlp.widths = {3, 5, 2};
  c.batch = 7;
  return c;
}

}  // namespace

TEST_CASE("GPT-2 small has 124,439,808 parameters") {
  RunConfig config = default_run("gpt2-124M");
  config.batch = 1;
  config.sequence = 8;
  const Trace t = build_program(config);
  CHECK(bytes_of(t, Category::weight) == 124'439'808LL * 4);
  CHECK(bytes_of(t, Category::gradient) == 124'439'808LL * 4);
  CHECK(bytes_of(t, Category::optimizer_state) == 2 * 124'439'808LL * 4);
}

TEST_CASE("the textbook network has the bytes that one counts by hand") {
  const Trace t = build_program(textbook());
  // Weights 5x3 + 5 + 2x5 + 2 = 32; AdamW keeps two numbers for each.
  CHECK(bytes_of(t, Category::weight) == 32 * 4);
  CHECK(bytes_of(t, Category::gradient) == 32 * 4);
  CHECK(bytes_of(t, Category::optimizer_state) == 64 * 4);
  CHECK(bytes_of(t, Category::input) == (7 * 3 + 7) * 4);
  // linear0.y 35, relu0.y 35, linear1.y 14, the loss and 7 log-sums; gradients: relu0 in and out.
  CHECK(bytes_of(t, Category::activation) == (35 + 35 + 14 + 1 + 7) * 4);
  CHECK(bytes_of(t, Category::temporary) == (35 + 35) * 4);
}

TEST_CASE("precision bf16 adds room for the rounded factors of each linear op, and nothing else") {
  RunConfig config = textbook();
  const Trace full = build_program(config);
  config.precision = Precision::bf16;
  const Trace narrow = build_program(config);
  CHECK(check(narrow).empty());
  // Factors of layer 0: x 7x3, w 5x3, dy 7x5; of layer 1: x 7x5, w 2x5, dy 7x2. No dx of layer 0.
  const std::int64_t forward = 21 + 15 + 35 + 10;
  const std::int64_t backward = 21 + 35 + 10;
  CHECK(bytes_of(narrow, Category::workspace) == 2 * (forward + backward));
  CHECK(bytes_of(full, Category::workspace) == 0);
  // dy is rounded once, for both of its readers.
  CHECK(bytes_of(narrow, Category::temporary) ==
        bytes_of(full, Category::temporary) + 2 * (35 + 14));
  for (const Category c : {Category::weight, Category::activation}) {
    CHECK(bytes_of(narrow, c) == bytes_of(full, c));
  }
}

TEST_CASE("every built-in model builds a legal program of level 2") {
  for (const BuiltinModel& m : builtin_models()) {
    for (Optimizer optimizer :
         {Optimizer::sgd, Optimizer::adamw, Optimizer::momentum, Optimizer::adam}) {
      RunConfig config = default_run(m.model.name);
      config.optimizer.kind = optimizer;
      const Trace t = build_program(config);
      CAPTURE(m.model.name, to_string(optimizer));
      CHECK(t.meta.level == 2);
      CHECK(run_config_from_json(t.meta.config_json) == config);
      REQUIRE(index_fault(t).empty());
      const std::vector<Finding> findings = check(t);
      if (!findings.empty()) FAIL(findings[0].place << ": " << findings[0].message);
    }
  }
}

TEST_CASE("every activation and both types build legal programs") {
  for (Activation activation :
       {Activation::sigmoid, Activation::tanh, Activation::relu, Activation::gelu}) {
    for (DType dtype : {DType::f32, DType::f64}) {
      RunConfig config = textbook();
      config.model.mlp.widths = {3, 5, 4, 2};
      config.model.mlp.activation = activation;
      config.dtype = dtype;
      const Trace t = build_program(config);
      CAPTURE(to_string(activation));
      CHECK(check(t).empty());
      CHECK(bytes_of(t, Category::weight) == (15 + 5 + 20 + 4 + 8 + 2) * size_bytes(dtype));
    }
  }
}

TEST_CASE("every weight has a gradient of its shape that backward writes and one update reads") {
  for (const char* name : {"mlp", "gpt2-tiny"}) {
    const Trace t = build_program(default_run(name));
    std::map<std::int32_t, std::int32_t> gradient_of;
    std::set<std::int32_t> written;
    for (const Op& op : t.ops) {
      for (const Operand& o : op.operands) {
        if (op.phase == Phase::backward && o.writes >= 0) written.insert(o.buffer.value);
      }
      if (op.kind != OpKind::adamw_update) continue;
      const BufferId w = find_operand(op, "w")->buffer;
      CHECK(gradient_of.emplace(w.value, find_operand(op, "dw")->buffer.value).second);
    }
    for (std::size_t i = 0; i < t.buffers.size(); ++i) {
      if (t.buffers[i].category != Category::weight) continue;
      const auto row = gradient_of.find(static_cast<std::int32_t>(i));
      CAPTURE(t.buffers[i].name);
      REQUIRE(row != gradient_of.end());
      const Buffer& gradient = t.buffers[static_cast<std::size_t>(row->second)];
      CHECK(gradient.category == Category::gradient);
      CHECK(gradient.shape == t.buffers[i].shape);
      CHECK(written.contains(row->second));
    }
  }
}

TEST_CASE("tied weights accumulate: embedding after head") {
  const Trace t = build_program(default_run("gpt2-tiny"));
  int updates = 0;
  for (const Op& op : t.ops) {
    for (const Operand& o : op.operands) {
      const bool wte = t[o.buffer].name == "embedding.wte.gradient";
      if (wte && o.writes >= 0 && o.reads >= 0) ++updates;
    }
  }
  CHECK(updates == 1);
}

TEST_CASE("only weights and optimizer state live from step to step") {
  for (const char* name : {"mlp-tiny", "gpt2-tiny"}) {
    const Trace t = build_program(default_run(name));
    const Timeline timeline = replay(t);
    std::int64_t change = -1;
    while (timeline.changes[static_cast<std::size_t>(change + 1)].step == -1) ++change;
    for (BufferId id : live_after(t, timeline, change)) {
      const Category c = t[id].category;
      CHECK((c == Category::weight || c == Category::optimizer_state));
    }
  }
}

TEST_CASE("what varies per step is an expression of the step") {
  const Trace t = build_program(default_run("gpt2-tiny"));
  for (const Op& op : t.ops) {
    if (op.kind == OpKind::load_batch) CHECK(integer_at(op, "cursor", 3) == 3 * 8);
    if (op.kind == OpKind::adamw_update) CHECK(integer_at(op, "t", 4) == 5);
  }
}

TEST_CASE("every op and buffer is its own origin and has a leaf layer") {
  const Trace t = build_program(default_run("gpt2-tiny"));
  std::set<std::int32_t> parents;
  for (const Layer& layer : t.layers) parents.insert(layer.parent.value);
  for (std::size_t i = 0; i < t.ops.size(); ++i) {
    CHECK(t.ops[i].origin == OpId{i});
    CHECK(t.ops[i].layer.valid());
    CHECK_FALSE(parents.contains(t.ops[i].layer.value));
  }
  for (std::size_t i = 0; i < t.buffers.size(); ++i) {
    CHECK(t.buffers[i].origin == BufferId{i});
    CHECK(t.buffers[i].layer.valid());
  }
}

TEST_CASE("the same configuration gives the same program, an invalid one gives none") {
  CHECK(build_program(textbook()) == build_program(textbook()));
  RunConfig config = textbook();
  config.batch = 0;
  CHECK_THROWS_AS(build_program(config), InputError);
}

TEST_CASE("attributes of the builder") {
  CHECK(integer("n", 3) == Attribute{"n", 3, 0, 0, ""});
  CHECK(per_step("n", 3, 2) == Attribute{"n", 3, 2, 0, ""});
  CHECK(real("x", 0.5) == Attribute{"x", 0, 0, 0.5, ""});
}
