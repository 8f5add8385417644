#include "profiler/kernels/bfloat16.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"

using namespace tidemark::kernels;

namespace {

/// Of the two neighbours of x with 8 significant bits the nearer one, the even one when equal.
float nearest(float x) {
  int exponent = 0;
  const float mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
}

}  // namespace

TEST_CASE("bfloat16 is the nearest value with 8 significant bits, ties to even") {
  for (int i = 1; i < 200'000; ++i) {
    const float x = std::ldexp(static_cast<float>(i * 37), i % 60 - 30);
    REQUIRE(to_float(to_bfloat16(x)) == nearest(x));
    REQUIRE(to_float(to_bfloat16(-x)) == -nearest(x));
  }
  CHECK(to_float(to_bfloat16(1.00390625F)) == 1.0F);       // a tie, down to even
  CHECK(to_float(to_bfloat16(1.01171875F)) == 1.015625F);  // a tie, up to even
}

TEST_CASE("bfloat16 keeps infinities, and every NaN stays one") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(to_float(to_bfloat16(infinity)) == infinity);
  CHECK(to_float(to_bfloat16(-infinity)) == -infinity);
  CHECK(to_float(to_bfloat16(std::numeric_limits<float>::max())) == infinity);
  for (const std::uint32_t bits : {0xFFFFFFFFU, 0x7FFFFFFFU, 0x7F800001U, 0xFFC00000U}) {
    CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(bits)))));
  }
}
