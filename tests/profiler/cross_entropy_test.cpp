#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 4, V = 19;

OpCase forward_case(Numbers logits, DType dtype = DType::f64) {
  OpCase c(OpKind::softmax_cross_entropy_forward, dtype);
  c.reads("logits", {M, V}, std::move(logits)).reads("target", {M}, {0, 18, 7, 7});
  c.writes("loss", {1}).writes("log_sum_exp", {M});
  return c;
}

}  // namespace

TEST_CASE("cross entropy equals its definition and does not overflow") {
  for (const double range : {1.0, 300.0}) {
    Numbers logits = random_numbers(M * V, 1);
    for (double& value : logits) value *= range;
    OpCase c = forward_case(logits);
    double loss = 0;
    Numbers expected_lse;
    for (std::size_t i = 0; i < M; ++i) {
      long double sum = 0;
      for (std::size_t v = 0; v < V; ++v)
        sum += std::exp(static_cast<long double>(logits[i * V + v]));
      expected_lse.push_back(static_cast<double>(std::log(sum)));
      loss += expected_lse[i] - logits[i * V + static_cast<std::size_t>(c.values("target")[i])];
    }
    auto out = c.run();
    CHECK(relative_error(out.at("log_sum_exp"), expected_lse) < 1e-14);
    CHECK(relative_error(out.at("loss"), {loss / M}) < 1e-14);
  }
}

TEST_CASE("cross entropy gradient equals finite differences and carries the scale") {
  OpCase forward = forward_case(random_numbers(M * V, 2));
  const Numbers lse = forward.run().at("log_sum_exp");
  OpCase backward(OpKind::softmax_cross_entropy_backward);
  backward.updates("logits", {M, V}, random_numbers(M * V, 2));
  backward.reads("target", {M}, {0, 18, 7, 7}).reads("log_sum_exp", {M}, lse).real("scale", 0.5);
  CHECK(relative_error(backward.run().at("logits"),
                       finite_differences(forward, "logits", "loss", {0.5})) < 1e-6);
}

TEST_CASE("cross entropy refuses a class that the model does not have") {
  OpCase c = forward_case(random_numbers(M * V, 3));
  c.values("target")[2] = V;
  CHECK_THROWS_AS(c.run(), InputError);
  c.values("target")[2] = -1;
  CHECK_THROWS_AS(c.run(), InputError);
}

TEST_CASE("the loss of a share of the rows is its part of the mean") {
  OpCase c = forward_case(random_numbers(M * V, 1));
  const double loss = c.run().at("loss")[0];
  CHECK(c.real("scale", 0.25).run().at("loss")[0] == Approx(loss / 4).epsilon(1e-15));
}
