#include <utility>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("sums of squares add up over tensors of any length") {
  for (const std::int64_t count : {1, 17, 4096, 9001}) {
    OpCase c(OpKind::sum_of_squares, DType::f32);
    c.reads("x", {count}, random_numbers(count, 1)).updates("sum", {1}, {0.5});
    double expected = 0.5;
    for (const double x : c.values("x")) expected += x * x;
    CHECK(c.run().at("sum")[0] == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("a norm above the limit is scaled down to it, one below is left alone") {
  for (const auto& [sum, factor] : {std::pair{25.0, 0.4}, std::pair{1.0, 1.0}}) {
    OpCase c(OpKind::clip_factor);
    c.reads("sum", {1}, {sum}).writes("factor", {1}).real("max_norm", 2);
    CHECK(c.run().at("factor")[0] == Approx(factor).epsilon(1e-6));
  }
  OpCase scale(OpKind::scale_by);
  scale.updates("x", {3}, {1, -2, 4}).reads("factor", {1}, {0.5});
  CHECK(scale.run().at("x") == Numbers{0.5, -1, 2});
}
