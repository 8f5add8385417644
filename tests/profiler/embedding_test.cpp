#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, T = 3, C = 5, V = 11, P = 4;  // P positions, more than T
const Numbers k_tokens{3, 10, 3, 0, 3, 7};

OpCase forward_case() {
  OpCase c(OpKind::embedding_forward);
  c.reads("tokens", {B, T}, k_tokens).reads("wte", {V, C}, random_numbers(V * C, 1));
  c.reads("wpe", {P, C}, random_numbers(P * C, 2)).writes("y", {B, T, C});
  return c;
}

}  // namespace

TEST_CASE("embedding adds the rows of token and position") {
  OpCase c = forward_case();
  Numbers expected;
  for (std::size_t i = 0; i < k_tokens.size(); ++i) {
    for (std::size_t k = 0; k < C; ++k) {
      expected.push_back(c.values("wte")[static_cast<std::size_t>(k_tokens[i]) * C + k] +
                         c.values("wpe")[i % T * C + k]);
    }
  }
  CHECK(c.run().at("y") == expected);
}

TEST_CASE("embedding begins at a position that may move from step to step") {
  OpCase c = forward_case();
  const Numbers at_0 = c.run().at("y");
  c.integer("position", 0, 1);
  CHECK(c.run().at("y") == at_0);
  const Numbers at_1 = c.run(1).at("y");  // P = T + 1: the last that fits
  const Numbers& wpe = c.values("wpe");
  for (std::size_t i = 0; i < T * C; ++i) {
    CHECK(at_1[i] - at_0[i] == Approx(wpe[i + C] - wpe[i]).margin(1e-15));
  }
  CHECK_THROWS_AS(c.run(2), InputError);
  CHECK_THROWS_AS(c.run(-1), InputError);
}

TEST_CASE("embedding gradients of positions go where forward took them from") {
  const Numbers dy = random_numbers(B * T * C, 3);
  OpCase forward = forward_case();
  forward.integer("position", 1);
  OpCase backward(OpKind::embedding_backward);
  backward.reads("dy", {B, T, C}, dy).reads("tokens", {B, T}, k_tokens);
  backward.writes("dwte", {V, C}).writes("dwpe", {P, C}).integer("position", 1, 1);
  CHECK(relative_error(backward.run().at("dwpe"), finite_differences(forward, "wpe", "y", dy)) <
        1e-6);
  CHECK_THROWS_AS(backward.run(1), InputError);
}

TEST_CASE("embedding gradient equals finite differences, repeated tokens add up") {
  const Numbers dy = random_numbers(B * T * C, 3);
  OpCase backward(OpKind::embedding_backward);
  backward.reads("dy", {B, T, C}, dy).reads("tokens", {B, T}, k_tokens);
  backward.writes("dwte", {V, C}).writes("dwpe", {P, C});
  auto out = backward.run();
  CHECK(relative_error(out.at("dwte"), finite_differences(forward_case(), "wte", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("dwpe"), finite_differences(forward_case(), "wpe", "y", dy)) < 1e-6);

  // The tied head has written dwte before: it is added to, dwpe is written.
  const Numbers before = random_numbers(V * C, 4);
  OpCase tied(OpKind::embedding_backward);
  tied.reads("dy", {B, T, C}, dy).reads("tokens", {B, T}, k_tokens);
  tied.updates("dwte", {V, C}, before).writes("dwpe", {P, C});
  auto tied_out = tied.run();
  CHECK(relative_error(tied_out.at("dwte"), plus(out.at("dwte"), before)) < 1e-14);
  CHECK(tied_out.at("dwpe") == out.at("dwpe"));
}

TEST_CASE("embedding refuses a token outside of the vocabulary") {
  OpCase c = forward_case();
  c.values("tokens")[0] = V;
  CHECK_THROWS_AS(c.run(), InputError);
  c.values("tokens")[0] = -1;  // poisoned memory
  CHECK_THROWS_AS(c.run(), InputError);
}
