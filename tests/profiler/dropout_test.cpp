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

TEST_CASE("dropout of a part has the mask of the whole: from an element on, and in runs") {
  const Numbers whole = dropout(OpKind::dropout_forward, Numbers(60, 1.0)).run().at("y");
  OpCase behind = dropout(OpKind::dropout_forward, Numbers(20, 1.0));
  behind.integer("first", 25);
  CHECK(behind.run().at("y") == Numbers(whole.begin() + 25, whole.begin() + 45));

  OpCase runs = dropout(OpKind::dropout_backward, Numbers(12, 1.0));  // 3 of 10, from 4 on
  runs.integer("first", 4).integer("run", 3).integer("stride", 10).integer("offset", 4);
  const Numbers y = runs.run().at("dx");
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(y[i] == whole[4 + (4 + i) / 3 * 10 + (4 + i) % 3]);
  }
  OpCase negative = dropout(OpKind::dropout_forward, Numbers(3, 1.0));
  negative.integer("run", -3);
  CHECK_FALSE(op_error(negative.trace(), negative.trace().ops[0]).empty());
}
