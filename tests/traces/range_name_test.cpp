#include "traces/range_name.h"

#include "../catch.h"

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

TEST_CASE("ranges: steps as PyTorch's profiler names them") {
  CHECK(profiler_step("ProfilerStep#12") == 12);
  CHECK(profiler_step("ProfilerStep#") == -1);
  CHECK(profiler_step("ProfilerStep#-1") == -1);
  CHECK(profiler_step("ProfilerStep#1x") == -1);
  CHECK(profiler_step("step 12") == -1);
}
