// Tokens to experts and back. Drawn: 4 tokens, 3 experts, 2 choices each, room for 2.
//
//   logits   0  1  2      slots    token 0: expert 2 first, then 1    row of [E,S] = 2 e + place
//   token 0  .1 .5 .9              token 1: 0 and 2
//   token 1  .8 .2 .7              token 2: 2 (full), then 0
//   token 2  .4 .3 .6              token 3: 1, then 2 (full)
//   token 3  .0 .9 .5
#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 4, E = 3, K = 2, Room = 2, C = 19;

const Numbers k_logits{.1, .5, .9, .8, .2, .7, .4, .3, .6, .0, .9, .5};
const Numbers k_slots{4, 2, 0, 5, -3, 1, 3, -3};
const Numbers k_gates{.6, .4, .5, .5, .7, .3, .2, .8};

OpCase route(DType dtype = DType::f64) {
  OpCase c(OpKind::route_forward, dtype);
  c.reads("logits", {M, E}, k_logits).writes("gates", {M, K}).writes("slots", {M, K});
  return c.integer("capacity", Room);
}

OpCase dispatch(DType dtype = DType::f64) {
  OpCase c(OpKind::dispatch_forward, dtype);
  c.reads("x", {M, C}, random_numbers(M * C, 1)).reads("slots", {M, K}, k_slots);
  return c.writes("y", {E, Room, C});
}

OpCase combine(DType dtype = DType::f64) {
  OpCase c(OpKind::combine_forward, dtype);
  c.reads("x", {E, Room, C}, random_numbers(E * Room * C, 2)).reads("slots", {M, K}, k_slots);
  return c.reads("gates", {M, K}, k_gates).writes("y", {M, C});
}

Numbers row(const Numbers& matrix, std::int64_t i) {
  return {matrix.begin() + i * C, matrix.begin() + (i + 1) * C};
}

}  // namespace

TEST_CASE("every token chooses the largest logits, and a full expert takes no more") {
  const auto out = route().run();
  CHECK(out.at("slots") == k_slots);
  for (std::size_t token = 0; token < M; ++token) {
    const auto expert = [&](std::size_t k) {
      const double slot = k_slots[token * K + k];
      return static_cast<std::size_t>(slot >= 0 ? slot / Room : -1 - slot);
    };
    const double first = std::exp(k_logits[token * E + expert(0)]);
    const double second = std::exp(k_logits[token * E + expert(1)]);
    CHECK(out.at("gates")[token * K] == Approx(first / (first + second)));
    CHECK(out.at("gates")[token * K + 1] == Approx(second / (first + second)));
  }
  CHECK(relative_error(route(DType::f32).run().at("gates"), out.at("gates")) < 1e-6);
}

TEST_CASE("of equal logits the first experts are chosen, and large ones do not overflow") {
  OpCase c = route();
  c.values("logits") = {1, 1, 1, 2000, 0, -2000, 0, 0, 0, -3, -3, -3};
  const auto out = c.run();
  CHECK(out.at("slots") == Numbers{0, 2, 1, 3, -1, -2, -1, -2});
  CHECK(out.at("gates") == Numbers{.5, .5, 1, 0, .5, .5, .5, .5});
}

TEST_CASE("the gradient of the router equals finite differences, also of dropped choices") {
  const Numbers dgates = random_numbers(M * K, 3);
  OpCase c(OpKind::route_backward);
  c.reads("dgates", {M, K}, dgates).reads("gates", {M, K}, route().run().at("gates"));
  c.reads("slots", {M, K}, k_slots).writes("dlogits", {M, E}).integer("capacity", Room);
  const Numbers expected = finite_differences(route(), "logits", "gates", dgates);
  CHECK(relative_error(c.run().at("dlogits"), expected) < 1e-8);
}

TEST_CASE("rows go to their slots, and slots that nobody has are 0") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    OpCase c = dispatch(dtype);
    const Numbers y = c.run().at("y");
    const Numbers x = c.run().at("x");
    const std::vector<std::int64_t> token_of{1, 2, 0, 3, 0, 1};
    for (std::int64_t slot = 0; slot < E * Room; ++slot) {
      CHECK(row(y, slot) == row(x, token_of[static_cast<std::size_t>(slot)]));
    }
    c.values("slots") = {4, -1, -1, -1, -1, -1, -1, -1};
    const Numbers mostly_empty = c.run().at("y");
    CHECK(row(mostly_empty, 4) == row(x, 0));
    for (const std::int64_t slot : {0, 1, 2, 3, 5}) CHECK(row(mostly_empty, slot) == Numbers(C, 0));
  }
}

TEST_CASE("rows in bf16 are taken as they are") {
  OpCase c(OpKind::dispatch_forward, DType::f32);
  c.reads("x", {M, C}, random_numbers(M * C, 1)).in_bf16().reads("slots", {M, K}, k_slots);
  c.writes("y", {E, Room, C}).in_bf16();
  CHECK(row(c.run().at("y"), 4) == row(rounded(random_numbers(M * C, 1)), 0));
  OpCase mixed(OpKind::dispatch_forward, DType::f32);
  mixed.reads("x", {M, C}, random_numbers(M * C, 1)).in_bf16().reads("slots", {M, K}, k_slots);
  mixed.writes("y", {E, Room, C});
  CHECK_THROWS_WITH(mixed.run(), Catch::Contains("bf16"));
}

TEST_CASE("gradients of dispatch and combine equal finite differences") {
  const Numbers dy = random_numbers(E * Room * C, 4);
  const Numbers residual = random_numbers(M * C, 5);
  OpCase back(OpKind::dispatch_backward);
  back.reads("dy", {E, Room, C}, dy).reads("slots", {M, K}, k_slots);
  back.reads("residual", {M, C}, residual).writes("dx", {M, C});
  const Numbers dx = finite_differences(dispatch(), "x", "y", dy);
  CHECK(relative_error(back.run().at("dx"), plus(dx, residual)) < 1e-8);

  const Numbers slope = random_numbers(M * C, 6);
  OpCase both(OpKind::combine_backward);
  both.reads("dy", {M, C}, slope).reads("x", {E, Room, C}, combine().values("x"));
  both.reads("slots", {M, K}, k_slots).reads("gates", {M, K}, k_gates);
  both.writes("dx", {E, Room, C}).writes("dgates", {M, K});
  const auto out = both.run();
  CHECK(relative_error(out.at("dx"), finite_differences(combine(), "x", "y", slope)) < 1e-8);
  CHECK(relative_error(out.at("dgates"), finite_differences(combine(), "gates", "y", slope)) <
        1e-8);
}

TEST_CASE("the gradient of the load-balancing loss equals finite differences") {
  // k_slots: experts 0, 1, 2 were chosen 2, 2 and 4 times of 8, two of them without a slot.
  const Numbers shares{.25, .25, .5};
  const auto loss = [&](const Numbers& logits) {
    Numbers means(E, 0);
    for (std::size_t token = 0; token < M; ++token) {
      double sum = 0;
      for (std::size_t e = 0; e < E; ++e) sum += std::exp(logits[token * E + e]);
      for (std::size_t e = 0; e < E; ++e) means[e] += std::exp(logits[token * E + e]) / sum / M;
    }
    double out = 0;
    for (std::size_t e = 0; e < E; ++e) out += E * shares[e] * means[e];
    return out;
  };
  constexpr double k_scale = 0.3, k_step = 1e-6;
  const Numbers before = random_numbers(M * E, 7);
  Numbers expected = before;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    Numbers up = k_logits, down = k_logits;
    up[i] += k_step;
    down[i] -= k_step;
    expected[i] += k_scale * (loss(up) - loss(down)) / (2 * k_step);
  }
  for (const DType dtype : {DType::f64, DType::f32}) {
    OpCase c(OpKind::balance_backward, dtype);
    c.reads("logits", {M, E}, k_logits).reads("slots", {M, K}, k_slots);
    c.updates("dlogits", {M, E}, before).integer("capacity", Room).real("scale", k_scale);
    CHECK(relative_error(c.run().at("dlogits"), expected) < (dtype == DType::f64 ? 1e-8 : 1e-6));
  }
}

TEST_CASE("where all experts are chosen as often, balancing changes nothing") {
  OpCase c(OpKind::balance_backward);
  c.reads("logits", {M, E}, k_logits)
      .reads("slots", {M, 3}, {0, 2, 4, 1, 3, 5, -1, -2, -3, -1, -2, -3});
  c.updates("dlogits", {M, E}, Numbers(M * E, 0)).integer("capacity", Room).real("scale", 1);
  for (const double slope : c.run().at("dlogits")) CHECK(std::abs(slope) < 1e-16);
}

TEST_CASE("a slot that the experts do not have is refused") {
  OpCase c = dispatch();
  c.values("slots")[3] = E * Room;
  CHECK_THROWS_WITH(c.run(), Catch::Contains("slot 3: expected a value below 6, found 6"));
  OpCase d = combine();
  d.values("slots")[0] = 1e9;
  CHECK_THROWS_AS(d.run(), InputError);
}

TEST_CASE("shapes that do not fit are refused by name") {
  OpCase few = route();
  few.trace().ops[0].attributes[0].integer = 0;
  CHECK_THROWS_WITH(few.run(), Catch::Contains("capacity"));
  OpCase many(OpKind::route_forward);
  many.reads("logits", {M, 1}, Numbers(M, 0)).writes("gates", {M, K}).writes("slots", {M, K});
  many.integer("capacity", 2);
  CHECK_THROWS_WITH(many.run(), Catch::Contains("at most 1 choices"));
}
