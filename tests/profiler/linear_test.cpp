#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 5, K = 7, N = 3;

OpCase forward_case(bool with_bias, DType dtype = DType::f64) {
  OpCase c(OpKind::linear_forward, dtype);
  c.reads("x", {M, K}, random_numbers(M * K, 1)).reads("w", {N, K}, random_numbers(N * K, 2));
  if (with_bias) c.reads("b", {N}, random_numbers(N, 3));
  c.writes("y", {M, N});
  return c;
}

Numbers naive_forward(OpCase c, bool with_bias) {
  const Numbers x = c.values("x"), w = c.values("w");
  Numbers y;
  for (std::size_t i = 0; i < M; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      double sum = with_bias ? c.values("b")[n] : 0;
      for (std::size_t k = 0; k < K; ++k) sum += x[i * K + k] * w[n * K + k];
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("linear forward equals the naive product, with and without a bias") {
  for (const bool with_bias : {true, false}) {
    OpCase c = forward_case(with_bias);
    CHECK(relative_error(c.run().at("y"), naive_forward(c, with_bias)) < 1e-14);
    OpCase narrow = forward_case(with_bias, DType::f32);
    CHECK(relative_error(narrow.run().at("y"), naive_forward(c, with_bias)) < 1e-6);
  }
}

TEST_CASE("linear backward equals finite differences of x, w and b") {
  const Numbers dy = random_numbers(M * N, 4);
  const OpCase forward = forward_case(true);
  OpCase data(OpKind::linear_backward_data);
  data.reads("dy", {M, N}, dy).reads("w", {N, K}, random_numbers(N * K, 2)).writes("dx", {M, K});
  CHECK(relative_error(data.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);

  OpCase weight(OpKind::linear_backward_weight);
  weight.reads("dy", {M, N}, dy).reads("x", {M, K}, random_numbers(M * K, 1));
  weight.writes("dw", {N, K}).writes("db", {N});
  auto out = weight.run();
  CHECK(relative_error(out.at("dw"), finite_differences(forward, "w", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("db"), finite_differences(forward, "b", "y", dy)) < 1e-6);
}

TEST_CASE("linear backward adds to a gradient that it reads, also without db") {
  const Numbers before = random_numbers(N * K, 5);
  OpCase fresh(OpKind::linear_backward_weight);
  OpCase added(OpKind::linear_backward_weight);
  for (OpCase* c : {&fresh, &added}) {
    c->reads("dy", {M, N}, random_numbers(M * N, 4)).reads("x", {M, K}, random_numbers(M * K, 1));
  }
  fresh.writes("dw", {N, K});
  added.updates("dw", {N, K}, before).updates("db", {N}, {1, 2, 3});
  CHECK(relative_error(added.run().at("dw"), plus(fresh.run().at("dw"), before)) < 1e-14);
}
