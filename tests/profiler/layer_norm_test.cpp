#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 6, C = 37;
constexpr double k_epsilon = 1e-5;

/// The two forms: around the mean with a bias, around 0 without.
struct Form {
  OpKind forward, backward;
  std::vector<std::string> weights, statistics;
};

std::vector<Form> forms() {
  return {{OpKind::layer_norm_forward,
           OpKind::layer_norm_backward,
           {"w", "b"},
           {"mean", "inverse_deviation"}},
          {OpKind::rms_norm_forward, OpKind::rms_norm_backward, {"w"}, {"inverse_rms"}}};
}

OpCase forward_case(const Form& form, DType dtype = DType::f64, bool in_bf16 = false,
                    double offset = 0) {
  Numbers x = random_numbers(M * C, 1);
  for (double& value : x) value += offset;
  OpCase c(form.forward, dtype);
  c.reads("x", {M, C}, x);
  std::uint64_t seed = 2;
  for (const std::string& name : form.weights) c.reads(name, {C}, random_numbers(C, seed++));
  c.writes("y", {M, C});
  if (in_bf16) c.in_bf16();
  for (const std::string& name : form.statistics) c.writes(name, {M});
  return c.real("epsilon", k_epsilon);
}

Numbers naive_forward(const Form& form, OpCase c) {
  const bool centred = form.weights.size() == 2;
  const Numbers x = c.values("x");
  Numbers y;
  for (std::size_t i = 0; i < M; ++i) {
    double mean = 0, variance = 0;
    for (std::size_t k = 0; centred && k < C; ++k) mean += x[i * C + k] / C;
    for (std::size_t k = 0; k < C; ++k) variance += std::pow(x[i * C + k] - mean, 2) / C;
    for (std::size_t k = 0; k < C; ++k) {
      y.push_back((x[i * C + k] - mean) / std::sqrt(variance + k_epsilon) * c.values("w")[k] +
                  (centred ? c.values("b")[k] : 0));
    }
  }
  return y;
}

/// `residual` and what was in dw and db may be empty: absent.
OpCase backward_case(const Form& form, const Numbers& dy, const Numbers& residual,
                     const Numbers& before) {
  OpCase forward = forward_case(form);
  auto saved = forward.run();
  OpCase c(form.backward);
  c.reads("dy", {M, C}, dy).reads("x", {M, C}, forward.values("x"));
  c.reads("w", {C}, forward.values("w"));
  for (const std::string& name : form.statistics) c.reads(name, {M}, saved.at(name));
  if (!residual.empty()) c.reads("residual", {M, C}, residual);
  c.writes("dx", {M, C});
  for (const std::string& name : form.weights) {
    before.empty() ? c.writes("d" + name, {C}) : c.updates("d" + name, {C}, before);
  }
  return c;
}

}  // namespace

TEST_CASE("a norm equals the naive loop in both precisions") {
  for (const Form& form : forms()) {
    CAPTURE(to_string(form.forward));
    const Numbers naive = naive_forward(form, forward_case(form));
    CHECK(relative_error(forward_case(form).run().at("y"), naive) < 1e-13);
    CHECK(relative_error(forward_case(form, DType::f32).run().at("y"), naive) < 2e-6);
    // A mean far above the deviation costs accuracy only where the input has none.
    const OpCase far = forward_case(form, DType::f64, false, 1e4);
    CHECK(relative_error(OpCase(far).run().at("y"), naive_forward(form, far)) < 1e-9);
  }
}

TEST_CASE("a norm in bf16 is the rounded one, its statistics are not rounded") {
  for (const Form& form : forms()) {
    CAPTURE(to_string(form.forward));
    const auto wide = forward_case(form, DType::f32).run();
    const auto narrow = forward_case(form, DType::f32, true).run();
    CHECK(narrow.at("y") == rounded(wide.at("y")));
    for (const std::string& name : form.statistics) CHECK(narrow.at(name) == wide.at(name));
  }
}

TEST_CASE("gradients of a norm equal finite differences") {
  const Numbers dy = random_numbers(M * C, 4);
  for (const Form& form : forms()) {
    CAPTURE(to_string(form.forward));
    auto out = backward_case(form, dy, {}, {}).run();
    const OpCase forward = forward_case(form);
    CHECK(relative_error(out.at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
    for (const std::string& name : form.weights) {
      CHECK(relative_error(out.at("d" + name), finite_differences(forward, name, "y", dy)) < 1e-6);
    }
  }
}

TEST_CASE("a norm adds the residual to dx and old gradients to those of its weights") {
  const Numbers dy = random_numbers(M * C, 4);
  const Numbers residual = random_numbers(M * C, 5);
  const Numbers before = random_numbers(C, 6);
  for (const Form& form : forms()) {
    CAPTURE(to_string(form.forward));
    auto plain = backward_case(form, dy, {}, {}).run();
    auto added = backward_case(form, dy, residual, before).run();
    CHECK(relative_error(added.at("dx"), plus(plain.at("dx"), residual)) < 1e-14);
    for (const std::string& name : form.weights) {
      CHECK(relative_error(added.at("d" + name), plus(plain.at("d" + name), before)) < 1e-14);
    }
  }
}
