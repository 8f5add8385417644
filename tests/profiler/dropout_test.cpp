#include <cmath>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

OpCase dropout(OpKind kind, const Numbers& values, std::int64_t key = 5) {
  const auto count = static_cast<std::int64_t>(values.size());
  OpCase c(kind);
  const bool forward = kind == OpKind::dropout_forward;
  c.reads(forward ? "x" : "dy", {count}, values).writes(forward ? "y" : "dx", {count});
  c.real("probability", 0.25).integer("seed", 3).integer("key", key).integer("step", 0, 1);
  return c;
}

}  // namespace

TEST_CASE("dropout zeroes its share and scales the rest, the same for the same key and step") {
  const Numbers ones(40000, 1.0);
  const Numbers y = dropout(OpKind::dropout_forward, ones).run().at("y");
  std::int64_t dropped = 0;
  for (const double value : y) {
    dropped += value == 0 ? 1 : 0;
    CHECK((value == 0 || value == Approx(1 / 0.75)));
  }
  CHECK(std::abs(static_cast<double>(dropped) / 40000 - 0.25) < 0.01);
  CHECK(dropout(OpKind::dropout_forward, ones).run().at("y") == y);
  CHECK(dropout(OpKind::dropout_backward, ones).run().at("dx") == y);
  CHECK(dropout(OpKind::dropout_forward, ones).run(1).at("y") != y);
  CHECK(dropout(OpKind::dropout_forward, ones, 6).run().at("y") != y);
}

TEST_CASE("dropout gradients equal finite differences") {
  const OpCase forward = dropout(OpKind::dropout_forward, random_numbers(50, 1));
  const Numbers dy = random_numbers(50, 2);
  CHECK(relative_error(dropout(OpKind::dropout_backward, dy).run().at("dx"),
                       finite_differences(forward, "x", "y", dy)) < 1e-6);
}
