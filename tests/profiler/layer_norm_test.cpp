#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 6, C = 37;
constexpr double k_epsilon = 1e-5;

OpCase forward_case(DType dtype = DType::f64, double offset = 0) {
  Numbers x = random_numbers(M * C, 1);
  for (double& value : x) value += offset;
  OpCase c(OpKind::layer_norm_forward, dtype);
  c.reads("x", {M, C}, x)
      .reads("w", {C}, random_numbers(C, 2))
      .reads("b", {C}, random_numbers(C, 3));
  c.writes("y", {M, C}).writes("mean", {M}).writes("inverse_deviation", {M});
  return c.real("epsilon", k_epsilon);
}

Numbers naive_forward(OpCase c) {
  const Numbers x = c.values("x");
  Numbers y;
  for (std::size_t i = 0; i < M; ++i) {
    double mean = 0, variance = 0;
    for (std::size_t k = 0; k < C; ++k) mean += x[i * C + k] / C;
    for (std::size_t k = 0; k < C; ++k) variance += std::pow(x[i * C + k] - mean, 2) / C;
    for (std::size_t k = 0; k < C; ++k) {
      y.push_back((x[i * C + k] - mean) / std::sqrt(variance + k_epsilon) * c.values("w")[k] +
                  c.values("b")[k]);
    }
  }
  return y;
}

/// `residual` and what was in dw and db may be empty: absent.
OpCase backward_case(const Numbers& dy, const Numbers& residual, const Numbers& before) {
  OpCase forward = forward_case();
  auto saved = forward.run();
  OpCase c(OpKind::layer_norm_backward);
  c.reads("dy", {M, C}, dy).reads("x", {M, C}, forward.values("x"));
  c.reads("w", {C}, forward.values("w")).reads("mean", {M}, saved.at("mean"));
  c.reads("inverse_deviation", {M}, saved.at("inverse_deviation"));
  if (!residual.empty()) c.reads("residual", {M, C}, residual);
  c.writes("dx", {M, C});
  if (before.empty()) return c.writes("dw", {C}).writes("db", {C});
  return c.updates("dw", {C}, before).updates("db", {C}, before);
}

}  // namespace

TEST_CASE("layer norm forward equals the naive loop in both precisions") {
  CHECK(relative_error(forward_case().run().at("y"), naive_forward(forward_case())) < 1e-13);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), naive_forward(forward_case())) <
        2e-6);
  // A mean far above the deviation costs accuracy only where the input has none.
  CHECK(relative_error(forward_case(DType::f64, 1e4).run().at("y"),
                       naive_forward(forward_case(DType::f64, 1e4))) < 1e-9);
}

TEST_CASE("a layer norm in bf16 is the rounded one, its statistics are not rounded") {
  const auto wide = forward_case(DType::f32).run();
  OpCase narrow = forward_case(DType::f32);
  Buffer& y = narrow.trace().buffers[3];
  y.dtype = DType::bf16;
  y.size_bytes /= 2;
  const auto got = narrow.run();
  CHECK(got.at("y") == rounded(wide.at("y")));
  CHECK(got.at("mean") == wide.at("mean"));
  CHECK(got.at("inverse_deviation") == wide.at("inverse_deviation"));
}

TEST_CASE("layer norm gradients equal finite differences") {
  const Numbers dy = random_numbers(M * C, 4);
  auto out = backward_case(dy, {}, {}).run();
  const OpCase forward = forward_case();
  CHECK(relative_error(out.at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("dw"), finite_differences(forward, "w", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("db"), finite_differences(forward, "b", "y", dy)) < 1e-6);
}

TEST_CASE("layer norm backward adds the residual to dx and old gradients to dw and db") {
  const Numbers dy = random_numbers(M * C, 4);
  const Numbers residual = random_numbers(M * C, 5);
  const Numbers before = random_numbers(C, 6);
  auto plain = backward_case(dy, {}, {}).run();
  auto added = backward_case(dy, residual, before).run();
  CHECK(relative_error(added.at("dx"), plus(plain.at("dx"), residual)) < 1e-14);
  CHECK(relative_error(added.at("dw"), plus(plain.at("dw"), before)) < 1e-14);
  CHECK(relative_error(added.at("db"), plus(plain.at("db"), before)) < 1e-14);
}
