#include "profiler/cupti/scope_names.h"

#include "../../catch.h"

using namespace tidemark;

TEST_CASE("ranges: the name without what changes from call to call") {
  CHECK(stable_name("aten::linear, seq = 17, op_id = 3") == "aten::linear");
  CHECK(stable_name("  block0 ") == "block0");
  CHECK(stable_name("") == "range");
  CHECK(stable_name(", seq = 1") == "range");
}

TEST_CASE("ranges: phases by their words") {
  CHECK(phase_of("forward", Phase::other) == Phase::forward);
  CHECK(phase_of("Model.Forward", Phase::other) == Phase::forward);
  CHECK(phase_of("BackwardPass", Phase::forward) == Phase::backward);
  CHECK(phase_of("Optimizer.step#AdamW.step", Phase::other) == Phase::optimizer);
  CHECK(phase_of("optim", Phase::other) == Phase::optimizer);
  CHECK(phase_of("EvalForward", Phase::other) == Phase::eval);
  CHECK(phase_of("retrieval", Phase::other) == Phase::other);
  CHECK(phase_of("autograd::engine::evaluate_function: AddBackward0", Phase::other) ==
        Phase::backward);
  CHECK(phase_of("block0", Phase::backward) == Phase::backward);
}

TEST_CASE("ranges: steps by their number") {
  CHECK(step_of("step 12") == 12);
  CHECK(step_of("Iteration: 3") == 3);
  CHECK(step_of("iter_7") == 7);
  CHECK(step_of("batch#0") == 0);
  CHECK(step_of("step") == -1);
  CHECK(step_of("step one") == -1);
  CHECK(step_of("step 3 of 5") == -1);
  CHECK(step_of("step 99999999999") == -1);
  CHECK(step_of("block0") == -1);
}

TEST_CASE("ranges: a path is one layer, whichever step it is in") {
  ScopeNames names;
  ScopeStack stack;
  CHECK(stack.pop() == Scope{});  // a pop too many
  for (std::int32_t step = 0; step < 3; ++step) {
    stack.push(names, "step " + std::to_string(step));
    stack.push(names, "forward");
    const Scope inner = stack.push(names, "block0, seq = " + std::to_string(step));
    CHECK(inner == Scope{.step = step, .phase = Phase::forward, .layer = LayerId(1), .op = {}});
    stack.pop(), stack.pop(), stack.pop();
  }
  CHECK(stack.depth() == 0);
  const std::vector<Layer> expected{
      {.name = "forward", .kind = "range", .parent = {}},
      {.name = "forward/block0", .kind = "range", .parent = LayerId(0)}};
  CHECK(names.rows_from(0) == expected);
  CHECK(names.rows_from(1) == std::vector<Layer>{expected[1]});
  CHECK(names.rows_from(2).empty());
}

TEST_CASE("ranges: names that never repeat do not fill the memory") {
  ScopeNames names;
  const LayerId outer = names.intern({}, "outer");
  for (std::size_t i = 0; i < ScopeNames::k_most_layers + 10; ++i) {
    names.intern(outer, std::to_string(i));
  }
  CHECK(names.rows_from(0).size() == ScopeNames::k_most_layers);
  CHECK(names.intern(outer, "one more") == outer);
  CHECK(names.intern({}, "outer") == outer);
}
