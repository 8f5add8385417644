// The CUDA backend without a device: the fake plug-in runs the kernel bodies on the host, and whole
// trainings are compared with the CPU backend. With a device and the real plug-in the same.
#include <cmath>

#include "../../catch.h"
#include "../offload_program.h"
#include "../programs.h"
#include "fake_plugin.h"
#include "profiler/cuda/calls.h"
#include "profiler/cuda/load_plugin.h"
#include "profiler/executor.h"
#include "profiler/kernels/gemm.h"
#include "sim/builder.h"
#include "tests/paths.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_mib = std::int64_t{1} << 20;

Trace run_on(BackendKind backend, const cuda::PluginApi* api, const Trace& program,
             const Dataset& data) {
  return run(program, {.backend = backend,
                       .steps = 3,
                       .device_memory_bytes = 64 * k_mib,
                       .data = &data,
                       .cuda = api});
}

void check_losses(const Trace& a, const Trace& b) {
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    CHECK(std::abs(a.steps[i].loss - b.steps[i].loss) <= 2e-5 * std::abs(b.steps[i].loss));
  }
}

/// Allocations and frees in order, with their places.
std::vector<std::tuple<EventKind, std::int32_t, std::int64_t, std::int64_t>> allocations(
    const Trace& trace) {
  std::vector<std::tuple<EventKind, std::int32_t, std::int64_t, std::int64_t>> out;
  for (const Event& e : trace.events) {
    if (e.kind == EventKind::alloc || e.kind == EventKind::free) {
      out.emplace_back(e.kind, e.index, e.address_bytes, e.size_bytes);
    }
  }
  return out;
}

std::vector<RunConfig> configurations() {
  std::vector<RunConfig> all{small_mlp(),  small_gpt2(),  small_gpt2(), small_gpt2(),
                             small_gpt2(), small_llama(), small_moe()};
  all[2].attention = AttentionLowering::flash;
  all[3].optimizer.kind = Optimizer::momentum;
  all[3].optimizer.clip_norm = 0.5;
  all[3].accumulation = 2;
  all[4].dropout = 0.1;
  all[4].attention_dropout = 0.2;
  all[4].optimizer.kind = Optimizer::adam;
  all.insert(all.end(), {small_lenet(), small_resnet()});
  if (!kernels::bfloat16_error().empty()) return all;
  for (const std::size_t i : {1, 2, 3, 5, 6}) {
    all.push_back(all[i]);
    all.back().precision = Precision::bf16;
  }
  return all;
}

}  // namespace

TEST_CASE("cuda backend: trainings give the losses of the CPU backend") {
  for (const RunConfig& config : configurations()) {
    const Trace program = build_program(config);
    const Dataset data = data_for(config);
    FakePlugin fake;
    const Trace cuda = run_on(BackendKind::cuda, &fake.api, program, data);
    check_losses(cuda, run_on(BackendKind::cpu, nullptr, program, data));
    CHECK(cuda.meta.backend == "cuda");
    CHECK(fake.live_bytes == 0);
    CHECK(fake.depth == 0);
    CHECK(fake.ranges > 0);
  }
}

TEST_CASE("cuda backend: evaluation gives the losses of the CPU backend") {
  for (RunConfig config : {small_lenet(), small_resnet()}) {
    config.eval_every = 1;
    const Trace program = build_program(config);
    const Dataset data = small_images(config.model.image, 24);
    FakePlugin fake;
    const Trace found = run_on(BackendKind::cuda, &fake.api, program, data);
    const Trace expected = run_on(BackendKind::cpu, nullptr, program, data);
    check_losses(found, expected);
    for (std::size_t i = 0; i < expected.steps.size(); ++i) {
      CHECK(found.steps[i].has_eval_loss);
      CHECK(found.steps[i].eval_loss == Approx(expected.steps[i].eval_loss).epsilon(2e-5));
    }
  }
}

TEST_CASE("cuda backend: generation chooses the tokens of the CPU backend") {
  RunConfig config = small_gpt2();
  config.model.gpt2.positions = 12;
  config.batch = 3;
  set_inference(config, 5, 6);
  const Trace program = build_program(config);
  const Dataset data = small_text();
  RunOptions options{.steps = 6, .device_memory_bytes = 64 * k_mib, .data = &data};
  const RunResult expected = execute(program, options);
  FakePlugin fake;
  options.backend = BackendKind::cuda;
  options.cuda = &fake.api;
  const RunResult found = execute(program, options);
  REQUIRE(expected.tokens.size() == 3);
  CHECK(expected.tokens[0].size() == 7);
  CHECK(found.tokens == expected.tokens);
  CHECK(allocations(found.trace) == allocations(expected.trace));
}

TEST_CASE("cuda backend: its allocations are those of the dry backend") {
  for (const RunConfig& config : configurations()) {
    const Trace program = build_program(config);
    const Dataset data = data_for(config);
    FakePlugin fake;
    CHECK(allocations(run_on(BackendKind::cuda, &fake.api, program, data)) ==
          allocations(run_on(BackendKind::dry, nullptr, program, data)));
  }
}

TEST_CASE("cuda backend: attention by a library is named, and its rounding does no harm") {
  if (const std::string error = kernels::bfloat16_error(); !error.empty()) {
    WARN("SKIP: " << error);
    return;
  }
  RunConfig config = small_llama();
  config.precision = Precision::bf16;
  config.attention = AttentionLowering::cudnn;
  const Trace program = build_program(config);
  const Dataset data = data_for(config);
  FakePlugin fake;
  const Trace cuda = run_on(BackendKind::cuda, &fake.api, program, data);
  const Trace cpu = run_on(BackendKind::cpu, nullptr, program, data);
  CHECK(fake.attended == 2 * 2 * 3);  // blocks, passes, steps
  CHECK_THAT(cuda.meta.device, Catch::EndsWith(", attention by a library"));
  CHECK(cpu.meta.device == "cpu");
  CHECK(allocations(cuda) == allocations(run_on(BackendKind::dry, nullptr, program, data)));
  for (std::size_t i = 0; i < cpu.steps.size(); ++i) {
    CHECK(std::abs(cuda.steps[i].loss - cpu.steps[i].loss) <= 2e-3 * cpu.steps[i].loss);
  }
}

TEST_CASE("cuda backend: times are those of the device, in the order of issue") {
  const Trace program = build_program(small_mlp());
  const Dataset data = data_for(small_mlp());
  FakePlugin fake;
  const Trace trace = run_on(BackendKind::cuda, &fake.api, program, data);
  std::int64_t previous_ns = 0;
  for (const Event& e : trace.events) {
    REQUIRE(e.time_ns >= previous_ns);
    previous_ns = e.time_ns;
  }
  for (const Op& op : trace.ops) {
    if (op.kind == OpKind::relu_forward) CHECK(op.duration_ns >= 1000);
    if (op.kind == OpKind::linear_backward_weight) CHECK(op.duration_ns >= 1000);
  }
}

TEST_CASE("cuda backend: a device that disappears ends the run with one message") {
  const Trace program = build_program(small_mlp());
  const Dataset data = data_for(small_mlp());
  FakePlugin fake;
  fake.fails_at = 20;
  CHECK_THROWS_WITH(run_on(BackendKind::cuda, &fake.api, program, data),
                    Catch::Equals("CUDA device: device is gone"));
  CHECK(fake.live_bytes == 0);
}

TEST_CASE("cuda backend: what it cannot execute is refused before it begins") {
  FakePlugin fake;
  RunConfig wide = small_mlp();
  wide.dtype = DType::f64;
  const Dataset data = data_for(small_mlp());
  CHECK_THROWS_WITH(run_on(BackendKind::cuda, &fake.api, build_program(wide), data),
                    Catch::Contains("the CUDA backend has no f64"));
  Trace program = build_program(small_mlp());
  for (Op& op : program.ops) {
    if (op.kind == OpKind::load_batch) continue;
    CHECK(cuda_kernel_error(program, op).empty());
    CHECK(is_made_on_host(op.kind) == (op.kind == OpKind::random_normal));
  }
}

TEST_CASE("cuda backend: the device of this machine, where there is one") {
  std::string why;
  const cuda::PluginApi* real = load_cuda_plugin(why, TIDEMARK_BIN_DIR);
  if (real == nullptr) {
    WARN("SKIP: no CUDA device: " << why);
    CHECK_FALSE(why.empty());
    return;
  }
  for (const RunConfig& config : configurations()) {
    const Trace program = build_program(config);
    const Dataset data = data_for(config);
    const Trace cuda = run_on(BackendKind::cuda, real, program, data);
    check_losses(cuda, run_on(BackendKind::cpu, nullptr, program, data));
    CHECK(allocations(cuda) == allocations(run_on(BackendKind::dry, nullptr, program, data)));
  }
}
