#include <cmath>
#include <complex>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t B = 2, T = 5, H = 4, G = 2, D = 6;
constexpr std::int64_t k_in = (H + 2 * G) * D, k_out = 3 * H * D;
constexpr double k_base = 100;

OpCase with_attributes(OpCase c) {
  return c.integer("heads", H).integer("kv_heads", G).real("base", k_base);
}

OpCase forward_case(DType dtype = DType::f64) {
  OpCase c(OpKind::rotary_forward, dtype);
  c.reads("x", {B, T, k_in}, random_numbers(B * T * k_in, 1)).writes("y", {B, T, k_out});
  return with_attributes(c);
}

/// The pair (i, i + D/2) of a head at `first` as a complex number, turned by its position.
std::complex<double> turned(const Numbers& x, std::size_t first, std::size_t i, std::size_t t) {
  const double angle = static_cast<double>(t) * std::pow(k_base, -2.0 * static_cast<double>(i) / D);
  return std::complex(x[first + i], x[first + i + D / 2]) * std::polar(1.0, angle);
}

Numbers naive_forward(OpCase c) {
  const Numbers& x = c.values("x");
  Numbers y(B * T * k_out);
  for (std::size_t row = 0; row < B * T; ++row) {
    for (std::size_t h = 0; h < H; ++h) {
      const std::size_t group = h * G / H;
      const std::size_t in = row * k_in, out = row * k_out;
      for (std::size_t i = 0; i < D / 2; ++i) {
        const auto query = turned(x, in + h * D, i, row % T);
        const auto key = turned(x, in + (H + group) * D, i, row % T);
        y[out + h * D + i] = query.real();
        y[out + h * D + i + D / 2] = query.imag();
        y[out + (H + h) * D + i] = key.real();
        y[out + (H + h) * D + i + D / 2] = key.imag();
      }
      for (std::size_t i = 0; i < D; ++i) {
        y[out + (2 * H + h) * D + i] = x[in + (H + G + group) * D + i];
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("rotary positions turn queries and keys, and each value serves its heads") {
  const Numbers naive = naive_forward(forward_case());
  CHECK(relative_error(forward_case().run().at("y"), naive) < 1e-14);
  CHECK(relative_error(forward_case(DType::f32).run().at("y"), naive) < 1e-6);
}

TEST_CASE("rotary gradients equal finite differences") {
  const Numbers dy = random_numbers(B * T * k_out, 4);
  OpCase c(OpKind::rotary_backward);
  c.reads("dy", {B, T, k_out}, dy).writes("dx", {B, T, k_in});
  const Numbers dx = with_attributes(c).run().at("dx");
  CHECK(relative_error(dx, finite_differences(forward_case(), "x", "y", dy)) < 1e-6);
}

TEST_CASE("heads that do not fit are refused") {
  OpCase odd(OpKind::rotary_forward);
  odd.reads("x", {1, 1, 9}, random_numbers(9, 1)).writes("y", {1, 1, 9});
  odd.integer("heads", 1).integer("kv_heads", 1).real("base", 10);
  CHECK_THROWS(odd.run());  // D = 3
  OpCase many(OpKind::rotary_forward);
  many.reads("x", {1, 1, 8}, random_numbers(8, 1)).writes("y", {1, 1, 6});
  many.integer("heads", 3).integer("kv_heads", 2).real("base", 10);
  CHECK_THROWS(many.run());
}

TEST_CASE("rotary of the last tokens is the end of that of all of them") {
  constexpr std::int64_t k_width = (2 + 2) * 4;  // two heads of queries, one of keys and values
  const Numbers x = random_numbers(5 * k_width, 6);
  const auto turned = [&](std::int64_t first) {
    OpCase c(OpKind::rotary_forward);
    c.reads("x", {1, 5 - first, k_width}, Numbers(x.begin() + first * k_width, x.end()));
    c.writes("y", {1, 5 - first, 3 * 2 * 4});
    return c.integer("heads", 2)
        .integer("kv_heads", 1)
        .real("base", 100)
        .integer("position", first);
  };
  const Numbers all = turned(0).run().at("y");
  CHECK(turned(3).run().at("y") == Numbers(all.begin() + 3 * 24, all.end()));
}
