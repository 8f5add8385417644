#include "sim/compare.h"

#include <limits>

#include "sim/builder.h"
#include "tests/catch.h"
#include "tests/report/two_layers.h"

using namespace tidemark;

namespace {

/// Two steps with a loss and the digest of the weight.
Trace with_results() {
  Trace t = test::two_layers();
  for (std::int32_t step : {0, 1}) {
    t.steps.push_back({step, 50 + step, 40 + step, 2.0 - step, true});
    t.digests.push_back({step, BufferId{0}, 1000 + step});
  }
  return t;
}

}  // namespace

TEST_CASE("compare: a run against itself has no difference and is bitwise equal") {
  const Trace a = with_results();
  const Comparison c = compare(a, a);
  CHECK(c.peak_error_bytes == 0);
  CHECK(c.step_time_error_pct == 0);
  CHECK(c.layers.empty());
  CHECK(c.bitwise_equal == std::optional(true));
  CHECK(c.compared_steps == 2);
  CHECK(c.compared_digests == 2);
  CHECK(c.first_difference.empty());
}

TEST_CASE("compare: one other digest is found and named") {
  const Trace a = with_results();
  Trace b = a;
  b.digests[1].hash += 1;
  const Comparison c = compare(a, b);
  CHECK(c.bitwise_equal == std::optional(false));
  CHECK(c.first_difference == "step 1: w");
}

TEST_CASE("compare: losses are compared as bits") {
  Trace a = with_results();
  Trace b = a;
  a.steps[0].loss = 0.0;
  b.steps[0].loss = -0.0;
  CHECK(compare(a, b).bitwise_equal == std::optional(false));
  a.steps[0].loss = b.steps[0].loss = std::numeric_limits<double>::quiet_NaN();
  CHECK(compare(a, b).bitwise_equal == std::optional(true));
}

TEST_CASE("compare: without digests on one side equality is not claimed") {
  const Trace a = with_results();
  Trace b = a;
  b.digests.clear();
  CHECK_FALSE(compare(a, b).bitwise_equal.has_value());
}

TEST_CASE("compare: layers that differ at the peak, largest difference first") {
  const Trace a = with_results();
  Trace b = a;
  b.buffers[1].size_bytes = 100;   // a.y: 512 + 512 -> 256 + 512
  b.buffers[0].size_bytes = 4096;  // a.x: 1024 -> 4096
  const Comparison c = compare(a, b);
  CHECK(c.layers == std::vector<LayerDifference>{{"a.x", 1024, 4096}, {"a.y", 1024, 768}});
  CHECK(c.peak_error_bytes == 3072 - 256);
}

TEST_CASE("median_step_ns: without the first step when there are several") {
  Trace t;
  CHECK(median_step_ns(t) == 0);
  t.steps = {{0, 900, 1, 0, false}};
  CHECK(median_step_ns(t) == 900);
  t.steps = {
      {0, 900, 1, 0, false}, {1, 10, 3, 0, false}, {2, 30, 2, 0, false}, {3, 20, 4, 0, false}};
  CHECK(median_step_ns(t) == 20);
  CHECK(median_step_ns(t, &StepRecord::cpu_ns) == 3);
}

TEST_CASE("figures_of: a program that never ran is timed by its replay") {
  Trace t = build_program(default_run("mlp-tiny"));
  std::int64_t body_ns = 0;
  for (Op& op : t.ops) {
    op.duration_ns = 7;
    if (op.phase != Phase::init) body_ns += 7;
  }
  const RunFigures f = figures_of(t);
  CHECK(f.step_ns == body_ns);
  CHECK(f.compute_ns == body_ns);
  CHECK(f.peak_bytes == replay(t).peak.bytes);
  CHECK(f.recomputed_ops == 0);
  CHECK(f.copied_bytes == 0);
}

TEST_CASE("figures: nothing allocated is not known, lost or cut short is not final") {
  Trace t = with_results();
  CHECK(figures_of(t).has_peak);
  CHECK(figures_of(t).is_final);
  t.health.damaged_blocks = 1;
  CHECK_FALSE(figures_of(t).is_final);
  t = with_results();
  test::add_event(t, EventKind::out_of_memory, 400, 2);
  CHECK_FALSE(figures_of(t).is_final);
  t.events.clear();
  CHECK_FALSE(figures_of(t).has_peak);
}

TEST_CASE("figures: the peak of an evaluation, 0 without one") {
  Trace t = with_results();
  CHECK(figures_of(t).eval_peak_bytes == 0);
  t.events.pop_back();  // the weight stays: an evaluation between the steps and the end
  t.ops[1].phase = Phase::eval;
  test::add_event(t, EventKind::op_begin, 300, 1);
  test::add_event(t, EventKind::alloc, 310, 2);
  test::add_event(t, EventKind::op_end, 320, 1);
  CHECK(figures_of(t).eval_peak_bytes == 1024 + 512);
  CHECK(figures_of(t).peak_bytes == figures_of(with_results()).peak_bytes);
}

TEST_CASE("figures: a loss is one only where a step has it") {
  Trace t = with_results();
  CHECK(figures_of(t).has_loss);
  for (StepRecord& s : t.steps) s.has_loss = false;
  CHECK_FALSE(figures_of(t).has_loss);
}

TEST_CASE("figures: where the time of a step comes from is said, and when load disturbed it") {
  Trace t = with_results();
  CHECK(step_origin(figures_of(t)) == "measured");
  CHECK(load_warning(figures_of(t)).empty());  // 51 ns by the clock, 41 ns of CPU
  t.steps[1].wall_ns = 200;
  CHECK(load_warning(figures_of(t)).find("busy") != std::string::npos);
  t.meta.backend = "dry";
  CHECK(load_warning(figures_of(t)).empty());
  t.meta.backend = "cpu";
  t.meta.kind = TraceKind::planned;
  t.program.body.push_back({InstructionKind::run, 1});
  CHECK(step_origin(figures_of(t)) == "source not known");
  t.ops[1].time_source = TimeSource::modelled;
  CHECK(step_origin(figures_of(t)) == "modelled");
  t.program.body.push_back({InstructionKind::run, 2});
  t.ops[2].time_source = TimeSource::measured;
  CHECK(step_origin(figures_of(t)) == "replayed from measured times of ops");
}
