#include "profiler/cupti/records.h"

#include <random>

#include "../../catch.h"

using namespace tidemark;

TEST_CASE("scope: what is packed comes back") {
  CHECK(pack(Scope{}) == (std::uint64_t{6} << 41));  // only the phase `other` is there
  CHECK(unpack(0) == Scope{.phase = Phase::init});
  std::mt19937 random(1);
  const auto below = [&random](std::int32_t end) {
    return std::uniform_int_distribution<std::int32_t>(-1, end - 1)(random);
  };
  for (int i = 0; i < 1000; ++i) {
    Scope scope;
    scope.step = below((1 << 20) - 1);
    scope.phase = static_cast<Phase>(below(6) + 1);
    scope.layer.value = below((1 << 21) - 1);
    scope.op.value = below((1 << 20) - 1);
    REQUIRE(unpack(pack(scope)) == scope);
  }
}

TEST_CASE("scope: a row that does not fit is none, and leaves its neighbours alone") {
  Scope scope{.step = 3, .phase = Phase::backward};
  scope.layer.value = (1 << 21) - 1;
  scope.op.value = (1 << 20) - 1;
  CHECK(unpack(pack(scope)) == Scope{.step = 3, .phase = Phase::backward});
}
