#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t N = 3, C = 2, H = 3, W = 7;
constexpr double k_epsilon = 1e-5;
constexpr std::size_t k_positions = H * W;

OpCase forward_case(DType dtype = DType::f64) {
  OpCase c(OpKind::batch_norm_forward, dtype);
  c.reads("x", {N, C, H, W}, random_numbers(N * C * H * W, 1))
      .reads("w", {C}, random_numbers(C, 2))
      .reads("b", {C}, random_numbers(C, 3));
  c.writes("y", {N, C, H, W}).writes("mean", {C}).writes("variance", {C});
  return c.real("epsilon", k_epsilon);
}

/// Mean and biased variance of a channel.
std::pair<double, double> moments(const Numbers& x, std::size_t channel) {
  double mean = 0, variance = 0;
  constexpr double count = N * H * W;
  for (int pass = 0; pass < 2; ++pass) {
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t i = 0; i < k_positions; ++i) {
        const double value = x[(n * C + channel) * k_positions + i];
        if (pass == 0) mean += value / count;
        if (pass == 1) variance += (value - mean) * (value - mean) / count;
      }
    }
  }
  return {mean, variance};
}

Numbers naive() {
  OpCase c = forward_case();
  Numbers y;
  for (std::size_t i = 0; i < c.values("x").size(); ++i) {
    const std::size_t channel = i / k_positions % C;
    const auto [mean, variance] = moments(c.values("x"), channel);
    y.push_back((c.values("x")[i] - mean) / std::sqrt(variance + k_epsilon) *
                    c.values("w")[channel] +
                c.values("b")[channel]);
  }
  return y;
}

}  // namespace

TEST_CASE("batch norm equals the naive loop in both precisions and keeps mean and variance") {
  auto out = forward_case().run();
  CHECK(relative_error(out.at("y"), naive()) < 1e-13);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), naive()) < 3e-6);
  for (std::size_t c = 0; c < C; ++c) {
    const auto [mean, variance] = moments(forward_case().values("x"), c);
    CHECK(out.at("mean")[c] == Approx(mean));
    CHECK(out.at("variance")[c] == Approx(variance));
  }
}

TEST_CASE("batch norm gradients equal finite differences, and accumulate") {
  OpCase forward = forward_case();
  auto saved = forward.run();
  const Numbers dy = random_numbers(N * C * H * W, 4);
  const auto backward = [&](bool accumulates) {
    OpCase c(OpKind::batch_norm_backward);
    c.reads("dy", {N, C, H, W}, dy).reads("x", {N, C, H, W}, forward.values("x"));
    c.reads("w", {C}, forward.values("w")).reads("mean", {C}, saved.at("mean"));
    c.reads("variance", {C}, saved.at("variance")).writes("dx", {N, C, H, W});
    if (accumulates) {
      c.updates("dw", {C}, {1, 2}).updates("db", {C}, {3, 4});
    } else {
      c.writes("dw", {C}).writes("db", {C});
    }
    return c.real("epsilon", k_epsilon).run();
  };
  auto plain = backward(false);
  CHECK(relative_error(plain.at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
  CHECK(relative_error(plain.at("dw"), finite_differences(forward, "w", "y", dy)) < 1e-6);
  CHECK(relative_error(plain.at("db"), finite_differences(forward, "b", "y", dy)) < 1e-6);
  auto added = backward(true);
  CHECK(relative_error(added.at("dw"), plus(plain.at("dw"), {1, 2})) < 1e-14);
  CHECK(relative_error(added.at("db"), plus(plain.at("db"), {3, 4})) < 1e-14);
}

TEST_CASE("with the statistics of its batch inference equals training, with others the formula") {
  OpCase forward = forward_case();
  auto out = forward.run();
  const auto inference = [&](const Numbers& mean, const Numbers& variance) {
    OpCase c(OpKind::batch_norm_inference);
    c.reads("x", {N, C, H, W}, forward.values("x")).reads("w", {C}, forward.values("w"));
    c.reads("b", {C}, forward.values("b")).reads("mean", {C}, mean);
    c.reads("variance", {C}, variance).writes("y", {N, C, H, W});
    return c.real("epsilon", k_epsilon).run().at("y");
  };
  CHECK(inference(out.at("mean"), out.at("variance")) == out.at("y"));
  const Numbers y = inference({0.5, -1}, {4, 0.25});
  const std::size_t at = k_positions + 3;  // channel 1 of the first sample
  CHECK(y[at] == Approx((forward.values("x")[at] + 1) / std::sqrt(0.25 + k_epsilon) *
                            forward.values("w")[1] +
                        forward.values("b")[1]));
}

TEST_CASE("running statistics move towards those of the batch, with the unbiased variance") {
  OpCase c(OpKind::batch_norm_update);
  c.reads("mean", {2}, {1, 2}).reads("variance", {2}, {3, 4});
  c.updates("running_mean", {2}, {0, 10}).updates("running_variance", {2}, {1, 1});
  c.real("momentum", 0.25).integer("count", 5);
  auto out = c.run();
  CHECK(relative_error(out.at("running_mean"), {0.25, 8}) < 1e-15);
  CHECK(relative_error(out.at("running_variance"),
                       {0.75 + 0.25 * 3 * 1.25, 0.75 + 0.25 * 4 * 1.25}) < 1e-15);
}
