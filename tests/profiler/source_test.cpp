#include <cmath>

#include "profiler/dataset.h"
#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

OpCase normal_case(std::int64_t count, std::int64_t seed, std::int64_t key) {
  OpCase c(OpKind::random_normal);
  c.writes("y", {count}).real("deviation", 2).integer("seed", seed).integer("key", key);
  return c;
}

}  // namespace

TEST_CASE("fill writes its value everywhere") {
  OpCase c(OpKind::fill);
  c.writes("y", {5}).real("value", 0.25);
  CHECK(c.run().at("y") == Numbers(5, 0.25));
}

TEST_CASE("random_normal has the mean, deviation and tails of a normal distribution") {
  const Numbers y = normal_case(100'001, 1, 0).run().at("y");
  double sum = 0, squares = 0;
  int beyond_two = 0;
  for (const double value : y) {
    sum += value / 2;
    squares += value * value / 4;
    beyond_two += std::abs(value / 2) > 2 ? 1 : 0;
  }
  const double count = static_cast<double>(y.size());
  CHECK(std::abs(sum / count) < 0.015);
  CHECK(std::abs(squares / count - 1) < 0.02);
  CHECK(std::abs(beyond_two / count - 0.0455) < 0.003);
}

TEST_CASE("random_normal is a function of seed, key and element alone") {
  const Numbers y = normal_case(8, 1, 5).run().at("y");
  CHECK(normal_case(8, 1, 5).run(3).at("y") == y);
  CHECK(normal_case(8, 2, 5).run().at("y") != y);
  CHECK(normal_case(8, 1, 6).run().at("y") != y);
  const Numbers longer = normal_case(16, 1, 5).run().at("y");
  CHECK(Numbers(longer.begin(), longer.begin() + 8) == y);
}

TEST_CASE("load_batch takes the samples at the cursor of the step and wraps around") {
  const Dataset data = Dataset::table("1,4,0\n2,4,1\n4,2,2\n", "rows.csv");
  OpCase c(OpKind::load_batch);
  c.writes("x", {2, 2}).writes("target", {2}).integer("cursor", 0, 2);
  c.data = &data;
  CHECK(c.run(0).at("x") == Numbers{0.25, 1, 0.5, 1});
  CHECK(c.run(1).at("x") == Numbers{1, 0.5, 0.25, 1});
  CHECK(c.run(1).at("target") == Numbers{2, 0});
}

TEST_CASE("load_batch takes some tokens of every sequence") {
  const Dataset data = Dataset::text("abcdefghijklm");  // windows of four: abcd, efgh, ijkl
  OpCase c(OpKind::load_batch);
  const auto numbers = [](const char* text) { return Numbers(text, text + 4); };
  c.writes("x", {2, 2}).writes("target", {2, 2}).integer("cursor", 0, 1);
  c.trace().buffers[0].dtype = DType::i32;
  c.trace().buffers[0].size_bytes = 16;
  c.integer("width", 4);
  CHECK_FALSE(op_error(c.trace(), c.trace().ops[0]).empty());  // from where?
  c.integer("position", 2).data = &data;
  CHECK(c.run(0).at("x") == numbers("cdgh"));
  CHECK(c.run(1).at("target") == numbers("hilm"));
}
