#include "profiler/kernels/exponential.h"

#include <cmath>

#include "tests/catch.h"

using namespace tidemark::kernels;

namespace {

template <class T>
double worst_exponential_error(double low, double high) {
  double worst = 0;
  for (int i = 0; i <= 20000; ++i) {
    const T x = static_cast<T>(low + (high - low) * i / 20000);
    const double expected = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(exponential(x)) - expected) / expected);
  }
  return worst;
}

template <class T>
double worst_tanh_error() {
  double worst = 0;
  for (int i = 1; i <= 20000; ++i) {
    const T x = static_cast<T>(std::pow(10.0, -6 + 7.5 * i / 20000));
    const double expected = std::tanh(static_cast<double>(x));
    const double found = static_cast<double>(hyperbolic_tangent(x));
    worst = std::max(worst, std::abs(found - expected) / expected);
  }
  return worst;
}

}  // namespace

TEST_CASE("exponential is accurate to a few last bits over its range") {
  CHECK(worst_exponential_error<float>(-87, 88) < 3e-7);
  CHECK(worst_exponential_error<double>(-700, 700) < 5e-16);
}

TEST_CASE("hyperbolic tangent keeps its relative accuracy near zero") {
  CHECK(worst_tanh_error<float>() < 4e-7);
  CHECK(worst_tanh_error<double>() < 6e-16);
}

TEST_CASE("exponential saturates instead of overflowing and keeps NaN") {
  CHECK(exponential(-1e30F) >= 0.0F);
  CHECK(exponential(-1e30F) < 1e-37F);
  CHECK(std::isfinite(exponential(1e30F)));
  CHECK(std::isnan(exponential(std::nanf(""))));
  CHECK(exponential(0.0) == 1.0);
}
