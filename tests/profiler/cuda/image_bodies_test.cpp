// Shapes that no built-in model has: odd edges, strides, more filters and channels than a thread or
// fewer than a team takes at a time.
#include "profiler/cuda/image_bodies.h"

#include "compare_op.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

double difference_of(OpCase& op) {
  FakePlugin fake;
  const Trace& trace = op.trace();
  REQUIRE(op_error(trace, trace.ops[0]).empty());
  REQUIRE(cuda_kernel_error(trace, trace.ops[0]).empty());
  return difference_of_backends(fake, trace, trace.ops[0], 7);
}

struct WindowCase {
  std::int64_t channels, filters, extent, kernel, stride, padding;
  [[nodiscard]] std::int64_t out() const { return (extent + 2 * padding - kernel) / stride + 1; }
  [[nodiscard]] std::vector<std::int64_t> x() const { return {3, channels, extent, extent + 2}; }
  [[nodiscard]] std::vector<std::int64_t> w() const { return {filters, channels, kernel, kernel}; }
  [[nodiscard]] std::vector<std::int64_t> y() const {
    return {3, filters, out(), (extent + 2 + 2 * padding - kernel) / stride + 1};
  }
  OpCase& finish(OpCase& op) const {
    op.writes("workspace", {channels * kernel * kernel, y()[2] * y()[3]});
    return op.integer("stride", stride).integer("padding", padding);
  }
};

const std::vector<WindowCase> k_windows{{1, 1, 4, 1, 1, 0}, {2, 5, 7, 3, 2, 1}, {5, 3, 6, 3, 1, 2},
                                        {6, 9, 5, 2, 3, 0}, {3, 4, 9, 5, 2, 4}, {4, 8, 3, 3, 1, 0},
                                        {1, 2, 31, 3, 1, 1}};

}  // namespace

TEST_CASE("cuda kernels: convolutions of any window") {
  for (const WindowCase& c : k_windows) {
    INFO(c.channels << " " << c.filters << " " << c.kernel << " " << c.stride << " " << c.padding);
    OpCase forward(OpKind::conv2d_forward, DType::f32);
    forward.reads("x", c.x(), {}).reads("w", c.w(), {}).reads("b", {c.filters}, {});
    CHECK(difference_of(c.finish(forward.writes("y", c.y()))) <= 1e-5);
    OpCase data(OpKind::conv2d_backward_data, DType::f32);
    data.reads("dy", c.y(), {}).reads("w", c.w(), {}).writes("dx", c.x());
    CHECK(difference_of(c.finish(data)) <= 1e-5);
    for (const bool accumulates : {false, true}) {
      OpCase weight(OpKind::conv2d_backward_weight, DType::f32);
      weight.reads("dy", c.y(), {}).reads("x", c.x(), {});
      if (accumulates) {
        weight.updates("dw", c.w(), {}).updates("db", {c.filters}, {});
      } else {
        weight.writes("dw", c.w());
      }
      CHECK(difference_of(c.finish(weight)) <= 1e-5);
    }
  }
}

TEST_CASE("cuda kernels: batch norm of any number of positions") {
  for (const std::int64_t positions : {1, 3, 255, 256, 257, 600}) {
    const std::vector<std::int64_t> x{positions == 1 ? 700 : 3, 2, positions};
    OpCase forward(OpKind::batch_norm_forward, DType::f32);
    forward.reads("x", x, {}).reads("w", {2}, {}).reads("b", {2}, {}).writes("y", x);
    forward.writes("mean", {2}).writes("variance", {2}).real("epsilon", 1e-5);
    CHECK(difference_of(forward) <= 1e-5);
    for (const bool accumulates : {false, true}) {
      OpCase backward(OpKind::batch_norm_backward, DType::f32);
      backward.reads("dy", x, {}).reads("x", x, {}).reads("w", {2}, {}).reads("mean", {2}, {});
      backward.reads("variance", {2}, {}).writes("dx", x).real("epsilon", 1e-5);
      for (const char* role : {"dw", "db"}) {
        accumulates ? backward.updates(role, {2}, {}) : backward.writes(role, {2});
      }
      CHECK(difference_of(backward) <= 1e-5);
    }
  }
}

TEST_CASE("cuda kernels: pooling of any window leaves out the same edge") {
  for (const std::int64_t size : {1, 2, 3, 5}) {
    const std::vector<std::int64_t> x{2, 3, 5, 7};
    const std::vector<std::int64_t> y{2, 3, 5 / size, 7 / size};
    OpCase forward(OpKind::max_pool_forward, DType::f32);
    CHECK(difference_of(forward.reads("x", x, {}).writes("y", y).integer("size", size)) == 0);
    OpCase backward(OpKind::max_pool_backward, DType::f32);
    backward.reads("dy", y, {}).reads("x", x, {}).writes("dx", x).integer("size", size);
    CHECK(difference_of(backward) == 0);
  }
}
