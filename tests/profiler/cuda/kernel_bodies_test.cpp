// Every op of whole trainings, one by one on random operands: the bodies of the device kernels, run
// on the host, against the CPU kernels. They share no arithmetic.
#include "profiler/cuda/kernel_bodies.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "../../catch.h"
#include "../programs.h"
#include "fake_plugin.h"
#include "profiler/cuda/calls.h"
#include "profiler/cuda/decoder_bodies.h"
#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/execute.h"
#include "profiler/kernels/gemm.h"
#include "sim/builder.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

// One per operand; tokens and what is rounded are in it bit by bit.
using Memory = std::vector<std::vector<float>>;

std::int64_t elements(const Buffer& buffer) {
  std::int64_t count = 1;
  for (const std::int64_t extent : buffer.shape) count *= extent;
  return count;
}

/// Rows [.., T, T] of causal probabilities: no token attends to a later one.
void clear_future(std::vector<float>& rows, std::int64_t tokens) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t t = static_cast<std::int64_t>(i) / tokens % tokens;
    if (static_cast<std::int64_t>(i) % tokens > t) rows[i] = 0;
  }
}

/// Two rounded numbers where one float was.
void round_in_place(std::vector<float>& values) {
  std::vector<kernels::BFloat16> rounded;
  for (const float value : values) rounded.insert(rounded.end(), 2, kernels::to_bfloat16(value));
  std::memcpy(values.data(), rounded.data(), values.size() * sizeof(float));
}

float element(const Buffer& buffer, const std::vector<float>& values, std::size_t k) {
  if (buffer.dtype != DType::bf16) return values[k];
  kernels::BFloat16 rounded;
  std::memcpy(&rounded, reinterpret_cast<const std::byte*>(values.data()) + 2 * k, 2);
  return kernels::to_float(rounded);
}

/// Numbers in (-1, 1), not below 0 where a kernel takes a root, tokens below 3.
Memory random_memory(const Trace& trace, const Op& op, std::uint64_t seed) {
  Memory memory;
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (const Operand& operand : op.operands) {
    const Buffer& buffer = trace[operand.buffer];
    const bool positive = operand.role == "v" || operand.role == "sum";
    std::vector<float>& values = memory.emplace_back();
    values.resize(static_cast<std::size_t>(std::max(elements(buffer), buffer.size_bytes / 4 + 1)));
    for (float& value : values) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      const auto number = static_cast<float>(static_cast<double>(state >> 11) * 0x1p-52 - 1);
      value = positive ? std::abs(number) : number;
      if (buffer.dtype != DType::i32) continue;
      auto token = static_cast<std::int32_t>((state >> 40) % 3);
      if (operand.role == "slots") {  // each once, and every third choice without one
        const auto i = static_cast<std::int32_t>(values.size() - 1 - (&values.back() - &value));
        token = i % 3 == 2 ? -1 - i % 4 : i;
      }
      std::memcpy(&value, &token, sizeof token);
    }
    if (operand.role == "probabilities") clear_future(values, buffer.shape.back());
    if (buffer.dtype == DType::bf16) round_in_place(values);
  }
  return memory;
}

std::vector<std::byte*> pointers_of(Memory& memory) {
  std::vector<std::byte*> out;
  for (std::vector<float>& values : memory) {
    out.push_back(reinterpret_cast<std::byte*>(values.data()));
  }
  return out;
}

/// Largest difference of what both wrote, against the largest value; of what is rounded in units
/// that a rounding may differ by, in 1e-5.
double difference(const Trace& trace, const Op& op, const Memory& a, const Memory& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Operand& operand = op.operands[i];
    const bool scratch = operand.role == "workspace";
    if (operand.writes < 0 || scratch) continue;
    if (trace[operand.buffer].dtype == DType::i32) {
      if (std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) != 0) return 1;
      continue;
    }
    const Buffer& buffer = trace[operand.buffer];
    double most = 1e-3;
    double apart = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(elements(buffer)); ++k) {
      const double expected = static_cast<double>(element(buffer, a[i], k));
      const double found = static_cast<double>(element(buffer, b[i], k));
      most = std::max(most, std::abs(expected));
      apart = std::max(apart, std::abs(expected - found));
      if (std::isnan(expected) != std::isnan(found)) return 1;
    }
    worst = std::max(worst, apart / most * (buffer.dtype == DType::bf16 ? 1e-5 / 0x1p-7 : 1));
  }
  return worst;
}

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
  if (!kernels::bfloat16_error().empty()) return all;
  for (std::size_t i = 3; i < 10; ++i) {
    all.push_back(all[i]);
    all.back().precision = Precision::bf16;
  }
  return all;
}

/// Executes the op on two copies of the same memory, by the CPU and by the calls.
double difference_of_backends(const FakePlugin& fake, const Trace& program, const Op& op,
                              std::uint64_t seed) {
  Memory expected = random_memory(program, op, seed);
  Memory found = expected;
  const std::vector<std::byte*> cpu = pointers_of(expected);
  const std::vector<std::byte*> device = pointers_of(found);
  execute_kernel({program, op, 2, cpu, nullptr});
  for (const cuda::Call& call : cuda_calls({program, op, 2, device, nullptr})) {
    REQUIRE(fake.api.launch(&call, nullptr) == 0);
  }
  return difference(program, op, expected, found);
}

}  // namespace

TEST_CASE("cuda kernels: every op as the CPU kernel does it") {
  FakePlugin fake;
  std::set<OpKind> seen;
  for (const RunConfig& config : configurations()) {
    const Trace program = build_program(config);
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const Op& op = program.ops[i];
      if (is_structural(op.kind) || is_made_on_host(op.kind)) continue;
      if (op.kind == OpKind::report_loss) continue;
      seen.insert(op.kind);
      INFO(op.name << " " << to_string(op.kind) << " " << to_string(config.precision));
      REQUIRE(cuda_kernel_error(program, op).empty());
      for (const bool fuses : {true, false}) {
        fake.fuses_sums = fuses;
        CHECK(difference_of_backends(fake, program, op, i) <= 1e-5);
        if (op.kind != OpKind::linear_backward_weight) break;
      }
    }
  }
  CHECK(seen.size() >= 40);
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

TEST_CASE("cuda kernels: those of a rank that has a part of every layer") {
  FakePlugin fake;
  Trace program;
  const auto add = [&program](const char* role, DType dtype, std::vector<std::int64_t> shape,
                              bool reads, bool writes) {
    Buffer buffer;
    buffer.dtype = dtype;
    buffer.shape = std::move(shape);
    buffer.size_bytes = elements(buffer) * size_bytes(dtype);
    program.buffers.push_back(buffer);
    return Operand{role, BufferId{program.buffers.size() - 1}, reads ? 0 : -1, writes ? 1 : -1};
  };
  Op bias;
  bias.kind = OpKind::add_bias;
  bias.operands = {add("y", DType::f32, {5, 3}, true, true),
                   add("b", DType::f32, {3}, true, false)};
  CHECK(difference_of_backends(fake, program, bias, 1) <= 1e-7);
  Op slice;
  slice.kind = OpKind::slice_columns;
  slice.operands = {add("x", DType::f32, {4, 7}, true, false),
                    add("y", DType::f32, {4, 2}, false, true)};
  Attribute first;
  first.name = "first";
  first.integer = 3;
  slice.attributes = {first};
  CHECK(difference_of_backends(fake, program, slice, 2) <= 1e-7);
}

TEST_CASE("cuda kernels: sums over many rows are made of parts that cover each row once") {
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

TEST_CASE("cuda kernels: sums along more columns than the scratch has room for are refused") {
  RunConfig config = small_mlp();
  config.model.mlp.widths = {1, cuda::k_most_columns + 1};
  const Trace program = build_program(config);
  CHECK(std::ranges::any_of(program.ops, [&](const Op& op) {
    return cuda_kernel_error(program, op) == "more than 524288 columns to sum along";
  }));
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
  const Trace lenet = build_program(small_lenet());
  CHECK(std::ranges::any_of(lenet.ops, [&](const Op& op) {
    return cuda_kernel_error(lenet, op) == "kind conv2d_forward has no CUDA kernel";
  }));
  cuda::Call unknown;
  unknown.kernel = static_cast<cuda::Kernel>(1000);
  CHECK(fake.api.launch(&unknown, nullptr) != 0);
}
