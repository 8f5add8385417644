// Attention of some of the tokens over keys and values that were put together from all ranks.
#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, H = 2, C = 6;

/// One of `ranks` with `tokens` tokens of each sequence.
struct Place {
  std::int64_t tokens, ranks, rank;
  [[nodiscard]] std::int64_t all() const { return tokens * ranks; }
};

/// Columns [column, column + count) of the rank's rows of [B,S,width].
Numbers share_of(const Numbers& all, const Place& at, std::int64_t width, std::int64_t column,
                 std::int64_t count) {
  Numbers out;
  for (std::int64_t b = 0; b < B; ++b) {
    for (std::int64_t t = 0; t < at.tokens; ++t) {
      const std::int64_t row = b * at.all() + at.rank * at.tokens + t;
      const auto begin = all.begin() + row * width + column;
      out.insert(out.end(), begin, begin + count);
    }
  }
  return out;
}
Numbers share_of(const Numbers& all, const Place& at, std::int64_t width) {
  return share_of(all, at, width, 0, width);
}

/// Keys and values of all ranks behind each other: [R,B,T,2C].
Numbers gathered(const Numbers& qkv, Place at) {
  Numbers out;
  for (at.rank = 0; at.rank < at.ranks; ++at.rank) {
    const Numbers part = share_of(qkv, at, 3 * C, C, 2 * C);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

/// A dropout of one quarter, with the mask of all tokens.
OpCase& with_dropout(OpCase& c, const Place& at) {
  c.real("probability", 0.25).integer("seed", 3).integer("key", 9).integer("step", 0, 1);
  if (at.ranks == 1) return c;
  return c.integer("run", at.tokens * at.all())
      .integer("stride", at.all() * at.all())
      .integer("offset", at.rank * at.tokens * at.all());
}

struct Lowering {
  bool flash = false;
  bool drops = false;
};

std::int64_t block_of(const Place& at) {
  return std::min(k_flash_rows, at.tokens);
}

OpCase forward_case(const Lowering& how, const Place& at, const Numbers& qkv,
                    DType dtype = DType::f64) {
  OpCase c(how.flash ? OpKind::flash_attention_forward : OpKind::attention_forward, dtype);
  c.reads("qkv", {B, at.tokens, 3 * C}, share_of(qkv, at, 3 * C));
  if (at.ranks > 1) {
    c.reads("kv", {at.ranks, B, at.tokens, 2 * C}, gathered(qkv, at));
    c.integer("position", at.rank * at.tokens);
  }
  if (!how.flash) c.writes("probabilities", {B, H, at.tokens, at.all()});
  c.writes("y", {B, at.tokens, C});
  if (how.flash) c.writes("log_sum_exp", {B, H, at.tokens});
  if (how.flash || how.drops) c.writes("workspace", {block_of(at), at.all()});
  c.integer("heads", H);
  return how.drops ? with_dropout(c, at) : c;
}

std::map<std::string, Numbers> gradients(const Lowering& how, const Place& at, const Numbers& qkv,
                                         const Numbers& dy, int fill = 0xFF) {
  auto saved = forward_case(how, at, qkv).run();
  OpCase c(how.flash ? OpKind::flash_attention_backward : OpKind::attention_backward);
  c.reads("dy", {B, at.tokens, C}, share_of(dy, at, C));
  c.reads("qkv", {B, at.tokens, 3 * C}, share_of(qkv, at, 3 * C));
  if (at.ranks > 1) {
    c.reads("kv", {at.ranks, B, at.tokens, 2 * C}, gathered(qkv, at));
    c.integer("position", at.rank * at.tokens);
  }
  if (how.flash) {
    c.reads("y", {B, at.tokens, C}, saved.at("y"));
    c.reads("log_sum_exp", {B, H, at.tokens}, saved.at("log_sum_exp"));
  } else {
    c.reads("probabilities", {B, H, at.tokens, at.all()}, saved.at("probabilities"));
  }
  c.writes("dqkv", {B, at.tokens, 3 * C});
  if (at.ranks > 1) c.writes("dkv", {at.ranks, B, at.tokens, 2 * C});
  c.writes("workspace", how.flash ? std::vector<std::int64_t>{2, block_of(at), at.all()}
                                  : std::vector<std::int64_t>{at.tokens, at.all()});
  c.integer("heads", H);
  if (how.drops) with_dropout(c, at);
  return c.run(0, 0, fill);
}

constexpr std::array k_lowerings{Lowering{}, Lowering{true, false}, Lowering{false, true},
                                 Lowering{true, true}};

}  // namespace

TEST_CASE("attention over gathered keys equals the rows of attention over all tokens") {
  for (const Lowering& how : k_lowerings) {
    for (const auto& [tokens, ranks] : {std::pair{1, 2}, {5, 2}, {3, 4}, {64, 2}, {50, 3}}) {
      CAPTURE(how.flash, how.drops, tokens, ranks);
      const Place whole{std::int64_t{tokens} * ranks, 1, 0};
      const Numbers qkv = random_numbers(B * whole.tokens * 3 * C, 1);
      const Numbers dy = random_numbers(B * whole.tokens * C, 2);
      const Numbers y = forward_case(how, whole, qkv).run().at("y");
      const Numbers slope = gradients(how, whole, qkv, dy).at("dqkv");
      Numbers dkv(static_cast<std::size_t>(B * whole.tokens * 2 * C), 0.0);
      for (std::int64_t rank = 0; rank < ranks; ++rank) {
        const Place at{tokens, ranks, rank};
        CHECK(relative_error(forward_case(how, at, qkv).run().at("y"), share_of(y, at, C)) < 1e-13);
        CHECK(relative_error(forward_case(how, at, qkv, DType::f32).run().at("y"),
                             share_of(y, at, C)) < 5e-6);
        auto out = gradients(how, at, qkv, dy);
        const Numbers all_columns = out.at("dqkv");
        const Place alone{tokens, 1, 0};
        CHECK(relative_error(share_of(all_columns, alone, 3 * C, 0, C),
                             share_of(slope, at, 3 * C, 0, C)) < 1e-11);
        CHECK(share_of(all_columns, alone, 3 * C, C, 2 * C) ==
              Numbers(static_cast<std::size_t>(B * tokens * 2 * C), 0.0));
        dkv = plus(dkv, out.at("dkv"));
      }
      CHECK(relative_error(dkv, gathered(slope, {tokens, ranks, 0})) < 1e-11);
    }
  }
}

TEST_CASE("gradients of attention over gathered keys equal finite differences") {
  for (const Lowering& how : k_lowerings) {
    for (const std::int64_t rank : {0, 1, 2}) {
      CAPTURE(how.flash, how.drops, rank);
      const Place at{3, 3, rank};
      const Numbers qkv = random_numbers(B * at.all() * 3 * C, 4);
      const Numbers dy = random_numbers(B * at.all() * C, 5);
      auto out = gradients(how, at, qkv, dy);
      const OpCase forward = forward_case(how, at, qkv);
      const Numbers weights = share_of(dy, at, C);
      CHECK(relative_error(out.at("dkv"), finite_differences(forward, "kv", "y", weights)) < 1e-6);
      CHECK(relative_error(out.at("dqkv"), finite_differences(forward, "qkv", "y", weights)) <
            1e-6);
    }
  }
}

TEST_CASE("gradients of keys that nobody sees are 0 whatever was there") {
  const Place first{4, 2, 0};
  const Numbers qkv = random_numbers(B * 8 * 3 * C, 1);
  const Numbers dy = random_numbers(B * 8 * C, 2);
  for (const Lowering& how : k_lowerings) {
    auto out = gradients(how, first, qkv, dy, 0x3F);
    const Numbers unseen(out.at("dkv").begin() + B * 4 * 2 * C, out.at("dkv").end());
    CHECK(unseen == Numbers(static_cast<std::size_t>(B * 4 * 2 * C), 0.0));
    CHECK(out.at("dkv") == gradients(how, first, qkv, dy).at("dkv"));
  }
}

TEST_CASE("keys that do not fit the queries are refused") {
  const Numbers qkv = random_numbers(B * 8 * 3 * C, 1);
  for (const bool flash : {false, true}) {
    const auto error = [&](const auto& change) {
      OpCase c = forward_case({flash, false}, {4, 2, 1}, qkv);
      change(c.trace());
      return op_error(c.trace(), c.trace().ops[0]);
    };
    CHECK(error([](Trace&) {}).empty());
    CHECK_FALSE(error([](Trace& t) { t.buffers[1].shape = {2, B, 4, C}; }).empty());
    CHECK_FALSE(error([](Trace& t) { t.buffers[1].shape = {2 * B, 4, 2 * C}; }).empty());
    CHECK_FALSE(error([](Trace& t) { t.buffers[1].shape = {1, B, 4, 2 * C}; }).empty());
    CHECK_FALSE(error([](Trace& t) { t.ops[0].attributes[0].integer = 5; }).empty());
    CHECK_FALSE(error([](Trace& t) { t.ops[0].attributes[0].integer = -1; }).empty());
    OpCase alone = forward_case({flash, false}, {4, 1, 0}, qkv);
    alone.integer("position", 1);
    CHECK_FALSE(op_error(alone.trace(), alone.trace().ops[0]).empty());
  }
}
