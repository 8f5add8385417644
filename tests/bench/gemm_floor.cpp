#include "tests/bench/gemm_floor.h"

#include <algorithm>
#include <map>
#include <vector>

#include "profiler/clock.h"
#include "profiler/kernels/gemm.h"
#include "sim/op_table.h"

namespace tidemark {
namespace {

struct Shape {
  std::int64_t m, n, k;
  bool a_transposed, b_transposed;
  auto operator<=>(const Shape&) const = default;
};

const Buffer& buffer_of(const Trace& trace, const Op& op, const char* role) {
  return trace[find_operand(op, role)->buffer];
}

/// Best of several.
double milliseconds(const Shape& s) {
  const auto filled = [](std::int64_t count) {
    return std::vector<float>(static_cast<std::size_t>(count), 0.5F);
  };
  const std::vector<float> a = filled(s.m * s.k);
  const std::vector<float> b = filled(s.k * s.n);
  std::vector<float> c = filled(s.m * s.n);
  const kernels::MatrixProduct<float> product{.m = s.m,
                                              .n = s.n,
                                              .k = s.k,
                                              .a = a.data(),
                                              .a_stride = s.a_transposed ? s.m : s.k,
                                              .a_transposed = s.a_transposed,
                                              .b = b.data(),
                                              .b_stride = s.b_transposed ? s.k : s.n,
                                              .b_transposed = s.b_transposed,
                                              .c = c.data(),
                                              .c_stride = s.n};
  kernels::multiply(product);
  double best_ns = 1e18;
  for (int round = 0; round < 7; ++round) {
    const std::int64_t begin_ns = thread_cpu_ns();
    std::int64_t spent_ns = 0;
    int count = 0;
    while (spent_ns < 2'000'000) {
      kernels::multiply(product);
      ++count;
      spent_ns = thread_cpu_ns() - begin_ns;
    }
    best_ns = std::min(best_ns, static_cast<double>(spent_ns) / count);
  }
  return best_ns * 1e-6;
}

/// The products of one op and how often it does them.
std::map<Shape, std::int64_t> products_of(const Trace& trace, const Op& op) {
  switch (op.kind) {
    case OpKind::linear_forward: {
      const Buffer& w = buffer_of(trace, op, "w");
      const std::int64_t rows = row_count(buffer_of(trace, op, "x"));
      return {{{rows, row_count(w), column_count(w), false, true}, 1}};
    }
    case OpKind::linear_backward_data: {
      const Buffer& w = buffer_of(trace, op, "w");
      const std::int64_t rows = row_count(buffer_of(trace, op, "dy"));
      return {{{rows, column_count(w), row_count(w), false, false}, 1}};
    }
    case OpKind::linear_backward_weight: {
      const Buffer& dw = buffer_of(trace, op, "dw");
      const std::int64_t rows = row_count(buffer_of(trace, op, "dy"));
      return {{{row_count(dw), column_count(dw), rows, true, false}, 1}};
    }
    case OpKind::attention_forward:
    case OpKind::attention_backward: {
      const Buffer& qkv = buffer_of(trace, op, "qkv");
      const std::int64_t heads = integer_at(op, "heads", 0);
      const std::int64_t d = qkv.shape[2] / 3 / heads;
      const std::int64_t t = qkv.shape[1];
      const std::int64_t count = qkv.shape[0] * heads;
      if (op.kind == OpKind::attention_forward) {
        return {{{t, t, d, false, true}, count}, {{t, d, t, false, false}, count}};
      }
      return {{{t, t, d, false, true}, count},
              {{t, d, t, false, false}, count},
              {{t, d, t, true, false}, 2 * count}};
    }
    default:
      return {};
  }
}

}  // namespace

double gemm_floor_ms(const Trace& program) {
  std::map<Shape, std::int64_t> all;
  for (const Instruction& line : program.program.body) {
    if (line.kind != InstructionKind::run) continue;
    for (const auto& [shape, count] : products_of(program, program[line.op()])) {
      all[shape] += count;
    }
  }
  double sum = 0;
  for (const auto& [shape, count] : all) sum += static_cast<double>(count) * milliseconds(shape);
  return sum;
}

}  // namespace tidemark
