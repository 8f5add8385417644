#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 5, F = 19;

OpCase forward_case(DType dtype = DType::f64) {
  Numbers x = random_numbers(M * 2 * F, 1);
  for (double& value : x) value *= 4;
  OpCase c(OpKind::swiglu_forward, dtype);
  return c.reads("x", {M, 2 * F}, x).writes("y", {M, F});
}

Numbers naive_forward(OpCase c) {
  Numbers y;
  for (std::size_t row = 0; row < M; ++row) {
    for (std::size_t i = 0; i < F; ++i) {
      const double gate = c.values("x")[row * 2 * F + i];
      y.push_back(gate / (1 + std::exp(-gate)) * c.values("x")[row * 2 * F + F + i]);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("the gated unit equals the naive loop in both precisions") {
  const Numbers naive = naive_forward(forward_case());
  CHECK(relative_error(forward_case().run().at("y"), naive) < 1e-13);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), naive) < 2e-6);
}

TEST_CASE("gradients of the gated unit equal finite differences") {
  const Numbers dy = random_numbers(M * F, 4);
  OpCase c(OpKind::swiglu_backward);
  c.reads("dy", {M, F}, dy).reads("x", {M, 2 * F}, forward_case().values("x"));
  c.writes("dx", {M, 2 * F});
  CHECK(relative_error(c.run().at("dx"), finite_differences(forward_case(), "x", "y", dy)) < 1e-6);
}

TEST_CASE("the gated unit and its gradient in bf16 are the rounded ones") {
  const auto backward = [] {
    OpCase c(OpKind::swiglu_backward, DType::f32);
    c.reads("dy", {M, F}, random_numbers(M * F, 4))
        .reads("x", {M, 2 * F}, random_numbers(M * 2 * F, 1));
    return c.writes("dx", {M, 2 * F});
  };
  OpCase wide = forward_case(DType::f32);
  OpCase narrow = wide;
  CHECK(narrow.in_bf16().run().at("y") == rounded(wide.run().at("y")));
  CHECK(backward().in_bf16().run().at("dx") == rounded(backward().run().at("dx")));
}
