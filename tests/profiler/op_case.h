// One op with its operands as plain numbers: set them, run the kernel, look at the result.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/execute.h"
#include "sim/op_table.h"
#include "traces/trace.h"

namespace tidemark::test {

using Numbers = std::vector<double>;

/// The same numbers for the same seed on every machine, in (-1, 1).
inline Numbers random_numbers(std::int64_t count, std::uint64_t seed) {
  Numbers out;
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 12345;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    out.push_back(static_cast<double>(state >> 11) * 0x1p-52 - 1);
  }
  return out;
}

/// Largest |a - b| over the largest |b|; infinite when sizes differ or a NaN is there.
inline double relative_error(const Numbers& a, const Numbers& b) {
  double difference = 0;
  double scale = 1e-300;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (!(a[i] - b[i] <= 1e300 && b[i] - a[i] <= 1e300)) return 1e300;
    difference = std::max(difference, a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
    scale = std::max(scale, b[i] > 0 ? b[i] : -b[i]);
  }
  return a.size() == b.size() ? difference / scale : 1e300;
}

inline std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

class OpCase {
 public:
  explicit OpCase(OpKind kind, DType dtype = DType::f64) : dtype_(dtype) {
    trace_.ops.emplace_back();
    trace_.ops[0].kind = kind;
    trace_.ops[0].name = std::string(to_string(kind));
  }

  OpCase& reads(const std::string& role, std::vector<std::int64_t> shape, Numbers values) {
    return add({role, std::move(shape), std::move(values), true, false});
  }
  OpCase& writes(const std::string& role, std::vector<std::int64_t> shape) {
    return add({role, std::move(shape), {}, false, true});
  }
  OpCase& updates(const std::string& role, std::vector<std::int64_t> shape, Numbers values) {
    return add({role, std::move(shape), std::move(values), true, true});
  }
  /// The last operand is rounded to bf16.
  OpCase& in_bf16() {
    Buffer& buffer = trace_.buffers.back();
    buffer.dtype = DType::bf16;
    buffer.size_bytes = product(buffer.shape) * size_bytes(DType::bf16);
    return *this;
  }
  OpCase& real(const std::string& name, double value) {
    Attribute attribute;
    attribute.name = name;
    attribute.real = value;
    trace_.ops[0].attributes.push_back(attribute);
    return *this;
  }
  OpCase& integer(const std::string& name, std::int64_t value, std::int64_t per_step = 0) {
    Attribute attribute;
    attribute.name = name;
    attribute.integer = value;
    attribute.per_step = per_step;
    trace_.ops[0].attributes.push_back(attribute);
    return *this;
  }

  /// Input values of an operand, to change one of them.
  Numbers& values(const std::string& role) { return values_.at(role); }
  Trace& trace() { return trace_; }

  /// Runs the kernel; `shift_bytes` moves every operand to another address, `fill` is what memory
  /// that the kernel must not read holds.
  std::map<std::string, Numbers> run(std::int64_t step = 0, std::size_t shift_bytes = 0,
                                     int fill = 0xFF) {
    const Op& op = trace_.ops[0];
    const std::string error = op_error(trace_, op) + kernel_error(trace_, op);
    if (!error.empty()) throw std::runtime_error(error);
    std::vector<std::vector<std::byte>> memory;
    std::vector<std::byte*> pointers;
    for (const Operand& operand : op.operands) {
      const Buffer& buffer = trace_[operand.buffer];
      memory.emplace_back(static_cast<std::size_t>(buffer.size_bytes) + 128 + shift_bytes);
      std::memset(memory.back().data(), fill, memory.back().size());
      pointers.push_back(memory.back().data() + shift_bytes);
      if (operand.reads >= 0) store(buffer, values_.at(operand.role), pointers.back());
    }
    execute_kernel({trace_, op, step, pointers, data});
    for (std::size_t i = 0; i < pointers.size(); ++i) {
      const Operand& operand = op.operands[i];
      const auto own = static_cast<std::size_t>(trace_[operand.buffer].size_bytes);
      if (!is_filled(memory[i], 0, shift_bytes, fill) ||
          !is_filled(memory[i], shift_bytes + own, memory[i].size(), fill)) {
        throw std::runtime_error("the kernel wrote beside operand " + operand.role);
      }
    }
    std::map<std::string, Numbers> out;
    for (std::size_t i = 0; i < pointers.size(); ++i) {
      out[op.operands[i].role] = load(trace_[op.operands[i].buffer], pointers[i]);
    }
    return out;
  }

  const Dataset* data = nullptr;

 private:
  struct NewOperand {
    std::string role;
    std::vector<std::int64_t> shape;
    Numbers values;
    bool reads;
    bool writes;
  };

  static bool is_filled(const std::vector<std::byte>& memory, std::size_t begin, std::size_t end,
                        int fill) {
    const auto at = [&memory](std::size_t i) {
      return memory.begin() + static_cast<std::ptrdiff_t>(i);
    };
    const auto byte = static_cast<std::byte>(fill);
    return std::all_of(at(begin), at(end), [byte](std::byte b) { return b == byte; });
  }

  OpCase& add(NewOperand o) {
    const bool index = holds_indices(o.role);
    Buffer buffer;
    buffer.name = o.role;
    buffer.dtype = index ? DType::i32 : dtype_;
    if (o.role.starts_with("bf16_")) buffer.dtype = DType::bf16;
    buffer.size_bytes = product(o.shape) * size_bytes(buffer.dtype);
    buffer.shape = std::move(o.shape);
    trace_.buffers.push_back(buffer);
    Operand operand{.role = o.role, .buffer = BufferId{trace_.buffers.size() - 1}};
    operand.reads = o.reads ? 0 : -1;
    operand.writes = o.writes ? (o.reads ? 1 : 0) : -1;
    trace_.ops[0].operands.push_back(operand);
    if (o.reads) values_[o.role] = std::move(o.values);
    return *this;
  }

  template <class T>
  static T as(double value) {
    if constexpr (std::is_same_v<T, kernels::BFloat16>) {
      return kernels::to_bfloat16(static_cast<float>(value));
    } else {
      return static_cast<T>(value);
    }
  }
  template <class T>
  static void store_as(const Numbers& values, std::byte* to) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const T value = as<T>(values[i]);
      std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    }
  }
  static void store(const Buffer& buffer, const Numbers& values, std::byte* to) {
    if (buffer.dtype == DType::f64) return store_as<double>(values, to);
    if (buffer.dtype == DType::f32) return store_as<float>(values, to);
    if (buffer.dtype == DType::bf16) return store_as<kernels::BFloat16>(values, to);
    store_as<std::int32_t>(values, to);
  }
  template <class T>
  static Numbers load_as(const Buffer& buffer, const std::byte* from) {
    Numbers out;
    for (std::int64_t i = 0; i < element_count(buffer); ++i) {
      T value;
      std::memcpy(&value, from + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
      if constexpr (std::is_same_v<T, kernels::BFloat16>) {
        out.push_back(static_cast<double>(kernels::to_float(value)));
      } else {
        out.push_back(static_cast<double>(value));
      }
    }
    return out;
  }
  static Numbers load(const Buffer& buffer, const std::byte* from) {
    if (buffer.dtype == DType::f64) return load_as<double>(buffer, from);
    if (buffer.dtype == DType::f32) return load_as<float>(buffer, from);
    if (buffer.dtype == DType::bf16) return load_as<kernels::BFloat16>(buffer, from);
    return load_as<std::int32_t>(buffer, from);
  }

  DType dtype_;
  Trace trace_;
  std::map<std::string, Numbers> values_;
};

/// d(sum over `output` of weights * value) / d(values of `input`), by central differences.
inline Numbers finite_differences(OpCase forward, const std::string& input,
                                  const std::string& output, const Numbers& weights) {
  constexpr double k_step = 1e-5;
  Numbers gradient;
  const auto objective = [&] {
    const Numbers y = forward.run().at(output);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += weights[i] * y[i];
    return sum;
  };
  for (std::size_t i = 0; i < forward.values(input).size(); ++i) {
    const double value = forward.values(input)[i];
    forward.values(input)[i] = value + k_step;
    const double above = objective();
    forward.values(input)[i] = value - k_step;
    const double below = objective();
    forward.values(input)[i] = value;
    gradient.push_back((above - below) / (2 * k_step));
  }
  return gradient;
}

/// Each value rounded to 8 significant bits.
inline Numbers rounded(Numbers values) {
  for (double& x : values) {
    x = static_cast<double>(kernels::to_float(kernels::to_bfloat16(static_cast<float>(x))));
  }
  return values;
}

/// a + b, element by element.
inline Numbers plus(Numbers a, const Numbers& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

}  // namespace tidemark::test
