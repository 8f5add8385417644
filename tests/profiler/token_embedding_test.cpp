#include "tests/catch.h"
#include "tests/profiler/op_case.h"
#include "traces/error.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t V = 7, C = 5;
const Numbers k_tokens{3, 0, 3, 6};

OpCase forward_case() {
  OpCase c(OpKind::token_embedding_forward);
  c.reads("tokens", {2, 2}, k_tokens).reads("w", {V, C}, random_numbers(V * C, 1));
  return c.writes("y", {2, 2, C});
}

}  // namespace

TEST_CASE("a token becomes its row of the table") {
  OpCase c = forward_case();
  const Numbers y = c.run().at("y");
  for (std::size_t i = 0; i < k_tokens.size(); ++i) {
    for (std::size_t k = 0; k < C; ++k) {
      CHECK(y[i * C + k] == c.values("w")[static_cast<std::size_t>(k_tokens[i]) * C + k]);
    }
  }
}

TEST_CASE("gradients of a token that comes twice are added, equal to finite differences") {
  const Numbers dy = random_numbers(4 * C, 2);
  const Numbers before = random_numbers(V * C, 3);
  OpCase fresh(OpKind::token_embedding_backward);
  fresh.reads("dy", {2, 2, C}, dy).reads("tokens", {2, 2}, k_tokens).writes("dw", {V, C});
  const Numbers dw = fresh.run().at("dw");
  CHECK(relative_error(dw, finite_differences(forward_case(), "w", "y", dy)) < 1e-6);
  OpCase added(OpKind::token_embedding_backward);
  added.reads("dy", {2, 2, C}, dy).reads("tokens", {2, 2}, k_tokens).updates("dw", {V, C}, before);
  CHECK(relative_error(added.run().at("dw"), plus(dw, before)) < 1e-14);
}

TEST_CASE("a token that is not in the table is refused") {
  OpCase c = forward_case();
  c.values("tokens")[1] = V;
  CHECK_THROWS_AS(c.run(), InputError);
}
