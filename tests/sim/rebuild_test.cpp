// Runs built again with another configuration, and the times that carry over.
#include "sim/rebuild.h"

#include <algorithm>
#include <set>

#include "sim/builder.h"
#include "sim/check.h"
#include "sim/plan.h"
#include "tests/catch.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

/// A run whose ops took 7 times as long as the model says, on a device of the table.
Trace recorded(const RunConfig& config) {
  Trace trace = build_program(config);
  trace.meta.device = "a100-40g";
  trace.meta.data_digest = "digest";
  for (Op& op : trace.ops) {
    op.duration_ns = 7 * modelled_ns(find_device("a100-40g"), trace, op);
    op.time_source = TimeSource::measured;
  }
  trace.steps.push_back({.step = 0, .wall_ns = 1});
  trace.events.push_back({});
  return trace;
}

RunConfig tiny_gpt2() {
  RunConfig config = default_run("gpt2-tiny");
  config.batch = 4;
  return config;
}

}  // namespace

TEST_CASE("rebuild: the same configuration is the same program with the same times") {
  const Trace source = recorded(tiny_gpt2());
  const Trace built = rebuild(source, tiny_gpt2());
  CHECK(built.ops == source.ops);
  CHECK(built.buffers == source.buffers);
  CHECK(built.program == source.program);
  CHECK(built.steps == source.steps);
  CHECK(built.events.empty());
}

TEST_CASE("rebuild: times scale with the model, op by op") {
  const Trace source = recorded(tiny_gpt2());
  RunConfig config = tiny_gpt2();
  config.batch = 8;
  const Trace built = rebuild(source, config);
  CHECK(check(built).empty());
  CHECK(built.meta.data_digest == "digest");
  CHECK(built.steps.empty());  // other losses
  const Device& device = find_device("a100-40g");
  for (const Op& op : built.ops) {
    CAPTURE(op.name);
    const auto expected = 7 * modelled_ns(device, built, op);
    CHECK(std::abs(op.duration_ns - expected) <= 1);
  }
}

TEST_CASE("rebuild: a further micro-batch takes the times of the first") {
  const Trace source = recorded(tiny_gpt2());
  RunConfig config = tiny_gpt2();
  config.accumulation = 2;
  const Trace built = rebuild(source, config);
  std::set<std::int64_t> durations;
  for (const Op& op : built.ops) {
    if (op.name.rfind("block0.qkv.forward", 0) == 0) durations.insert(op.duration_ns);
  }
  CHECK(durations.size() == 1);
  const auto of_second = std::count_if(built.ops.begin(), built.ops.end(),
                                       [](const Op& op) { return op.name.ends_with("@1"); });
  CHECK(of_second > 0);
}

TEST_CASE("rebuild: another device scales measured times by both models") {
  const Trace source = recorded(tiny_gpt2());
  const Device& h100 = find_device("h100-80g");
  const Trace built = rebuild(source, tiny_gpt2(), &h100);
  CHECK(built.meta.device == "h100-80g");
  for (const Op& op : built.ops) {
    CAPTURE(op.name);
    CHECK(std::abs(op.duration_ns - 7 * modelled_ns(h100, built, op)) <= 1);
  }
  CHECK(built.steps == source.steps);  // the device changes no result
}

TEST_CASE("rebuild: a planned trace gives back the program that it was made from") {
  const Trace source = recorded(tiny_gpt2());
  const Trace planned = apply_plan(source, {});
  const Trace built = rebuild(planned, tiny_gpt2());
  CHECK(built.ops == source.ops);
  CHECK(built.decisions.empty());
}

TEST_CASE("rebuild: what is not possible is refused") {
  const Trace source = recorded(tiny_gpt2());
  RunConfig config = tiny_gpt2();
  config.accumulation = 3;
  CHECK_THROWS_AS(rebuild(source, config), InputError);
  CHECK(can_rebuild(source));
  CHECK_FALSE(can_rebuild(Trace{}));
}

TEST_CASE("program_of: all but the recording") {
  Trace source = recorded(tiny_gpt2());
  source.arenas.push_back({});
  Trace program = program_of(source);
  CHECK(program.events.empty());
  CHECK(program.arenas.empty());
  program.events = source.events;
  program.arenas = source.arenas;
  CHECK(program == source);
}
