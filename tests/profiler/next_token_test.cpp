#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

TEST_CASE("the last token of each sequence") {
  OpCase c(OpKind::last_token);
  const Numbers x = random_numbers(2 * 3 * 4, 1);
  const Numbers y = c.reads("x", {2, 3, 4}, x).writes("y", {2, 1, 4}).run().at("y");
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t k = 0; k < 4; ++k) CHECK(y[b * 4 + k] == x[(b * 3 + 2) * 4 + k]);
  }
}

TEST_CASE("the most likely token of each row, the first of equal ones") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    OpCase c(OpKind::most_likely, dtype);
    c.reads("logits", {3, 1, 4}, {1, 5, 2, 5, -3, -4, -2, -9, 8, 1, 1, 1}).writes("tokens", {3, 1});
    CHECK(c.run().at("tokens") == Numbers{1, 2, 0});
  }
}
