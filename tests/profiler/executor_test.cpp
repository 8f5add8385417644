#include "profiler/executor.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "profiler/kernels/gemm.h"
#include "sim/check.h"
#include "sim/timeline.h"
#include "tests/catch.h"
#include "tests/profiler/programs.h"
#include "traces/binary.h"
#include "traces/error.h"
#include "traces/file.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

Trace run_on_cpu(const RunConfig& config, RunOptions options = {}) {
  const Dataset data = data_for(config);
  options.data = &data;
  return run(build_program(config), options);
}

RunResult execute_placed(const Trace& placed, RunOptions options) {
  const Dataset data = small_text();
  options.data = &data;
  return execute(placed, options);
}

Trace placed_gpt2(std::int64_t& height) {
  Trace program = build_program(small_gpt2());
  height = place_first_fit(program);
  return program;
}

/// The free of `name` in the body moves to just before the last op that uses it.
Trace freed_too_early(Trace trace, const std::string& name) {
  const BufferId buffer = buffer_named(trace, name);
  std::vector<Instruction>& body = trace.program.body;
  const Instruction freed{InstructionKind::free, buffer.value};
  body.erase(std::find(body.begin(), body.end(), freed));
  for (std::size_t i = body.size(); i-- > 0;) {
    if (body[i].kind != InstructionKind::run) continue;
    const auto& operands = trace[body[i].op()].operands;
    if (std::none_of(operands.begin(), operands.end(),
                     [&](const Operand& o) { return o.buffer == buffer; })) {
      continue;
    }
    body.insert(body.begin() + static_cast<std::ptrdiff_t>(i), freed);
    break;
  }
  return trace;
}

}  // namespace

TEST_CASE("gpt2-tiny learns the licence texts in a few steps") {
  const RunConfig config = default_run("gpt2-tiny");
  const Dataset data = find_dataset(config, "");
  RunOptions options{.steps = 10, .data = &data};
  const std::vector<double> loss = losses(run(build_program(config), options));
  CHECK(loss.front() > 5.2);  // ln 256 = 5.545, of an even guess
  CHECK(loss.front() < 5.8);
  CHECK(loss.back() < loss.front() - 0.5);
}

TEST_CASE("every activation and optimizer learns a small table") {
  for (const Activation activation :
       {Activation::sigmoid, Activation::tanh, Activation::relu, Activation::gelu}) {
    for (const Optimizer optimizer :
         {Optimizer::sgd, Optimizer::adamw, Optimizer::momentum, Optimizer::adam}) {
      RunConfig config = small_mlp(activation);
      config.batch = 6;  // all of it
      config.optimizer.kind = optimizer;
      config.optimizer.learning_rate = optimizer == Optimizer::sgd        ? 0.3
                                       : optimizer == Optimizer::momentum ? 0.05
                                                                          : 0.03;
      const std::vector<double> loss = losses(run_on_cpu(config, {.steps = 400}));
      INFO(to_string(activation) << " " << to_string(optimizer));
      CHECK(loss.back() < 0.9 * loss.front());
    }
  }
}

TEST_CASE("same seed, same digests, another seed, other digests") {
  RunConfig config = small_gpt2();
  const Trace first = run_on_cpu(config);
  const Trace second = run_on_cpu(config);
  CHECK(first.digests == second.digests);
  CHECK(losses(first) == losses(second));
  // Per step: each weight, and its two AdamW states.
  std::size_t states = 0;
  for (const Buffer& b : first.buffers) {
    states += b.category == Category::weight || b.category == Category::optimizer_state ? 1 : 0;
  }
  CHECK(first.digests.size() == 5 * states);
  config.seed = 2;
  CHECK(run_on_cpu(config).digests != first.digests);
  CHECK(run_on_cpu(config, {.digests = false}).digests.empty());
}

/// What this machine can run.
std::vector<RunConfig> bf16_configs() {
  std::vector<RunConfig> all;
  if (kernels::bfloat16_error().empty()) {
    all = {with_bf16(small_gpt2()),
           with_bf16(with_everything(small_gpt2())),
           with_bf16(small_mlp(Activation::gelu)),
           with_bf16(small_lenet()),
           with_bf16(small_llama()),
           with_bf16(with_everything(small_moe()))};
  }
  return all;
}

TEST_CASE("bf16: dry and cpu allocate alike, places and poison change no bit, the peak is lower") {
  for (const RunConfig& config : bf16_configs()) {
    Trace program = build_program(config);
    const Dataset data = data_for(config);
    const Trace caching = run(program, {.steps = 3, .data = &data, .poison = true});
    RunConfig full = config;
    full.precision = Precision::full;
    const bool holds_factors = config.model.is_decoder();
    CHECK((replay(program).peak.bytes < replay(build_program(full)).peak.bytes) == holds_factors);
    const Trace wide = run(build_program(full), {.steps = 3, .data = &data});
    for (std::size_t step = 0; step < 3; ++step) {
      CHECK(losses(caching)[step] == Approx(losses(wide)[step]).epsilon(0.02));
    }
    CHECK(losses(caching) != losses(wide));
    place_first_fit(program);
    const Trace cpu = run(program, {.steps = 3, .data = &data, .poison = true});
    const Trace dry = run(program, {.backend = BackendKind::dry, .steps = 3});
    CHECK(memory_events(cpu) == memory_events(dry));
    CHECK(cpu.digests == caching.digests);
    CHECK(losses(cpu) == losses(caching));
  }
}

TEST_CASE("no bit depends on the number of threads") {
  RunConfig gpt2 = default_run("gpt-small");
  gpt2.model.gpt2 = {.layers = 1, .heads = 2, .channels = 64, .vocabulary = 256, .positions = 200};
  gpt2.batch = 4;
  gpt2.sequence = 200;  // products and attention have several parts, the last ones of other sizes
  RunConfig everything = with_everything(gpt2);
  everything.attention = AttentionLowering::composite;
  everything.attention_dropout = 0.25;
  RunConfig llama = default_run("llama-tiny");
  llama.model.llama.layers = 1;
  llama.model.llama.positions = 200;
  llama.sequence = 200;
  RunConfig moe = llama;
  moe.model.llama.experts = 4;
  std::vector<RunConfig> configs{gpt2,        everything,    llama,         moe,
                                 small_mlp(), small_lenet(), small_resnet()};
  if (kernels::bfloat16_error().empty()) {
    configs.push_back(with_bf16(gpt2));
    configs.push_back(with_bf16(llama));
  }
  for (const RunConfig& config : configs) {
    const Trace program = build_program(config);
    const Dataset data = config.model.is_decoder() ? find_dataset(config, "") : data_for(config);
    const Trace one = run(program, {.steps = 2, .data = &data});
    for (const std::int64_t threads : {2, 5}) {
      const Trace several = run(program, {.steps = 2, .threads = threads, .data = &data});
      CAPTURE(config.model.name, threads);
      CHECK(several.digests == one.digests);
      CHECK(losses(several) == losses(one));
      CHECK(memory_events(several) == memory_events(one));
      CHECK(several.meta.device == fmt::format("cpu, {} threads", threads));
    }
  }
}

TEST_CASE("invariant 8: dry and cpu make the same sequence of allocations") {
  for (const RunConfig& config :
       {small_mlp(), small_gpt2(), small_lenet(), small_resnet(), with_everything(small_gpt2()),
        small_llama(), with_everything(small_llama()), with_everything(small_moe()),
        default_run("gpt2-tiny")}) {
    Trace program = build_program(config);
    const Dataset data =
        config.model.name == "gpt2-tiny" ? find_dataset(config, "") : data_for(config);
    for (const bool placed : {false, true}) {
      if (placed) place_first_fit(program);
      const Trace cpu = run(program, {.steps = 2, .data = &data});
      const Trace dry = run(program, {.backend = BackendKind::dry, .steps = 2});
      CHECK(memory_events(cpu) == memory_events(dry));
      CHECK(cpu.meta.allocator == (placed ? "static" : "caching"));
      CHECK(dry.meta.kind == TraceKind::dry);
      CHECK(cpu.arenas.at(0).high_water_bytes == dry.arenas.at(0).high_water_bytes);
    }
  }
}

TEST_CASE("invariant 2: the recording has the peak of the replayed program to the byte") {
  for (const RunConfig& config : {small_mlp(), small_gpt2(), small_llama()}) {
    const Trace recorded = run_on_cpu(config, {.steps = 3});
    Trace program = recorded;
    const Timeline replayed = replay(program, {}, 3);
    CHECK(recorded_timeline(recorded).peak.bytes == replayed.peak.bytes);
    CHECK(recorded_timeline(recorded).peak.by_category == replayed.peak.by_category);
    CHECK(recorded.arenas.at(0).peak_live_bytes == replayed.run_peak.bytes);
  }
}

TEST_CASE("invariant 3: a placed program runs in exactly its height and in no 256 bytes less") {
  std::int64_t height = 0;
  const Trace placed = placed_gpt2(height);
  const RunResult fits = execute_placed(placed, {.device_memory_bytes = height});
  CHECK_FALSE(fits.shortage.has_value());
  CHECK(fits.trace.arenas.at(0).high_water_bytes == height);
  CHECK(fits.trace.steps.size() == 5);

  const RunResult fails = execute_placed(placed, {.device_memory_bytes = height - 256});
  REQUIRE(fails.shortage.has_value());
  CHECK(fails.shortage->capacity_bytes == height - 256);
  CHECK(fails.trace.events.back().kind == EventKind::out_of_memory);
  CHECK(fails.trace.events.back().index == fails.shortage->buffer.value);
  RunOptions options{.device_memory_bytes = height - 256};
  const Dataset data = small_text();
  options.data = &data;
  CHECK_THROWS_AS(run(placed, options), OutOfMemory);
}

TEST_CASE("invariant 3: a buffer freed too early fails the checker, and unchecked the bits") {
  std::int64_t height = 0;
  const Trace placed = placed_gpt2(height);
  const Trace good = execute_placed(placed, {.poison = true}).trace;
  for (const char* name : {"block0.gelu.y", "block1.attention.probabilities", "norm.mean"}) {
    const Trace bad = freed_too_early(placed, name);
    INFO(name);
    CHECK_FALSE(check(bad).empty());
    CHECK_THROWS_AS(execute_placed(bad, {.poison = true}), InputError);
    const Trace unchecked = execute_placed(bad, {.poison = true, .check = false}).trace;
    CHECK(unchecked.digests != good.digests);
  }
}

TEST_CASE("results do not depend on where buffers are or what memory held") {
  const Trace caching = run_on_cpu(small_gpt2());
  std::int64_t height = 0;
  const Trace placed = execute_placed(placed_gpt2(height), {}).trace;
  const Trace poisoned = run_on_cpu(small_gpt2(), {.poison = true});
  CHECK(caching.digests == placed.digests);
  CHECK(caching.digests == poisoned.digests);
  CHECK(losses(caching) == losses(placed));
}

TEST_CASE("declared bytes = traced bytes: each event sets aside what the buffer counts for") {
  std::int64_t height = 0;
  const Trace trace = execute_placed(placed_gpt2(height), {.steps = 1}).trace;
  std::int64_t events = 0;
  for (const Event& event : trace.events) {
    if (event.kind != EventKind::alloc) continue;
    const Buffer& buffer = trace.buffers[static_cast<std::size_t>(event.index)];
    CHECK(event.size_bytes == counted_bytes(buffer));
    CHECK(event.address_bytes == buffer.offset_bytes);
    ++events;
  }
  CHECK(events > 50);
}

TEST_CASE("a shortage names the buffer and what was live, to the byte") {
  const RunConfig config = default_run("gpt2-tiny");
  const Dataset data = find_dataset(config, "");
  constexpr std::int64_t k_capacity = std::int64_t{8} << 20;
  const RunResult result =
      execute(build_program(config), {.device_memory_bytes = k_capacity, .data = &data});
  REQUIRE(result.shortage.has_value());
  const MemoryShortage& s = *result.shortage;
  CHECK(s.buffer.valid());
  CHECK(s.capacity_bytes == k_capacity);
  CHECK(s.request_bytes >= result.trace[s.buffer].size_bytes);
  CHECK(s.largest_hole_bytes < s.request_bytes);
  std::int64_t sum = 0;
  for (const std::int64_t bytes : s.live_by_category) sum += bytes;
  CHECK(sum == s.live_bytes);
  CHECK(s.live_by_category[static_cast<std::size_t>(Category::activation)] > 0);
  CHECK(result.trace.steps.empty());
  CHECK(result.trace.health.complete);
}

TEST_CASE("a cancelled run keeps its whole steps and nothing of the next") {
  std::atomic<bool> cancel{false};
  RunOptions options{.steps = 50, .cancel = &cancel};
  options.on_step = [&](const StepRecord& step) { cancel = step.step == 1; };
  const Dataset data = small_text();
  options.data = &data;
  const RunResult result = execute(build_program(small_gpt2()), options);
  CHECK(result.cancelled);
  CHECK(result.trace.steps.size() == 2);
  CHECK(result.trace.events.back().kind == EventKind::step_end);
  CHECK(result.trace.health.complete);
  CHECK(result.trace.digests.back().step == 1);
}

TEST_CASE("a run cancelled before it began is an empty recording") {
  const std::atomic<bool> cancel{true};
  RunOptions options{.cancel = &cancel};
  const Dataset data = small_table();
  options.data = &data;
  const RunResult result = execute(build_program(small_mlp()), options);
  CHECK(result.cancelled);
  CHECK(result.trace.events.empty());
}

TEST_CASE("what cannot be executed is refused before anything runs") {
  const Dataset data = small_table();
  const RunOptions options{.data = &data};
  Trace low = build_program(small_mlp());
  low.meta.level = 1;
  CHECK_THROWS_AS(run(low, options), InputError);

  CHECK_THROWS_AS(run(build_program(small_mlp()), {}), InputError);  // no data

  Trace half = build_program(small_mlp());
  for (Buffer& buffer : half.buffers) {
    if (buffer.dtype == DType::f32) buffer.dtype = DType::bf16;
  }
  CHECK_THROWS_AS(run(half, {.data = &data, .check = false}), InputError);
  CHECK_THROWS_AS(
      run(build_program(small_mlp()), {.backend = BackendKind::dry, .device = "abacus"}),
      InputError);
}

TEST_CASE("after a run every op that ran has a time, and its source is said") {
  const Trace cpu = run_on_cpu(small_gpt2());
  for (const Op& op : cpu.ops) {
    CHECK(op.duration_ns >= 0);
    CHECK(op.time_source == TimeSource::measured);
  }
  const Trace dry = run(build_program(small_gpt2()), {.backend = BackendKind::dry});
  for (const Op& op : dry.ops) {
    CHECK(op.duration_ns > 0);
    CHECK(op.time_source == TimeSource::modelled);
  }
  // Measured times of a program are what a dry run goes by, and stay measured.
  const Trace again = run(cpu, {.backend = BackendKind::dry});
  CHECK(again.ops == cpu.ops);
}

TEST_CASE("dry runs are reproducible and any size takes no memory") {
  const Trace program = build_program(default_run("gpt2-1558M"));
  const Trace first = run(program, {.backend = BackendKind::dry, .steps = 2});
  const Trace second = run(program, {.backend = BackendKind::dry, .steps = 2});
  CHECK(first.events == second.events);
  CHECK(first.steps.at(1).wall_ns > 0);
  CHECK_FALSE(first.steps.at(1).has_loss);
}

TEST_CASE("META says how the run was made") {
  const Dataset data = small_text();
  const Trace trace =
      run(build_program(small_gpt2()), {.device_memory_bytes = 64 << 20, .data = &data});
  CHECK(trace.meta.kind == TraceKind::recorded);
  CHECK(trace.meta.backend == "cpu");
  CHECK(trace.meta.data_digest == data.digest());
  CHECK(trace.meta.device_memory_bytes == 64 << 20);
  Trace planned = trace;
  planned.meta.kind = TraceKind::planned;
  CHECK(run(planned, {.data = &data}).meta.kind == TraceKind::measured);
}

TEST_CASE("recording changes no bit of a result") {
  RunOptions off{.steps = 3, .record = false};
  RunOptions on{.steps = 3};
  const Trace without = run_on_cpu(small_gpt2(), off);
  const Trace with = run_on_cpu(small_gpt2(), on);
  CHECK(without.events.empty());
  CHECK_FALSE(with.events.empty());
  REQUIRE(with.digests.size() > 0);
  CHECK(with.digests == without.digests);
  CHECK(losses(with) == losses(without));
  CHECK(with.arenas == without.arenas);
}

TEST_CASE("the stream lags behind the finished steps by less than one block, and ends complete") {
  std::string name = (std::filesystem::temp_directory_path() / "tidemark_lag_XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  RunOptions options{.backend = BackendKind::dry, .steps = 300};
  options.stream = (folder / "run.tmk.part").string();
  std::vector<std::size_t> waiting_steps;
  options.on_step = [&](const StepRecord& step) {
    if (step.step % 10 != 9) return;
    const std::size_t finished = static_cast<std::size_t>(step.step) + 1;
    waiting_steps.push_back(finished - read_trace(options.stream).steps.size());
  };
  const Trace whole = run(build_program(small_gpt2()), options);
  const std::size_t events_per_step = whole.events.size() / 300;
  REQUIRE(events_per_step * 300 > 2 * k_events_per_block);
  for (const std::size_t steps : waiting_steps) {
    CHECK(steps * events_per_step < k_events_per_block);
  }
  const Trace streamed = read_trace(options.stream);
  CHECK(streamed.steps == whole.steps);
  CHECK(streamed.events.size() <= whole.events.size());  // final is not streamed
  CHECK(std::equal(streamed.events.begin(), streamed.events.end(), whole.events.begin()));
  std::filesystem::remove_all(folder);
}
