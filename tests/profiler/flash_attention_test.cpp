#include <algorithm>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, H = 2, C = 6;

Numbers qkv_of(std::int64_t tokens) {
  return random_numbers(B * tokens * 3 * C, 1);
}

/// The attributes of a dropout of one quarter.
OpCase& with_dropout(OpCase& c) {
  return c.real("probability", 0.25).integer("seed", 3).integer("key", 9).integer("step", 0, 1);
}

/// `lanes`: of so many heads the scores have room at a time.
OpCase flash(std::int64_t tokens, DType dtype = DType::f64, std::int64_t lanes = 1) {
  OpCase c(OpKind::flash_attention_forward, dtype);
  c.reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens)).writes("y", {B, tokens, C});
  c.writes("log_sum_exp", {B, H, tokens});
  c.writes("workspace", {lanes, std::min<std::int64_t>(k_flash_rows, tokens), tokens});
  return c.integer("heads", H);
}

OpCase composite(std::int64_t tokens) {
  OpCase c(OpKind::attention_forward);
  c.reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  c.writes("probabilities", {B, H, tokens, tokens}).writes("y", {B, tokens, C});
  return c.integer("heads", H);
}

Numbers flash_gradient(std::int64_t tokens, const Numbers& dy, std::int64_t lanes = 1) {
  auto saved = flash(tokens).run();
  OpCase c(OpKind::flash_attention_backward);
  c.reads("dy", {B, tokens, C}, dy).reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  c.reads("y", {B, tokens, C}, saved.at("y"));
  c.reads("log_sum_exp", {B, H, tokens}, saved.at("log_sum_exp"));
  c.writes("dqkv", {B, tokens, 3 * C});
  c.writes("workspace", {2 * lanes, std::min<std::int64_t>(k_flash_rows, tokens), tokens});
  return c.integer("heads", H).run().at("dqkv");
}

Numbers composite_gradient(std::int64_t tokens, const Numbers& dy) {
  OpCase c(OpKind::attention_backward);
  c.reads("dy", {B, tokens, C}, dy).reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  c.reads("probabilities", {B, H, tokens, tokens}, composite(tokens).run().at("probabilities"));
  c.writes("dqkv", {B, tokens, 3 * C}).writes("workspace", {tokens, tokens});
  return c.integer("heads", H).run().at("dqkv");
}

}  // namespace

TEST_CASE("flash attention equals the composite form for less than, just and more than a block") {
  for (const std::int64_t tokens : {1, 7, 64, 65, 150}) {
    CAPTURE(tokens);
    const Numbers expected = composite(tokens).run().at("y");
    CHECK(relative_error(flash(tokens).run().at("y"), expected) < 1e-12);
    CHECK(relative_error(flash(tokens, DType::f32).run().at("y"), expected) < 5e-6);
    const Numbers dy = random_numbers(B * tokens * C, 2);
    CHECK(relative_error(flash_gradient(tokens, dy), composite_gradient(tokens, dy)) < 1e-11);
  }
}

TEST_CASE("flash attention has the same bits with room for any number of heads at a time") {
  for (const std::int64_t tokens : {7, 65}) {
    auto one = flash(tokens, DType::f32).run();
    const Numbers dy = random_numbers(B * tokens * C, 2);
    for (const std::int64_t lanes : std::vector<std::int64_t>{2, 3, B * H, B * H + 1}) {
      CAPTURE(tokens, lanes);
      auto several = flash(tokens, DType::f32, lanes).run();
      CHECK(several.at("y") == one.at("y"));
      CHECK(several.at("log_sum_exp") == one.at("log_sum_exp"));
      CHECK(flash_gradient(tokens, dy, lanes) == flash_gradient(tokens, dy));
    }
  }
}

TEST_CASE("flash attention gradients equal finite differences") {
  const Numbers dy = random_numbers(B * 9 * C, 2);
  CHECK(relative_error(flash_gradient(9, dy), finite_differences(flash(9), "qkv", "y", dy)) < 1e-6);
}

namespace {

/// Forward cases of both lowerings with the same dropout.
OpCase dropped_flash(std::int64_t tokens) {
  OpCase c = flash(tokens);
  return with_dropout(c);
}
OpCase dropped_composite(std::int64_t tokens) {
  OpCase c = composite(tokens);
  c.writes("workspace", {std::min<std::int64_t>(k_flash_rows, tokens), tokens});
  return with_dropout(c);
}

Numbers dropped_gradient(OpKind kind, std::int64_t tokens, const Numbers& dy, std::int64_t step) {
  const bool is_flash = kind == OpKind::flash_attention_backward;
  OpCase forward = is_flash ? dropped_flash(tokens) : dropped_composite(tokens);
  auto saved = forward.run(step);
  OpCase c(kind);
  c.reads("dy", {B, tokens, C}, dy).reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  if (is_flash) {
    c.reads("y", {B, tokens, C}, saved.at("y"));
    c.reads("log_sum_exp", {B, H, tokens}, saved.at("log_sum_exp"));
  } else {
    c.reads("probabilities", {B, H, tokens, tokens}, saved.at("probabilities"));
  }
  c.writes("dqkv", {B, tokens, 3 * C});
  c.writes("workspace", is_flash
                            ? std::vector<std::int64_t>{2, std::min(k_flash_rows, tokens), tokens}
                            : std::vector<std::int64_t>{tokens, tokens});
  c.integer("heads", H);
  return with_dropout(c).run(step).at("dqkv");
}

}  // namespace

TEST_CASE("attention dropout: both lowerings drop the same, keep the probabilities, and say so") {
  for (const std::int64_t tokens : {1, 7, 65, 150}) {
    CAPTURE(tokens);
    auto expected = dropped_composite(tokens).run();
    CHECK(relative_error(dropped_flash(tokens).run().at("y"), expected.at("y")) < 1e-12);
    CHECK(expected.at("probabilities") == composite(tokens).run().at("probabilities"));
    CHECK(dropped_flash(tokens).run().at("log_sum_exp") == flash(tokens).run().at("log_sum_exp"));
    const Numbers dy = random_numbers(B * tokens * C, 2);
    CHECK(relative_error(dropped_gradient(OpKind::flash_attention_backward, tokens, dy, 2),
                         dropped_gradient(OpKind::attention_backward, tokens, dy, 2)) < 1e-11);
  }
  CHECK(dropped_composite(65).run(1).at("y") != dropped_composite(65).run().at("y"));
  OpCase without_room = composite(7);
  CHECK_FALSE(op_error(with_dropout(without_room).trace(), without_room.trace().ops[0]).empty());
  OpCase certain = flash(7);
  certain.real("probability", 1);
  CHECK_FALSE(op_error(certain.trace(), certain.trace().ops[0]).empty());
}

TEST_CASE("attention dropout equals the naive sum with the mask of dropout_forward") {
  constexpr std::int64_t T = 9;
  constexpr std::int64_t D = C / H;
  OpCase ones(OpKind::dropout_forward);
  ones.reads("x", {B, H, T, T}, Numbers(B * H * T * T, 1.0)).writes("y", {B, H, T, T});
  const Numbers mask = with_dropout(ones).run().at("y");
  auto out = dropped_composite(T).run();
  const Numbers qkv = qkv_of(T);
  Numbers y(B * T * C, 0.0);
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t h = 0; h < H; ++h) {
      for (std::int64_t i = 0; i < T * T * D; ++i) {
        const std::int64_t t = i / T / D, s = i / D % T, d = i % D;
        const auto score = static_cast<std::size_t>(((b * H + h) * T + t) * T + s);
        y[static_cast<std::size_t>((b * T + t) * C + h * D + d)] +=
            out.at("probabilities")[score] * mask[score] *
            qkv[static_cast<std::size_t>((b * T + s) * 3 * C + 2 * C + h * D + d)];
      }
    }
  }
  CHECK(relative_error(out.at("y"), y) < 1e-13);
}

TEST_CASE("attention dropout: gradients of both lowerings equal finite differences") {
  for (const std::int64_t tokens : {5, 67}) {
    const Numbers dy = random_numbers(B * tokens * C, 3);
    const Numbers expected = finite_differences(dropped_composite(tokens), "qkv", "y", dy);
    for (const OpKind kind : {OpKind::attention_backward, OpKind::flash_attention_backward}) {
      CAPTURE(tokens, to_string(kind));
      CHECK(relative_error(dropped_gradient(kind, tokens, dy, 0), expected) < 1e-6);
    }
  }
}
