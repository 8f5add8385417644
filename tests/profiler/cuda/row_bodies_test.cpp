// Rows and columns beyond those of small models: longer than a team, and no multiple of one.
#include "profiler/cuda/row_bodies.h"

#include "compare_op.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

using Extents = std::vector<std::int64_t>;

double difference_of(OpCase& op) {
  FakePlugin fake;
  fake.fuses_sums = false;
  const Trace& trace = op.trace();
  REQUIRE(op_error(trace, trace.ops[0]).empty());
  REQUIRE(cuda_kernel_error(trace, trace.ops[0]).empty());
  return difference_of_backends(fake, trace, trace.ops[0], 5);
}

/// Gradients of parameters are added to, or not.
OpCase& gradient(OpCase& op, const char* role, const Extents& shape, bool adds) {
  return adds ? op.updates(role, shape, {}) : op.writes(role, shape);
}

}  // namespace

TEST_CASE("cuda kernels: norms of rows of any length") {
  for (const std::int64_t c : {1, 9, 255, 256, 257, 700}) {
    const std::int64_t rows = c == 9 ? 300 : 5;
    const Extents x{rows, c};
    const bool adds = c > 256;
    INFO(rows << " rows of " << c);
    OpCase layer(OpKind::layer_norm_forward, DType::f32);
    layer.reads("x", x, {}).reads("w", {c}, {}).reads("b", {c}, {}).writes("y", x);
    layer.writes("mean", {rows}).writes("inverse_deviation", {rows}).real("epsilon", 1e-5);
    CHECK(difference_of(layer) <= 1e-5);
    OpCase layer_slope(OpKind::layer_norm_backward, DType::f32);
    layer_slope.reads("dy", x, {}).reads("x", x, {}).reads("w", {c}, {}).reads("mean", {rows}, {});
    layer_slope.reads("inverse_deviation", {rows}, {});
    if (adds) layer_slope.reads("residual", x, {});
    gradient(gradient(layer_slope.writes("dx", x), "dw", {c}, adds), "db", {c}, !adds);
    CHECK(difference_of(layer_slope) <= 1e-5);
    OpCase rms(OpKind::rms_norm_forward, DType::f32);
    rms.reads("x", x, {}).reads("w", {c}, {}).writes("y", x).writes("inverse_rms", {rows});
    CHECK(difference_of(rms.real("epsilon", 1e-5)) <= 1e-5);
    OpCase rms_slope(OpKind::rms_norm_backward, DType::f32);
    rms_slope.reads("dy", x, {}).reads("x", x, {}).reads("w", {c}, {});
    rms_slope.reads("inverse_rms", {rows}, {});
    if (adds) rms_slope.reads("residual", x, {});
    CHECK(difference_of(gradient(rms_slope.writes("dx", x), "dw", {c}, adds)) <= 1e-5);
  }
}

TEST_CASE("cuda kernels: gradients of biases of any number of rows and columns") {
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {31, 8}, {32, 9}, {100, 13}, {3, 40}}) {
    for (const bool adds : {false, true}) {
      OpCase op(OpKind::linear_backward_weight, DType::f32);
      op.reads("dy", {rows, columns}, {}).reads("x", {rows, 2}, {}).writes("dw", {columns, 2});
      CHECK(difference_of(gradient(op, "db", {columns}, adds)) <= 1e-5);
    }
  }
}

TEST_CASE("cuda kernels: cross entropy of many classes and of a share of the rows") {
  for (const std::int64_t classes : {3, 256, 700}) {
    const std::int64_t rows = 300;
    OpCase op(OpKind::softmax_cross_entropy_forward, DType::f32);
    op.reads("logits", {rows, classes}, {}).reads("target", {rows}, {}).writes("loss", {1});
    op.writes("log_sum_exp", {rows});
    CHECK(difference_of(op) <= 1e-5);
    CHECK(difference_of(op.real("scale", 0.25)) <= 1e-5);
  }
  FakePlugin fake;
  std::vector<float> logits{1000, 1001, -1000};  // far from where the exponential is a number
  float found = 0;
  cuda::LogSumExp::Shared shared;
  cuda::LogSumExp{logits.data(), &found, 3}(cuda::Team{}, shared, 0);
  CHECK(found == Approx(1001.313262f));
}

TEST_CASE("cuda kernels: the norm of more numbers than all teams have threads") {
  for (const std::int64_t count : {1, 1000, 300000}) {
    OpCase op(OpKind::sum_of_squares, DType::f32);
    op.reads("x", {count}, {});
    CHECK(difference_of(gradient(op, "sum", {1}, count == 1000)) <= 1e-6);
  }
}

TEST_CASE("cuda kernels: gradients of tables from many tokens, and of part of the positions") {
  for (const bool adds : {false, true}) {
    OpCase op(OpKind::embedding_backward, DType::f32);
    op.reads("dy", {3, 150, 300}, {}).reads("tokens", {3, 150}, {});
    gradient(gradient(op, "dwte", {5, 300}, adds), "dwpe", {160, 300}, !adds);
    CHECK(difference_of(op.integer("position", 7)) <= 1e-5);
  }
}

TEST_CASE("cuda kernels: experts of many tokens are filled in their order") {
  const std::int64_t rows = 300;
  for (const std::int64_t capacity : {1, 40, 150, 300}) {
    OpCase route(OpKind::route_forward, DType::f32);
    route.reads("logits", {rows, 4}, {}).writes("gates", {rows, 2}).writes("slots", {rows, 2});
    CHECK(difference_of(route.integer("capacity", capacity)) <= 1e-6);
  }
  OpCase combine(OpKind::combine_backward, DType::f32);
  combine.reads("dy", {rows, 270}, {}).reads("x", {2 * rows, 270}, {});
  combine.reads("slots", {rows, 2}, {}).reads("gates", {rows, 2}, {});
  combine.writes("dx", {2 * rows, 270}).writes("dgates", {rows, 2});
  CHECK(difference_of(combine) <= 1e-5);
  OpCase balance(OpKind::balance_backward, DType::f32);
  balance.reads("logits", {rows, 4}, {}).reads("slots", {rows, 2}, {});
  balance.updates("dlogits", {rows, 4}, {}).integer("capacity", 150).real("scale", 3);
  CHECK(difference_of(balance) <= 1e-5);
}
