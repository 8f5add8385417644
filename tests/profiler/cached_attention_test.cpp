#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, H = 3, D = 4, C = H * D, S = 150;

/// Rows [begin, end) of the middle dimension of values [B, rows, width].
Numbers rows_of(const Numbers& values, std::int64_t width, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / B / width;
  Numbers out;
  for (std::int64_t b = 0; b < B; ++b) {
    const auto first = values.begin() + (b * rows + begin) * width;
    out.insert(out.end(), first, first + (end - begin) * width);
  }
  return out;
}

struct Caches {
  Numbers keys = Numbers(B * S * C, 7.0);  // what was not written yet must not be looked at
  Numbers values = Numbers(B * S * C, 9.0);
};

OpCase cached(const Numbers& qkv, const Caches& caches, std::int64_t position, DType dtype) {
  const std::int64_t tokens = static_cast<std::int64_t>(qkv.size()) / B / 3 / C;
  OpCase c(OpKind::cached_attention_forward, dtype);
  c.reads("qkv", {B, tokens, 3 * C}, qkv);
  c.updates("keys", {B, S, C}, caches.keys).updates("values", {B, S, C}, caches.values);
  c.writes("y", {B, tokens, C}).writes("workspace", {std::min(k_flash_rows, tokens), S});
  return c.integer("heads", H).integer("position", position, 1);
}

/// y of all tokens, given to the op in parts that end at `ends`.
Numbers in_parts(const Numbers& qkv, const std::vector<std::int64_t>& ends, DType dtype) {
  Caches caches;
  std::vector<Numbers> parts;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    auto out = cached(rows_of(qkv, 3 * C, begin, end), caches, begin, dtype).run();
    parts.push_back(out.at("y"));
    caches = {out.at("keys"), out.at("values")};
    begin = end;
  }
  Numbers y;
  for (std::int64_t b = 0; b < B; ++b) {
    for (const Numbers& part : parts) {
      const auto each = static_cast<std::ptrdiff_t>(part.size()) / B;
      y.insert(y.end(), part.begin() + b * each, part.begin() + (b + 1) * each);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("attention over a cache equals attention over all tokens, however they come") {
  constexpr std::int64_t tokens = 140;
  const Numbers qkv = random_numbers(B * tokens * 3 * C, 1);
  OpCase whole(OpKind::attention_forward);
  whole.reads("qkv", {B, tokens, 3 * C}, qkv).writes("probabilities", {B, H, tokens, tokens});
  const Numbers expected = whole.writes("y", {B, tokens, C}).integer("heads", H).run().at("y");
  std::vector<std::int64_t> one_by_one{70};
  while (one_by_one.back() < tokens) one_by_one.push_back(one_by_one.back() + 1);
  for (const auto& ends : {std::vector<std::int64_t>{tokens},
                           {1, tokens},
                           {64, 128, tokens},
                           {3, 70, 137, tokens},
                           one_by_one}) {
    CHECK(relative_error(in_parts(qkv, ends, DType::f64), expected) < 1e-13);
    CHECK(relative_error(in_parts(qkv, ends, DType::f32), expected) < 1e-6);
  }
}

TEST_CASE("attention over a cache changes only the rows of the new tokens") {
  const Numbers qkv = random_numbers(B * 2 * 3 * C, 2);
  const Caches caches{random_numbers(B * S * C, 3), random_numbers(B * S * C, 4)};
  const auto out = cached(qkv, caches, 10, DType::f64).run(5);  // at step 5: position 15
  for (const char* name : {"keys", "values"}) {
    const Numbers& before = name[0] == 'k' ? caches.keys : caches.values;
    CHECK(rows_of(out.at(name), C, 0, 15) == rows_of(before, C, 0, 15));
    CHECK(rows_of(out.at(name), C, 17, S) == rows_of(before, C, 17, S));
  }
  CHECK(out.at("keys")[15 * C + 1] == qkv[C + 1]);
  CHECK(out.at("values")[(S + 16) * C] == qkv[(2 + 1) * 3 * C + 2 * C]);
}

TEST_CASE("attention over a cache refuses a position that has no room") {
  const Numbers qkv = random_numbers(B * 2 * 3 * C, 2);
  CHECK_NOTHROW(cached(qkv, {}, S - 2, DType::f64).run());
  CHECK_THROWS_AS(cached(qkv, {}, S - 2, DType::f64).run(1), InputError);
  CHECK_THROWS_AS(cached(qkv, {}, S - 2, DType::f64).run(-(std::int64_t{1} << 62)), InputError);
  CHECK(!op_error(cached(qkv, {}, S - 1, DType::f64).trace(),
                  cached(qkv, {}, S - 1, DType::f64).trace().ops[0])
             .empty());
}
