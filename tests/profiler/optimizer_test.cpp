#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_count = 19;
constexpr double k_rate = 0.01, k_beta1 = 0.9, k_beta2 = 0.999, k_epsilon = 1e-8, k_decay = 0.1;

Numbers squares(Numbers x) {
  for (double& value : x) value *= value;
  return x;
}

OpCase adamw_case(DType dtype = DType::f64) {
  OpCase c(OpKind::adamw_update, dtype);
  c.updates("w", {k_count}, random_numbers(k_count, 1))
      .reads("dw", {k_count}, random_numbers(k_count, 2));
  c.updates("m", {k_count}, random_numbers(k_count, 3));
  c.updates("v", {k_count}, squares(random_numbers(k_count, 4)));
  c.real("learning_rate", k_rate).real("beta1", k_beta1).real("beta2", k_beta2);
  return c.real("epsilon", k_epsilon).real("weight_decay", k_decay).integer("t", 1, 1);
}

}  // namespace

TEST_CASE("sgd follows the gradient and the weight decay") {
  OpCase c(OpKind::sgd_update);
  c.updates("w", {2}, {1, -2}).reads("dw", {2}, {10, 20});
  c.real("learning_rate", 0.1).real("weight_decay", 0.5);
  CHECK(relative_error(c.run().at("w"), {1 - 0.1 * (10 + 0.5), -2 - 0.1 * (20 - 1.0)}) < 1e-15);
}

TEST_CASE("adamw equals the textbook update, whose t grows with the step") {
  for (const std::int64_t step : {0, 9}) {
    OpCase c = adamw_case();
    Numbers w, m, v;
    for (std::size_t i = 0; i < k_count; ++i) {
      const double g = c.values("dw")[i];
      const double t = static_cast<double>(step + 1);
      m.push_back(k_beta1 * c.values("m")[i] + (1 - k_beta1) * g);
      v.push_back(k_beta2 * c.values("v")[i] + (1 - k_beta2) * g * g);
      const double m_hat = m[i] / (1 - std::pow(k_beta1, t));
      const double v_hat = v[i] / (1 - std::pow(k_beta2, t));
      w.push_back(c.values("w")[i] * (1 - k_rate * k_decay) -
                  k_rate * m_hat / (std::sqrt(v_hat) + k_epsilon));
    }
    auto out = c.run(step);
    CHECK(relative_error(out.at("m"), m) < 1e-14);
    CHECK(relative_error(out.at("v"), v) < 1e-14);
    CHECK(relative_error(out.at("w"), w) < 1e-13);
    CHECK(relative_error(adamw_case(DType::f32).run(step).at("w"), w) < 1e-5);
  }
}

TEST_CASE("momentum keeps a velocity to which the decayed gradient is added") {
  OpCase c(OpKind::momentum_update);
  c.updates("w", {2}, {1, -2}).reads("dw", {2}, {10, 20}).updates("velocity", {2}, {3, 4});
  c.real("learning_rate", 0.1).real("momentum", 0.5).real("weight_decay", 0.25);
  auto out = c.run();
  CHECK(relative_error(out.at("velocity"), {1.5 + 10.25, 2 + 19.5}) < 1e-15);
  CHECK(relative_error(out.at("w"), {1 - 1.175, -2 - 2.15}) < 1e-15);
}

TEST_CASE("adam puts the weight decay into the gradient, and is adamw without one") {
  OpCase adam = adamw_case();
  adam.trace().ops[0].kind = OpKind::adam_update;
  OpCase decayed = adamw_case();
  for (std::size_t i = 0; i < k_count; ++i) {
    decayed.values("dw")[i] += k_decay * decayed.values("w")[i];
  }
  const auto set_decay = [](OpCase& c, double decay) {
    for (Attribute& a : c.trace().ops[0].attributes) {
      if (a.name == "weight_decay") a.real = decay;
    }
  };
  set_decay(decayed, 0);
  for (const char* role : {"w", "m", "v"}) {
    CHECK(relative_error(adam.run(3).at(role), decayed.run(3).at(role)) < 1e-14);
  }
}
