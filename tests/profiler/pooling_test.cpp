#include <algorithm>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

OpCase max_case(std::int64_t size) {
  OpCase c(OpKind::max_pool_forward);
  c.reads("x", {2, 2, 5, 4}, random_numbers(80, 1)).writes("y", {2, 2, 5 / size, 4 / size});
  return c.integer("size", size);
}

}  // namespace

TEST_CASE("max pooling takes the largest of each window and leaves out the rest of an odd edge") {
  OpCase c = max_case(2);
  const Numbers& x = c.values("x");
  Numbers expected;
  for (std::size_t image = 0; image < 4; ++image) {
    for (std::size_t row = 0; row < 2; ++row) {
      for (std::size_t column = 0; column < 2; ++column) {
        const std::size_t at = image * 20 + row * 8 + column * 2;
        expected.push_back(std::max({x[at], x[at + 1], x[at + 4], x[at + 5]}));
      }
    }
  }
  CHECK(c.run().at("y") == expected);
}

TEST_CASE("max pooling gradients equal finite differences, of equal values the first gets all") {
  for (const std::int64_t size : {1, 2, 3}) {
    OpCase forward = max_case(size);
    const std::vector<std::int64_t> y{2, 2, 5 / size, 4 / size};
    const Numbers dy = random_numbers(product(y), 2);
    OpCase c(OpKind::max_pool_backward);
    c.reads("dy", y, dy).reads("x", {2, 2, 5, 4}, forward.values("x")).writes("dx", {2, 2, 5, 4});
    c.integer("size", size);
    CHECK(relative_error(c.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
  }
  OpCase same(OpKind::max_pool_backward);
  same.reads("dy", {1, 1, 1, 1}, {3}).reads("x", {1, 1, 2, 2}, {1, 7, 7, 7});
  CHECK(same.writes("dx", {1, 1, 2, 2}).integer("size", 2).run().at("dx") == Numbers{0, 3, 0, 0});
}

TEST_CASE("average pooling and its gradient") {
  OpCase forward(OpKind::average_pool_forward);
  forward.reads("x", {2, 3, 2, 5}, random_numbers(60, 1)).writes("y", {2, 3});
  double first = 0;
  for (std::size_t i = 0; i < 10; ++i) first += forward.values("x")[i] / 10;
  CHECK(forward.run().at("y")[0] == Approx(first));
  const Numbers dy = random_numbers(6, 2);
  OpCase c(OpKind::average_pool_backward);
  c.reads("dy", {2, 3}, dy).writes("dx", {2, 3, 2, 5});
  CHECK(relative_error(c.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
}
