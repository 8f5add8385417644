// Every op of whole trainings, one by one on random operands: the bodies of the device kernels, run
// on the host, against the CPU kernels. They share no arithmetic.
#include "profiler/cuda/kernel_bodies.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "../../catch.h"
#include "../programs.h"
#include "fake_plugin.h"
#include "profiler/cuda/calls.h"
#include "profiler/kernels/execute.h"
#include "sim/builder.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Memory = std::vector<std::vector<float>>;  // one per operand; tokens are in it bit by bit

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

/// Largest difference of what both wrote, against the largest value.
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
    double most = 1e-3;
    double apart = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(elements(trace[operand.buffer])); ++k) {
      most = std::max(most, std::abs(static_cast<double>(a[i][k])));
      apart =
          std::max(apart, std::abs(static_cast<double>(a[i][k]) - static_cast<double>(b[i][k])));
      if (std::isnan(a[i][k]) != std::isnan(b[i][k])) return 1;
    }
    worst = std::max(worst, apart / most);
  }
  return worst;
}

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
  return all;
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
      Memory expected = random_memory(program, op, i);
      Memory found = expected;
      const std::vector<std::byte*> cpu = pointers_of(expected);
      const std::vector<std::byte*> device = pointers_of(found);
      execute_kernel({program, op, 2, cpu, nullptr});
      for (const cuda::Call& call : cuda_calls({program, op, 2, device, nullptr})) {
        REQUIRE(fake.api.launch(&call, nullptr) == 0);
      }
      INFO(op.name << " " << to_string(op.kind));
      CHECK(difference(program, op, expected, found) <= 1e-5);
    }
  }
  CHECK(seen.size() >= 40);
}

TEST_CASE("cuda kernels: bf16 and kinds without a kernel are refused in words") {
  FakePlugin fake;
  RunConfig config = small_gpt2();
  config.precision = Precision::bf16;
  const Trace program = build_program(config);
  std::size_t refused = 0;
  for (const Op& op : program.ops) {
    if (!kernel_error(program, op).empty()) continue;  // this CPU has no bfloat16
    if (cuda_kernel_error(program, op) == "the CUDA backend has no bf16 yet") ++refused;
  }
  const bool has_bf16 = std::ranges::all_of(
      program.ops, [&](const Op& op) { return kernel_error(program, op).empty(); });
  if (has_bf16) CHECK(refused > 0);
  const Trace lenet = build_program(small_lenet());
  CHECK(std::ranges::any_of(lenet.ops, [&](const Op& op) {
    return cuda_kernel_error(lenet, op) == "kind conv2d_forward has no CUDA kernel";
  }));
  cuda::Call unknown;
  unknown.kernel = static_cast<cuda::Kernel>(1000);
  CHECK(fake.api.launch(&unknown, nullptr) != 0);
}
