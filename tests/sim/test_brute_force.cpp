// The judge itself: it must see what goes wrong.
#include "tests/sim/brute_force.h"

#include <algorithm>

#include "sim/placement.h"
#include "tests/catch.h"
#include "tests/sim/tiny.h"

using namespace tidemark;

namespace {

constexpr const char* k_two_values = "x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,a update:d";

}  // namespace

TEST_CASE("brute force: both steps and both copy times agree on a program without copies") {
  const Trace trace = tiny(k_two_values);
  const BruteVerdict early = brute_force(trace, CopyTime::earliest);
  const BruteVerdict late = brute_force(trace, CopyTime::latest);
  CHECK(early.errors.empty());
  CHECK(early.same_results(late));
  REQUIRE(early.contents.size() == 2);  // the weight and the probe
  const Trace other = tiny("x=load a=gelu:x b=gelu:a loss:b d=gelu_backward:b,x update:d");
  CHECK_FALSE(early.same_results(brute_force(other, CopyTime::latest)));
}

TEST_CASE("brute force: an early free changes what is computed") {
  Trace trace = tiny(k_two_values);
  const BruteVerdict truth = brute_force(trace, CopyTime::latest);
  auto& body = trace.program.body;
  const BufferId a = buffer_named(trace, "a");
  const auto free =
      std::find(body.begin(), body.end(), Instruction{InstructionKind::free, a.value});
  REQUIRE(free != body.end());
  std::rotate(std::prev(free, 2), free, std::next(free));  // before the op that reads it
  CHECK_FALSE(judged_equal(trace, truth));
}

TEST_CASE("brute force: overlapping live buffers are an error, and destroy each other") {
  Trace trace = tiny(k_two_values);
  place_all(trace);
  const BruteVerdict truth = brute_force(trace, CopyTime::latest);
  CHECK(truth.errors.empty());
  trace.buffers[buffer_named(trace, "b").index()].offset_bytes =
      trace[buffer_named(trace, "a")].offset_bytes;
  const BruteVerdict verdict = brute_force(trace, CopyTime::latest);
  CHECK_FALSE(verdict.errors.empty());
  CHECK_FALSE(verdict.same_results(truth));
}

TEST_CASE("brute force: swapped ops give another result") {
  Trace trace = tiny("x=load a=gelu:x b=scale:a loss:b update:b c=scale:a loss:c");
  const BruteVerdict truth = brute_force(trace, CopyTime::latest);
  auto& body = trace.program.body;
  const auto place_of = [&](const char* name) {
    return std::find(body.begin(), body.end(),
                     Instruction{InstructionKind::run, op_named(trace, name).value});
  };
  std::iter_swap(place_of("op_update"), place_of("op_c"));  // c now reads the old weight
  CHECK_FALSE(brute_force(trace, CopyTime::latest).same_results(truth));
}
