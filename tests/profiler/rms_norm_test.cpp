#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 6, C = 37;
constexpr double k_epsilon = 1e-5;

OpCase forward_case(DType dtype = DType::f64, bool in_bf16 = false) {
  OpCase c(OpKind::rms_norm_forward, dtype);
  c.reads("x", {M, C}, random_numbers(M * C, 1)).reads("w", {C}, random_numbers(C, 2));
  c.writes("y", {M, C});
  if (in_bf16) c.in_bf16();
  c.writes("inverse_rms", {M});
  return c.real("epsilon", k_epsilon);
}

Numbers naive_forward(OpCase c) {
  Numbers y;
  for (std::size_t i = 0; i < M; ++i) {
    double square = 0;
    for (std::size_t k = 0; k < C; ++k) square += std::pow(c.values("x")[i * C + k], 2) / C;
    for (std::size_t k = 0; k < C; ++k) {
      y.push_back(c.values("x")[i * C + k] / std::sqrt(square + k_epsilon) * c.values("w")[k]);
    }
  }
  return y;
}

/// `residual` and what was in dw may be empty: absent.
OpCase backward_case(const Numbers& dy, const Numbers& residual, const Numbers& before) {
  OpCase forward = forward_case();
  auto saved = forward.run();
  OpCase c(OpKind::rms_norm_backward);
  c.reads("dy", {M, C}, dy).reads("x", {M, C}, forward.values("x"));
  c.reads("w", {C}, forward.values("w")).reads("inverse_rms", {M}, saved.at("inverse_rms"));
  if (!residual.empty()) c.reads("residual", {M, C}, residual);
  c.writes("dx", {M, C});
  return before.empty() ? c.writes("dw", {C}) : c.updates("dw", {C}, before);
}

}  // namespace

TEST_CASE("rms norm forward equals the naive loop in both precisions") {
  const Numbers naive = naive_forward(forward_case());
  CHECK(relative_error(forward_case().run().at("y"), naive) < 1e-13);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), naive) < 2e-6);
}

TEST_CASE("rms norm gradients equal finite differences") {
  const Numbers dy = random_numbers(M * C, 4);
  auto out = backward_case(dy, {}, {}).run();
  CHECK(relative_error(out.at("dx"), finite_differences(forward_case(), "x", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("dw"), finite_differences(forward_case(), "w", "y", dy)) < 1e-6);
}

TEST_CASE("rms norm backward adds the residual to dx and old gradients to dw") {
  const Numbers dy = random_numbers(M * C, 4);
  const Numbers residual = random_numbers(M * C, 5);
  const Numbers before = random_numbers(C, 6);
  auto plain = backward_case(dy, {}, {}).run();
  auto added = backward_case(dy, residual, before).run();
  CHECK(relative_error(added.at("dx"), plus(plain.at("dx"), residual)) < 1e-14);
  CHECK(relative_error(added.at("dw"), plus(plain.at("dw"), before)) < 1e-14);
}

TEST_CASE("an rms norm in bf16 is the rounded one, its statistic is not rounded") {
  auto wide = forward_case(DType::f32).run();
  auto narrow = forward_case(DType::f32, true).run();
  CHECK(narrow.at("y") == rounded(wide.at("y")));
  CHECK(narrow.at("inverse_rms") == wide.at("inverse_rms"));
}
