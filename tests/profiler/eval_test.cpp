// Evaluation between training steps: it changes nothing, it is right, and it needs little memory.
#include <map>
#include <set>

#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/profiler/programs.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

RunConfig with_eval(RunConfig config, std::int64_t every) {
  config.eval_every = every;
  return config;
}

RunConfig gpt2_with_everything() {
  RunConfig config = with_everything(small_gpt2());
  config.attention_dropout = 0.25;
  return config;
}

std::vector<RunConfig> all_families() {
  return {small_mlp(),    with_everything(small_gpt2()), gpt2_with_everything(), small_lenet(),
          small_resnet(), with_everything(small_llama())};
}

/// Letters that do not repeat themselves from window to window.
std::string text_from(int begin, int end) {
  std::string text;
  for (int i = begin; i < end; ++i) text += static_cast<char>(i * i / 7 % 16);
  return text;
}

/// Enough of it to hold something out.
Dataset data_of(const RunConfig& config) {
  if (config.model.family == ModelFamily::mlp) return larger_table();
  if (config.model.is_decoder()) return Dataset::text(text_from(0, 100));
  return small_images(config.model.image, 24);
}

Trace train(const RunConfig& config, RunOptions options = {}) {
  const Dataset data = data_of(config);
  options.data = &data;
  return run(build_program(config), options);
}

std::map<std::pair<std::int32_t, std::string>, std::int64_t> states(const Trace& t) {
  std::map<std::pair<std::int32_t, std::string>, std::int64_t> out;
  for (const Digest& d : t.digests) out[{d.step, t[d.buffer].name}] = d.hash;
  return out;
}

/// Most bytes live at once in the section eval, from its ops alone: a buffer of it lives from its
/// first use to its last.
std::int64_t naive_eval_peak(const Trace& t) {
  std::vector<OpId> ops;
  for (const Instruction& line : t.program.eval) {
    if (line.kind == InstructionKind::run) ops.push_back(line.op());
  }
  std::set<BufferId> persistent;
  for (std::size_t i = 0; i < t.buffers.size(); ++i) {
    const Category c = t.buffers[i].category;
    if (c == Category::weight || c == Category::optimizer_state) persistent.insert(BufferId{i});
  }
  std::int64_t peak = 0;
  for (std::size_t now = 0; now < ops.size(); ++now) {
    std::set<BufferId> before, after, live = persistent;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      for (const Operand& o : t[ops[i]].operands) {
        if (i <= now) before.insert(o.buffer);
        if (i >= now) after.insert(o.buffer);
      }
    }
    for (const BufferId id : before) {
      if (after.contains(id)) live.insert(id);
    }
    std::int64_t bytes = 0;
    for (const BufferId id : live) bytes += counted_bytes(t[id]);
    peak = std::max(peak, bytes);
  }
  return peak;
}

}  // namespace

TEST_CASE("evaluations change no bit of training, and come when they are due") {
  for (const RunConfig& config : all_families()) {
    const Trace without = train(config, {.steps = 5});
    const Trace with = train(with_eval(config, 2), {.steps = 5, .poison = true});
    CAPTURE(config.model.name, config.attention_dropout);
    REQUIRE(states(without).size() > 10);
    CHECK(states(with) == states(without));
    CHECK(losses(with) == losses(without));
    for (const StepRecord& step : with.steps) {
      CHECK(step.has_eval_loss == (step.step == 1 || step.step == 3));
      if (step.has_eval_loss) CHECK(step.eval_loss > 0);
      CHECK((step.eval_wall_ns > 0) == step.has_eval_loss);
    }
    for (const StepRecord& step : without.steps) CHECK_FALSE(step.has_eval_loss);
    CHECK(recorded_timeline(with).peak.bytes == recorded_timeline(without).peak.bytes);
  }
}

TEST_CASE("the loss of an evaluation is that of a step that sees the held-out samples") {
  for (RunConfig config : {small_mlp(), small_gpt2()}) {
    const bool text = config.model.is_decoder();
    config.batch = 2;  // what is held out: rows 22 and 23, windows 22 and 23
    config.optimizer.kind = Optimizer::sgd;
    config.optimizer.learning_rate = 1e-300;  // changes no bit
    const Trace evaluated = train(with_eval(config, 1), {.steps = 2});
    CHECK(evaluated.steps[0].eval_loss == evaluated.steps[1].eval_loss);
    CHECK(evaluated.steps[0].eval_loss != evaluated.steps[0].loss);

    std::string held_out;
    if (text) {
      held_out = text_from(22 * 4, 24 * 4 + 1);
    } else {
      // Columns are scaled by their largest values, 4, 3 and 5, which row 0 brings along.
      held_out = "4,3,5,0\n4,2,4,1\n1,1,5,2\n";
    }
    const Dataset data = text ? Dataset::text(held_out) : Dataset::table(held_out, "held.csv");
    Trace program = build_program(config);
    for (Op& op : program.ops) {
      if (op.kind != OpKind::load_batch || text) continue;
      op.attributes[0].integer = 1;
      op.attributes[0].per_step = 0;
    }
    CHECK(run(program, {.steps = 1, .data = &data}).steps[0].loss == evaluated.steps[0].eval_loss);
  }
}

TEST_CASE("the mean of micro-batches is the loss of the whole evaluation") {
  RunConfig config = with_eval(small_mlp(Activation::tanh, DType::f64), 1);
  config.batch = 2;
  const double whole = train(config, {.steps = 1}).steps[0].eval_loss;
  config.accumulation = 2;
  CHECK(train(config, {.steps = 1}).steps[0].eval_loss == Approx(whole).epsilon(1e-14));
}

TEST_CASE("an evaluation gives up its activations as it goes, and is recorded as it is replayed") {
  for (const RunConfig& config : all_families()) {
    const Trace t = train(with_eval(config, 2), {.steps = 3});
    CAPTURE(config.model.name);
    CHECK(check(t).empty());
    const Timeline recorded = recorded_timeline(t);
    const Timeline replayed = replay(t, {}, 3);
    CHECK(recorded.eval_peak.bytes == naive_eval_peak(t));
    CHECK(recorded.eval_peak.bytes == replayed.eval_peak.bytes);
    CHECK(recorded.eval_peak.by_category == replayed.eval_peak.by_category);
    CHECK(recorded.eval_peak.bytes < recorded.peak.bytes);
    CHECK(recorded.run_peak.bytes == replayed.run_peak.bytes);
    CHECK(recorded.eval_peak.by_category[static_cast<std::size_t>(Category::gradient)] == 0);
    for (const Instruction& line : t.program.eval) {
      if (line.kind == InstructionKind::run) CHECK(t[line.op()].phase == Phase::eval);
    }
  }
}

TEST_CASE("evaluations: dry and cpu allocate alike, a placed program runs in its height") {
  for (const RunConfig& config : {small_mlp(), gpt2_with_everything(), small_resnet()}) {
    Trace program = build_program(with_eval(config, 2));
    const std::int64_t height = place_first_fit(program);
    const Dataset data = data_of(config);
    const RunOptions options{.steps = 4, .device_memory_bytes = height, .data = &data};
    const Trace cpu = run(program, options);
    const Trace dry = run(program, {.backend = BackendKind::dry, .steps = 4});
    CHECK(memory_events(cpu) == memory_events(dry));
    CHECK(cpu.arenas.at(0).high_water_bytes == height);
  }
}

TEST_CASE("a run that ends for lack of memory in an evaluation keeps the step before it") {
  // The evaluation alone is given a buffer that does not fit.
  Trace program = build_program(with_eval(small_mlp(), 2));
  const std::int64_t height = place_first_fit(program);
  const BufferId logits = buffer_named(program, "linear2.y@eval");
  program.buffers[logits.index()].size_bytes = height;
  const std::int64_t more = place_first_fit(program);
  const Dataset data = larger_table();
  const RunResult result =
      execute(program, {.steps = 5, .device_memory_bytes = more, .data = &data});
  CHECK_FALSE(result.shortage.has_value());
  const RunResult fails =
      execute(program, {.steps = 5, .device_memory_bytes = height, .data = &data});
  REQUIRE(fails.shortage.has_value());
  CHECK(fails.shortage->buffer == logits);
  REQUIRE(fails.trace.steps.size() == 2);
  CHECK_FALSE(fails.trace.steps[1].has_eval_loss);
}
