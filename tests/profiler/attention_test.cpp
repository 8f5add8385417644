#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, T = 5, H = 3, D = 4, C = H * D;
using Size = std::size_t;

OpCase forward_case(DType dtype = DType::f64) {
  OpCase c(OpKind::attention_forward, dtype);
  c.reads("qkv", {B, T, 3 * C}, random_numbers(B * T * 3 * C, 1));
  c.writes("probabilities", {B, H, T, T}).writes("y", {B, T, C});
  return c.integer("heads", H);
}

/// Value `part` (0 q, 1 k, 2 v) of one head.
double part_of(const Numbers& qkv, Size part, Size b, Size t, Size h, Size d) {
  return qkv[(b * T + t) * 3 * C + part * C + h * D + d];
}

Numbers naive_forward(const Numbers& qkv) {
  Numbers y(Size(B * T * C), 0.0);
  for (Size b = 0; b < B; ++b) {
    for (Size h = 0; h < H; ++h) {
      for (Size t = 0; t < T; ++t) {
        Numbers score;
        double total = 0;
        for (Size s = 0; s <= t; ++s) {
          double sum = 0;
          for (Size d = 0; d < D; ++d)
            sum += part_of(qkv, 0, b, t, h, d) * part_of(qkv, 1, b, s, h, d);
          score.push_back(std::exp(sum / std::sqrt(double(D))));
          total += score.back();
        }
        for (Size s = 0; s <= t; ++s) {
          for (Size d = 0; d < D; ++d) {
            y[(b * T + t) * C + h * D + d] += score[s] / total * part_of(qkv, 2, b, s, h, d);
          }
        }
      }
    }
  }
  return y;
}

OpCase backward_case(const Numbers& dy) {
  OpCase forward = forward_case();
  auto saved = forward.run();
  OpCase c(OpKind::attention_backward);
  c.reads("dy", {B, T, C}, dy).reads("qkv", {B, T, 3 * C}, forward.values("qkv"));
  c.reads("probabilities", {B, H, T, T}, saved.at("probabilities"));
  c.writes("dqkv", {B, T, 3 * C}).writes("workspace", {T, T});
  return c.integer("heads", H);
}

}  // namespace

TEST_CASE("attention equals the naive causal loop in both precisions") {
  OpCase c = forward_case();
  const Numbers expected = naive_forward(c.values("qkv"));
  CHECK(relative_error(c.run().at("y"), expected) < 1e-13);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), expected) < 2e-6);
}

TEST_CASE("attention probabilities are rows that sum to one and never see the future") {
  const Numbers p = forward_case().run().at("probabilities");
  for (Size row = 0; row < Size(B * H * T); ++row) {
    double sum = 0;
    for (Size s = 0; s < T; ++s) {
      sum += p[row * T + s];
      if (s > row % T) CHECK(p[row * T + s] == 0);
    }
    CHECK(std::abs(sum - 1) < 1e-14);
  }
}

TEST_CASE("attention gradient equals finite differences") {
  const Numbers dy = random_numbers(B * T * C, 2);
  CHECK(relative_error(backward_case(dy).run().at("dqkv"),
                       finite_differences(forward_case(), "qkv", "y", dy)) < 1e-6);
}

TEST_CASE("attention backward does not depend on what its workspace held") {
  OpCase c = backward_case(random_numbers(B * T * C, 3));
  CHECK(c.run(0, 0, 0xFF).at("dqkv") == c.run(0, 0, 0x3F).at("dqkv"));
}

namespace {

constexpr std::int64_t k_long = 150;  // three blocks of rows, the last one short

OpCase long_case(std::int64_t tokens, const Numbers& qkv) {
  OpCase c(OpKind::attention_forward);
  c.reads("qkv", {1, tokens, 3 * C}, qkv);
  c.writes("probabilities", {1, H, tokens, tokens}).writes("y", {1, tokens, C});
  return c.integer("heads", H);
}

double weighted_sum(const Numbers& values, const Numbers& weights) {
  double sum = 0;
  for (Size i = 0; i < values.size(); ++i) sum += values[i] * weights[i];
  return sum;
}

}  // namespace

TEST_CASE("attention of a long text begins like that of its first tokens") {
  const Numbers qkv = random_numbers(k_long * 3 * C, 7);
  const Numbers whole = long_case(k_long, qkv).run().at("y");
  for (const std::int64_t tokens : {1, 63, 64, 65, 128, 149}) {
    const Numbers part(qkv.begin(), qkv.begin() + tokens * 3 * C);
    const Numbers begin(whole.begin(), whole.begin() + tokens * C);
    CHECK(relative_error(long_case(tokens, part).run().at("y"), begin) < 1e-13);
  }
}

TEST_CASE("attention gradient of a long text equals the slope along random directions") {
  const Numbers qkv = random_numbers(k_long * 3 * C, 7);
  const Numbers dy = random_numbers(k_long * C, 8);
  OpCase backward(OpKind::attention_backward);
  backward.reads("dy", {1, k_long, C}, dy).reads("qkv", {1, k_long, 3 * C}, qkv);
  backward.reads("probabilities", {1, H, k_long, k_long},
                 long_case(k_long, qkv).run().at("probabilities"));
  backward.writes("dqkv", {1, k_long, 3 * C}).writes("workspace", {k_long, k_long});
  const Numbers gradient = backward.integer("heads", H).run().at("dqkv");
  for (std::uint64_t seed = 10; seed < 14; ++seed) {
    const Numbers direction = random_numbers(k_long * 3 * C, seed);
    Numbers above = qkv;
    Numbers below = qkv;
    for (Size i = 0; i < qkv.size(); ++i) {
      above[i] += 1e-5 * direction[i];
      below[i] -= 1e-5 * direction[i];
    }
    const double slope = (weighted_sum(long_case(k_long, above).run().at("y"), dy) -
                          weighted_sum(long_case(k_long, below).run().at("y"), dy)) /
                         2e-5;
    CHECK(std::abs(weighted_sum(gradient, direction) - slope) < 1e-6 * (1 + std::abs(slope)));
  }
}
