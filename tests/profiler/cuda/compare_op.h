// One op on random operands, by the CPU kernel and by the bodies of the device kernels, run on the
// host by the fake plug-in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "profiler/cuda/calls.h"
#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/execute.h"
#include "tests/catch.h"
#include "tests/profiler/cuda/fake_plugin.h"

namespace tidemark::test {

// One per operand; tokens and what is rounded are in it bit by bit.
using Memory = std::vector<std::vector<float>>;

inline std::int64_t elements(const Buffer& buffer) {
  std::int64_t count = 1;
  for (const std::int64_t extent : buffer.shape) count *= extent;
  return count;
}

/// Rows [B,H,T,S] of causal probabilities: no token attends to a later one. The first of the T is
/// at `position` of the S.
inline void clear_future(std::vector<float>& rows, const Buffer& buffer, std::int64_t position) {
  const std::int64_t tokens = buffer.shape[2];
  const std::int64_t keys = buffer.shape[3];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t t = static_cast<std::int64_t>(i) / keys % tokens;
    if (static_cast<std::int64_t>(i) % keys > position + t) rows[i] = 0;
  }
}

/// Two rounded numbers where one float was.
inline void round_in_place(std::vector<float>& values) {
  std::vector<kernels::BFloat16> rounded;
  for (const float value : values) rounded.insert(rounded.end(), 2, kernels::to_bfloat16(value));
  std::memcpy(values.data(), rounded.data(), values.size() * sizeof(float));
}

inline float element(const Buffer& buffer, const std::vector<float>& values, std::size_t k) {
  if (buffer.dtype != DType::bf16) return values[k];
  kernels::BFloat16 rounded;
  std::memcpy(&rounded, reinterpret_cast<const std::byte*>(values.data()) + 2 * k, 2);
  return kernels::to_float(rounded);
}

/// Numbers in (-1, 1), not below 0 where a kernel takes a root, tokens below 3.
inline Memory random_memory(const Trace& trace, const Op& op, std::uint64_t seed) {
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
    if (operand.role == "probabilities") {
      clear_future(values, buffer, integer_at(op, "position", 0));
    }
    if (buffer.dtype == DType::bf16) round_in_place(values);
  }
  return memory;
}

inline std::vector<std::byte*> pointers_of(Memory& memory) {
  std::vector<std::byte*> out;
  for (std::vector<float>& values : memory) {
    out.push_back(reinterpret_cast<std::byte*>(values.data()));
  }
  return out;
}

/// Largest difference of what both wrote, against the largest value; of what is rounded in units
/// that a rounding may differ by, in 1e-5.
inline double difference(const Trace& trace, const Op& op, const Memory& a, const Memory& b) {
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

/// Executes the op on two copies of the same memory, by the CPU and by the calls.
inline double difference_of_backends(const FakePlugin& fake, const Trace& program, const Op& op,
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

}  // namespace tidemark::test
