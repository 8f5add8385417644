// The text form of plans.
#include "sim/plan.h"

#include "tests/catch.h"
#include "tests/sim/tiny.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

std::string error_of(const Trace& t, const std::string& text) {
  try {
    static_cast<void>(parse_plan(t, text, "plan.txt"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("plan text: what is printed is read back") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Trace t = random_program(seed, 40);
    std::vector<Decision> plan = apply_plan(t, random_plan(t, seed, 12)).decisions;
    const std::string text = print_plan(t, plan);
    CHECK(parse_plan(t, text, "-") == plan);
  }
}

TEST_CASE("plan text: names that are not unique are written as rows") {
  Trace t = tiny("x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,a update:d");
  const BufferId a = buffer_named(t, "a");
  t.buffers[buffer_named(t, "b").index()].name = "a";
  Decision d;
  d.buffer = a;
  d.until = op_named(t, "op_d");
  const std::string text = print_plan(t, {d});
  CHECK(text == "recompute #" + std::to_string(a.value) + " until op_d\n");
  CHECK(parse_plan(t, text, "-") == std::vector<Decision>{d});
  CHECK(error_of(t, "recompute a until op_d").find("several named 'a'") != std::string::npos);
}

TEST_CASE("plan text: comments, blank lines and defaults") {
  const Trace t = tiny("x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,a update:d");
  const auto plan = parse_plan(t, "# a comment\n\n  recompute a until op_d # because\n", "-");
  REQUIRE(plan.size() == 1);
  CHECK(plan[0].reason == "because");
  const auto moved = parse_plan(t, "offload a until op_d\n", "-");
  REQUIRE(moved.size() == 1);
  CHECK_FALSE(moved[0].release_before.valid());  // filled in when the plan is applied
  const Trace planned = apply_plan(t, moved);
  CHECK(planned.decisions[0].release_before == op_named(t, "op_loss"));
  CHECK(planned.decisions[0].fetch_before == op_named(t, "op_d"));
}

TEST_CASE("plan text: errors name the file, the line, what is expected and found") {
  const Trace t = tiny("x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,a update:d");
  CHECK(error_of(t, "\nmelt a until op_d") ==
        "plan.txt: line 2: expected 'recompute' or 'offload', found melt");
  CHECK(error_of(t, "recompute") ==
        "plan.txt: line 1: expected a buffer, found the end of the line");
  CHECK(error_of(t, "recompute a") ==
        "plan.txt: line 1: expected until OP, found the end of the line");
  CHECK(error_of(t, "recompute a until") ==
        "plan.txt: line 1: expected an op, found the end of the line");
  CHECK(error_of(t, "recompute nothing until op_d") ==
        "plan.txt: line 1: expected the name or #row of a buffer, found 'nothing'");
  CHECK(error_of(t, "recompute a until #99999") ==
        "plan.txt: line 1: expected the name or #row of a op, found '#99999'");
  CHECK(error_of(t, "recompute a release op_d").find("expected until, found 'release'") !=
        std::string::npos);
  CHECK(error_of(t, "recompute a until op_d\nrecompute x until op_a")
            .starts_with("plan.txt: line 2:"));
}
