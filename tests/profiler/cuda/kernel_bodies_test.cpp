// Every op of whole trainings, one by one on random operands: the bodies of the device kernels, run
// on the host, against the CPU kernels. They share no arithmetic.
#include "profiler/cuda/kernel_bodies.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "../../catch.h"
#include "../programs.h"
#include "compare_op.h"
#include "profiler/cuda/decoder_bodies.h"
#include "profiler/kernels/gemm.h"
#include "sim/builder.h"
#include "sim/shard_context.h"
#include "sim/shard_source.h"
#include "sim/shard_tensor.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

/// In f32, then those that differ in bf16.
std::vector<RunConfig> configurations() {
  std::vector<RunConfig> all;
  for (const Activation activation :
       {Activation::sigmoid, Activation::tanh, Activation::relu, Activation::gelu}) {
    all.push_back(small_mlp(activation));
    all.back().optimizer.kind = Optimizer::sgd;
  }
  all.insert(all.end(), 3, small_gpt2());
  all[5].attention = AttentionLowering::flash;
  all[5].attention_dropout = 0.3;
  all[5].optimizer.kind = Optimizer::adam;
  all[6].dropout = 0.2;
  all[6].attention_dropout = 0.3;
  all[6].accumulation = 2;
  all[6].optimizer.kind = Optimizer::momentum;
  all[6].optimizer.clip_norm = 0.5;
  all.push_back(small_llama());
  all.push_back(small_llama());
  all.back().attention = AttentionLowering::flash;
  all.back().accumulation = 2;
  all.push_back(small_moe());
  all.back().model.llama.balance_loss = 0.3;
  all.insert(all.end(), {small_lenet(), small_resnet()});
  all.back().eval_every = 1;
  all.push_back(small_gpt2());
  set_inference(all.back(), 3, 3);
  if (!kernels::bfloat16_error().empty()) return all;
  for (std::size_t i = 3; i < 10; ++i) {
    all.push_back(all[i]);
    all.back().precision = Precision::bf16;
  }
  return all;
}

/// Those of the configurations, and of ranks that have a part of every layer and of the tokens.
std::vector<Trace> programs() {
  std::vector<Trace> all;
  for (const RunConfig& config : configurations()) all.push_back(build_program(config));
  for (RunConfig config : {small_gpt2(), small_llama()}) {
    config.dropout = 0.2;
    if (config.model.family == ModelFamily::gpt2) config.batch = 1;  // a part of one sequence
    const Trace source = build_program(config);
    const ShardSource from = shard_source_of(source);
    all.push_back(shard_tensor(source, from, 1, 2));
    all.push_back(shard_tensor(source, from, 1, 2, true));
    all.push_back(shard_context(source, from, {.index = 1, .count = 2}));
  }
  return all;
}

/// Why a kind needs no kernel of the plug-in; empty when it does.
std::string_view done_elsewhere(OpKind kind) {
  if (is_structural(kind)) return "streams and copies of the plug-in";
  if (is_made_on_host(kind)) return "made on the host";
  if (is_collective(kind)) return "by the communicator";
  if (kind == OpKind::report_loss) return "copied to the host";
  return kind == OpKind::foreign ? "known by name only" : "";
}

}  // namespace

TEST_CASE("cuda kernels: every op as the CPU kernel does it") {
  FakePlugin fake;
  std::set<OpKind> seen;
  for (const Trace& program : programs()) {
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (!done_elsewhere(op.kind).empty()) continue;
      seen.insert(op.kind);
      INFO(op.name << " " << to_string(op.kind));
      REQUIRE(cuda_kernel_error(program, op).empty());
      for (const bool fuses : {true, false}) {
        fake.fuses_sums = fuses;
        CHECK(difference_of_backends(fake, program, op, i) <= 1e-5);
        if (op.kind != OpKind::linear_backward_weight) break;
      }
    }
  }
  for (std::size_t i = 0; i < EnumNames<OpKind>::k_names.size(); ++i) {
    const auto kind = static_cast<OpKind>(i);
    INFO(to_string(kind));
    CHECK(seen.contains(kind) == done_elsewhere(kind).empty());
  }
}

TEST_CASE("cuda kernels: attention by a library is that of the CPU but for rounding") {
  FakePlugin fake;
  RunConfig config = small_gpt2();
  config.attention = AttentionLowering::cudnn;
  config.precision = Precision::bf16;
  const Trace program = build_program(config);
  for (const bool attends : {true, false}) {
    fake.attends = attends;
    fake.attended = 0;
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (op.kind != OpKind::flash_attention_forward &&
          op.kind != OpKind::flash_attention_backward) {
        continue;
      }
      const double apart = difference_of_backends(fake, program, op, i);
      INFO(op.name << ", " << (attends ? "by a library" : "by own kernels"));
      CHECK(apart <= (attends ? 0x1p-5 : 1e-5));
      if (attends) CHECK(apart > 1e-5);
    }
    CHECK(fake.attended == (attends ? 4 : 0));
  }
  Trace narrow = program;  // a planned trace may have less room: it must not be written beyond
  for (Buffer& buffer : narrow.buffers) {
    if (!buffer.name.ends_with("workspace")) continue;
    const std::int64_t block = buffer.shape[1] * buffer.shape[2];
    buffer.shape[0] = 2;
    buffer.size_bytes = 8 * block;
  }
  fake.attends = true;
  fake.attended = 0;
  for (const Op& op : narrow.ops) {
    if (op.kind != OpKind::flash_attention_backward) continue;
    CHECK(difference_of_backends(fake, narrow, op, 3) <= 1e-5);
  }
  CHECK(fake.attended == 0);
}

TEST_CASE("cuda kernels: sums over many rows have each row once") {
  FakePlugin fake;
  for (const std::int64_t rows : {1, 63, 64, 65, 130, 1000}) {
    const std::int64_t columns = 3;
    std::vector<float> dy;
    for (std::int64_t i = 0; i < rows * columns; ++i) dy.push_back(static_cast<float>(i % 17));
    std::vector<float> sums{1, 2, 3};
    cuda::Call call;
    call.kernel = cuda::Kernel::column_sums;
    call.pointers[0] = dy.data();
    call.pointers[1] = sums.data();
    call.sizes[0] = rows;
    call.sizes[1] = columns;
    call.accumulates = 2;
    REQUIRE(fake.api.launch(&call, nullptr) == 0);
    for (std::int64_t j = 0; j < columns; ++j) {
      float expected = static_cast<float>(j + 1);  // whole numbers: exact in any order
      for (std::int64_t i = 0; i < rows; ++i) {
        expected += dy[static_cast<std::size_t>(i * columns + j)];
      }
      CHECK(sums[static_cast<std::size_t>(j)] == expected);
    }
  }
}

TEST_CASE("cuda kernels: bfloat16 has the bits of the CPU") {
  std::uint64_t state = 1;
  for (int i = 0; i < 100000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto bits = static_cast<std::uint32_t>(state >> 32);
    const float value = std::bit_cast<float>(bits);
    cuda::BFloat16 found{};
    cuda::store(&found, value);
    REQUIRE(found.bits == kernels::to_bfloat16(value).bits);
    const float back = cuda::to_float(found);
    REQUIRE(std::bit_cast<std::uint32_t>(back) ==
            std::bit_cast<std::uint32_t>(kernels::to_float({found.bits})));
  }
}

TEST_CASE("cuda kernels: choices that are no slots of theirs are none") {
  constexpr std::int64_t choices = 2;
  constexpr std::int64_t channels = 3;
  std::vector<std::int32_t> slots{1, 7, -3, std::numeric_limits<std::int32_t>::max()};
  std::vector<float> x{1, 2, 3, 4, 5, 6};
  std::vector<float> y(6, 0.0f);
  const cuda::Slots two{slots.data(), choices, 2};
  const cuda::Dispatch dispatch{static_cast<const float*>(x.data()), two, y.data(), channels};
  for (std::int64_t i = 0; i < 4 * channels; ++i) dispatch(i);
  CHECK(y == std::vector<float>{0, 0, 0, 1, 2, 3});
  std::vector<float> sums(6, -1.0f);
  const cuda::Gather gather{y.data(), two, nullptr, nullptr, sums.data(), channels};
  for (std::int64_t i = 0; i < 6; ++i) gather(i);
  CHECK(sums == std::vector<float>{1, 2, 3, 0, 0, 0});
}

TEST_CASE("cuda kernels: kinds without a kernel are refused in words") {
  FakePlugin fake;
  Trace program;
  Op& op = program.ops.emplace_back();
  op.kind = OpKind::foreign;
  CHECK_THAT(cuda_kernel_error(program, op), Catch::Contains("kind foreign has no"));
  cuda::Call unknown;
  unknown.kernel = static_cast<cuda::Kernel>(1000);
  CHECK(fake.api.launch(&unknown, nullptr) != 0);
}
