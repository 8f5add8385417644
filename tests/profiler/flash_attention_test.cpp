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

OpCase flash(std::int64_t tokens, DType dtype = DType::f64) {
  OpCase c(OpKind::flash_attention_forward, dtype);
  c.reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens)).writes("y", {B, tokens, C});
  c.writes("log_sum_exp", {B, H, tokens});
  c.writes("workspace", {std::min<std::int64_t>(k_flash_rows, tokens), tokens});
  return c.integer("heads", H);
}

OpCase composite(std::int64_t tokens) {
  OpCase c(OpKind::attention_forward);
  c.reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  c.writes("probabilities", {B, H, tokens, tokens}).writes("y", {B, tokens, C});
  return c.integer("heads", H);
}

Numbers flash_gradient(std::int64_t tokens, const Numbers& dy) {
  auto saved = flash(tokens).run();
  OpCase c(OpKind::flash_attention_backward);
  c.reads("dy", {B, tokens, C}, dy).reads("qkv", {B, tokens, 3 * C}, qkv_of(tokens));
  c.reads("y", {B, tokens, C}, saved.at("y"));
  c.reads("log_sum_exp", {B, H, tokens}, saved.at("log_sum_exp"));
  c.writes("dqkv", {B, tokens, 3 * C});
  c.writes("workspace", {2, std::min<std::int64_t>(k_flash_rows, tokens), tokens});
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

TEST_CASE("flash attention gradients equal finite differences") {
  const Numbers dy = random_numbers(B * 9 * C, 2);
  CHECK(relative_error(flash_gradient(9, dy), finite_differences(flash(9), "qkv", "y", dy)) < 1e-6);
}
