// Every prediction is run: recorded -> planned -> executed -> compared. The invariants of the
// README that speak of executed plans.

#include "tests/loop/training.h"

#include <algorithm>

#include "sim/check.h"
#include "sim/compare.h"
#include "sim/placement.h"
#include "sim/plan.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using test::Training;

namespace {

const ArenaRecord& device_arena(const Trace& trace) {
  const auto it = std::ranges::find(trace.arenas, SpaceKind::device,
                                    [](const ArenaRecord& a) { return a.space.kind; });
  REQUIRE(it != trace.arenas.end());
  return *it;
}

/// The plan runs in exactly its height, not in 256 bytes less, and changes no bit.
void require_executed_as_planned(const Training& training, const Trace& planned) {
  const std::int64_t height = planned.plan.height_bytes;
  REQUIRE(height == placement_height(planned));

  const RunResult exact = training.run(planned, height);
  REQUIRE_FALSE(exact.shortage);
  CHECK(device_arena(exact.trace).high_water_bytes == height);
  CHECK(device_arena(exact.trace).capacity_bytes == height);
  const Comparison c = compare(planned, exact.trace);
  CHECK(c.peak_error_bytes == 0);
  CHECK(c.reserved_error_bytes == 0);

  const RunResult tight = training.run(planned, height - k_granule_bytes);
  CHECK(tight.shortage);

  const Comparison against_keep_all = compare(training.recorded, exact.trace);
  CHECK(against_keep_all.first_difference.empty());
  CHECK(against_keep_all.bitwise_equal == std::optional(true));
  CHECK(against_keep_all.compared_steps == test::k_steps);
}

/// Proven: the budget is below the bound. Else the search must have found a plan.
void require_planned_or_proven(const Training& training, int percent) {
  const SearchResult result = training.plan(percent);
  if (!result.feasible) {
    INFO("bound " << result.infeasible.bound_bytes << ", smallest plan found "
                  << result.infeasible.smallest_found_bytes);
    CHECK(result.proven_infeasible);
    REQUIRE(result.infeasible.smallest_found_bytes >= result.infeasible.bound_bytes);
    return;
  }
  CHECK(check(result.planned).empty());
  CHECK(result.planned.plan.height_bytes <= result.planned.plan.budget_bytes);
  CHECK(result.planned.plan.step_ns >= result.planned.plan.bound_step_ns);
  require_executed_as_planned(training, result.planned);
}

/// The planned body without the last free of a kept-over activation moved to its begin: the buffer
/// is freed one op before its last reader.
Trace with_early_free(Trace planned) {
  std::vector<Instruction>& body = planned.program.body;
  for (std::size_t i = body.size(); i-- > 2;) {
    const bool free_after_run =
        body[i].kind == InstructionKind::free && body[i - 1].kind == InstructionKind::run;
    if (!free_after_run) continue;
    const Op& op = planned[body[i - 1].op()];
    const bool reads = std::ranges::any_of(op.operands, [&](const Operand& o) {
      return o.buffer == body[i].buffer() && o.reads >= 0;
    });
    const Category category = planned[body[i].buffer()].category;
    if (reads && (category == Category::activation || category == Category::gradient)) {
      std::swap(body[i], body[i - 1]);
      return planned;
    }
  }
  FAIL("the body has no free right after its last reader");
  return planned;
}

}  // namespace

TEST_CASE("invariants 3, 4: an executed plan of gpt2-tiny takes its memory and changes no bit") {
  const Training training("gpt2-tiny");
  for (int percent : {80, 60, 40}) {
    INFO(percent << " % of the peak");
    require_planned_or_proven(training, percent);
  }
}

TEST_CASE("invariants 3, 4: executed plans of a Llama decoder change no bit") {
  RunConfig config = default_run("llama-tiny");
  for (const AttentionLowering lowering :
       {AttentionLowering::composite, AttentionLowering::flash}) {
    config.attention = lowering;
    const Training training(config);
    INFO(to_string(lowering));
    require_planned_or_proven(training, 70);
    config.accumulation = 2;
    config.dropout = 0.1;
    config.optimizer.clip_norm = 0.5;
  }
}

TEST_CASE("invariants 3, 4: executed plans of a decoder with experts change no bit") {
  RunConfig config = default_run("moe-tiny");
  config.accumulation = 2;
  config.dropout = 0.1;
  config.optimizer.clip_norm = 0.5;
  const Training training(config);
  for (int percent : {80, 60}) {
    INFO(percent << " % of the peak");
    require_planned_or_proven(training, percent);
  }
}

TEST_CASE("invariants 3, 4: an executed plan of mlp takes its memory and changes no bit") {
  const Training training("mlp");
  for (int percent : {80, 60, 40}) {
    INFO(percent << " % of the peak");
    require_planned_or_proven(training, percent);
  }
}

TEST_CASE("invariant 3: one early free is caught by the checker, and loses bits without it") {
  const Training training("gpt2-tiny");
  const SearchResult result = training.plan(60);
  REQUIRE(result.feasible);
  const Trace mutated = with_early_free(result.planned);
  CHECK_FALSE(check(mutated).empty());
  CHECK_THROWS_AS(training.run(mutated, 0), InputError);

  RunOptions options;
  options.steps = test::k_steps;
  options.data = &training.data;
  options.poison = true;
  options.check = false;
  const RunResult wrong = execute(mutated, options);
  CHECK(compare(training.recorded, wrong.trace).bitwise_equal == std::optional(false));
}

TEST_CASE("invariant 4: a plan that offloads runs with copies and changes no bit") {
  const Training training("gpt2-tiny");
  SearchRequest request;
  request.budget_bytes = figures_of(training.recorded).peak_bytes * 7 / 10;
  request.allow_recompute = false;
  request.link_bytes_per_s = 10e9;
  request.link_latency_ns = 5000;
  const SearchResult result = search(training.recorded, request);
  REQUIRE(result.feasible);
  REQUIRE(std::ranges::any_of(result.planned.decisions,
                              [](const Decision& d) { return d.kind == DecisionKind::offload; }));
  const RunFigures figures = figures_of(result.planned);
  CHECK(figures.copied_bytes > 0);
  CHECK(figures.host_peak_bytes > 0);
  require_executed_as_planned(training, result.planned);
}

TEST_CASE("invariants 3, 4: optimizer state that waits on the host changes no bit") {
  const Training training("gpt2-tiny");
  SearchRequest request;
  request.budget_bytes = figures_of(training.recorded).peak_bytes * 6 / 10;
  request.method = "state";
  request.link_bytes_per_s = 10e9;
  request.link_latency_ns = 5000;
  const SearchResult result = search(training.recorded, request);
  REQUIRE(result.feasible);
  REQUIRE(std::ranges::any_of(result.planned.decisions, [&](const Decision& d) {
    return training.recorded[d.buffer].category == Category::optimizer_state;
  }));
  require_executed_as_planned(training, result.planned);
}

TEST_CASE("invariant 2: the replay of a recorded trace gives the recorded peak to the byte") {
  for (const char* model : {"mlp-tiny", "mlp", "gpt2-tiny", "llama-tiny", "moe-tiny"}) {
    INFO(model);
    const Training training(model);
    const Timeline recorded = recorded_timeline(training.recorded);
    const Timeline replayed = replay(training.recorded);
    CHECK(recorded.peak.bytes == replayed.peak.bytes);
    CHECK(recorded.peak.by_category == replayed.peak.by_category);
    CHECK(recorded.peak.owners == replayed.peak.owners);
    CHECK(recorded.run_peak.bytes == replayed.run_peak.bytes);
    CHECK(device_arena(training.recorded).peak_live_bytes == recorded.run_peak.bytes);
  }
}

TEST_CASE("invariant 7: the same input, seed and node limit give the same planned bytes") {
  const Training training("gpt2-tiny");
  CHECK(to_binary(training.plan(60).planned) == to_binary(training.plan(60).planned));
}

TEST_CASE("a planned trace survives its file: it runs as before after writing and reading") {
  const Training training("gpt2-tiny");
  const SearchResult result = training.plan(60);
  REQUIRE(result.feasible);
  const Trace back = from_bytes(to_binary(result.planned), "memory");
  CHECK(back == result.planned);
  require_executed_as_planned(training, back);
}

TEST_CASE("the text form of a plan gives the same program") {
  const Training training("gpt2-tiny");
  const SearchResult result = training.plan(60);
  REQUIRE(result.feasible);
  const std::string text = print_plan(training.recorded, result.planned.decisions);
  const Trace again = apply_plan(training.recorded, parse_plan(training.recorded, text, "plan"));
  CHECK(again.program == result.planned.program);
}

TEST_CASE("the loss falls on real text") {
  for (const char* model : {"gpt2-tiny", "llama-tiny", "moe-tiny"}) {
    INFO(model);
    Training training(model);
    RunOptions options;
    options.steps = 60;
    options.data = &training.data;
    options.digests = false;
    const Trace trace = run(training.recorded, options);
    CHECK(trace.steps.back().loss < trace.steps.front().loss - 1.0);
  }
}

TEST_CASE("invariants 3, 4: executed plans of convolutional models change no bit") {
  RunConfig lenet = default_run("lenet5");
  lenet.batch = 8;
  lenet.accumulation = 2;
  lenet.optimizer.kind = Optimizer::momentum;
  RunConfig resnet = default_run("resnet20");
  resnet.model.image = {
      .channels = 3, .height = 12, .width = 12, .classes = 10, .blocks = 1, .filters = 4};
  resnet.batch = 8;
  resnet.optimizer.clip_norm = 0.5;
  for (const RunConfig& config : {lenet, resnet}) {
    const Training training(config);
    for (int percent : {90, 80}) {
      INFO(config.model.name << ": " << percent << " % of the peak");
      require_planned_or_proven(training, percent);
    }
  }
}

TEST_CASE("invariant 4: dropout, micro-batches, clipping and flash attention survive plans") {
  RunConfig config = default_run("gpt2-tiny");
  config.dropout = 0.1;
  config.accumulation = 2;
  config.optimizer.clip_norm = 1;
  config.optimizer.kind = Optimizer::adam;
  for (const AttentionLowering lowering :
       {AttentionLowering::composite, AttentionLowering::flash}) {
    config.attention = lowering;
    const Training training(config);
    require_planned_or_proven(training, 70);
  }
}

TEST_CASE("accumulated gradients make the step of the whole batch") {
  RunConfig config = default_run("mlp-tiny");
  const Training whole(config);
  config.accumulation = 4;
  const Training parts(config);
  for (std::size_t i = 0; i < whole.recorded.steps.size(); ++i) {
    CHECK(parts.recorded.steps[i].loss == Approx(whole.recorded.steps[i].loss).epsilon(1e-5));
  }
}
