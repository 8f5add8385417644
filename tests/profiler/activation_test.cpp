#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t k_count = 41;  // no multiple of any vector width

struct Activation {
  OpKind forward;
  OpKind backward;
  const char* saved;
  double (*reference)(double);
};

const Activation k_activations[] = {
    {OpKind::sigmoid_forward, OpKind::sigmoid_backward, "y",
     [](double x) { return 1 / (1 + std::exp(-x)); }},
    {OpKind::tanh_forward, OpKind::tanh_backward, "y", [](double x) { return std::tanh(x); }},
    {OpKind::relu_forward, OpKind::relu_backward, "y", [](double x) { return x < 0 ? 0 : x; }},
    {OpKind::gelu_forward, OpKind::gelu_backward, "x",
     [](double x) {
       const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
       return 0.5 * x * (1 + std::tanh(u));
     }},
};

OpCase forward_case(const Activation& a, const Numbers& x, DType dtype = DType::f64) {
  OpCase c(a.forward, dtype);
  const auto count = static_cast<std::int64_t>(x.size());
  c.reads("x", {count}, x).writes("y", {count});
  return c;
}

Numbers scaled(Numbers x, double by) {
  for (double& value : x) value *= by;
  return x;
}

}  // namespace

TEST_CASE("activations equal their definition in both precisions") {
  for (const Activation& a : k_activations) {
    for (const double range : {1e-3, 1.0, 8.0, 40.0}) {
      const Numbers x = scaled(random_numbers(k_count, 7), range);
      Numbers expected;
      for (const double value : x) expected.push_back(a.reference(value));
      INFO(to_string(a.forward) << " within " << range);
      CHECK(relative_error(forward_case(a, x).run().at("y"), expected) < 5e-15);
      CHECK(relative_error(forward_case(a, x, DType::f32).run().at("y"), expected) < 3e-7);
    }
  }
}

TEST_CASE("activation gradients equal finite differences") {
  for (const Activation& a : k_activations) {
    const Numbers x = scaled(random_numbers(k_count, 8), 3);
    const Numbers dy = random_numbers(k_count, 9);
    OpCase forward = forward_case(a, x);
    OpCase backward(a.backward);
    const Numbers saved = a.saved[0] == 'x' ? x : forward.run().at("y");
    backward.reads("dy", {k_count}, dy).reads(a.saved, {k_count}, saved).writes("dx", {k_count});
    INFO(to_string(a.backward));
    CHECK(relative_error(backward.run().at("dx"), finite_differences(forward, "x", "y", dy)) <
          1e-6);
  }
}

TEST_CASE("GELU and its gradient in bf16 are the rounded ones, no other activation may be") {
  const Numbers x = scaled(random_numbers(k_count, 8), 3);
  const auto backward = [&] {
    OpCase c(OpKind::gelu_backward, DType::f32);
    c.reads("dy", {k_count}, random_numbers(k_count, 9)).reads("x", {k_count}, x);
    return c.writes("dx", {k_count});
  };
  OpCase wide = forward_case(k_activations[3], x, DType::f32);
  OpCase narrow = wide;
  CHECK(narrow.in_bf16().run().at("y") == rounded(wide.run().at("y")));
  CHECK(backward().in_bf16().run().at("dx") == rounded(backward().run().at("dx")));
  for (int i = 0; i < 3; ++i) {
    CHECK_THROWS(forward_case(k_activations[i], x, DType::f32).in_bf16().run());
  }
}

TEST_CASE("activations pass NaN on, so that poisoned memory is seen") {
  for (const Activation& a : k_activations) {
    const Numbers y = forward_case(a, {1.0, std::nan(""), 2.0}).run().at("y");
    INFO(to_string(a.forward));
    CHECK(std::isnan(y[1]));
    CHECK_FALSE(std::isnan(y[0]));
  }
}

TEST_CASE("add sums its operands") {
  OpCase c(OpKind::add);
  c.reads("a", {3}, {1, 2, 3}).reads("b", {3}, {10, 20, 30}).writes("y", {3});
  CHECK(c.run().at("y") == Numbers{11, 22, 33});
}
