#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

struct Size {
  std::int64_t batch, channels, height, width, filters, kernel, stride, padding;
  [[nodiscard]] std::int64_t out(std::int64_t n) const {
    return (n + 2 * padding - kernel) / stride + 1;
  }
  [[nodiscard]] std::vector<std::int64_t> x() const { return {batch, channels, height, width}; }
  [[nodiscard]] std::vector<std::int64_t> w() const { return {filters, channels, kernel, kernel}; }
  [[nodiscard]] std::vector<std::int64_t> y() const {
    return {batch, filters, out(height), out(width)};
  }
  [[nodiscard]] std::vector<std::int64_t> columns() const {
    return {channels * kernel * kernel, out(height) * out(width)};
  }
};

const std::vector<Size> k_sizes{{2, 3, 6, 5, 4, 3, 1, 1}, {2, 2, 7, 6, 3, 3, 2, 1},
                                {1, 1, 8, 9, 2, 5, 1, 2}, {2, 3, 5, 5, 2, 5, 1, 0},
                                {3, 4, 4, 6, 5, 1, 1, 0}, {2, 3, 5, 7, 2, 1, 2, 0},
                                {1, 2, 3, 3, 2, 5, 3, 4}};

/// Channels by the block and beside it, several groups of samples and a rest, as a library has
/// them.
const std::vector<Size> k_large_sizes{{5, 16, 9, 8, 16, 3, 1, 1},
                                      {7, 17, 8, 8, 20, 3, 2, 1},
                                      {3, 1, 12, 12, 6, 5, 1, 2},
                                      {5, 32, 4, 4, 32, 3, 1, 1},
                                      {4, 8, 6, 6, 16, 1, 2, 0}};

OpCase forward_case(const Size& s, DType dtype = DType::f64) {
  OpCase c(OpKind::conv2d_forward, dtype);
  c.reads("x", s.x(), random_numbers(product(s.x()), 1))
      .reads("w", s.w(), random_numbers(product(s.w()), 2))
      .reads("b", {s.filters}, random_numbers(s.filters, 3));
  c.writes("y", s.y()).writes("workspace", s.columns());
  return c.integer("stride", s.stride).integer("padding", s.padding);
}

Numbers naive(const Size& s) {
  OpCase c = forward_case(s);
  const Numbers& x = c.values("x");
  const Numbers& w = c.values("w");
  Numbers y;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t o = 0; o < s.filters; ++o) {
      for (std::int64_t i = 0; i < s.out(s.height) * s.out(s.width); ++i) {
        double sum = c.values("b")[static_cast<std::size_t>(o)];
        for (std::int64_t k = 0; k < s.channels * s.kernel * s.kernel; ++k) {
          const std::int64_t channel = k / (s.kernel * s.kernel);
          const std::int64_t row =
              i / s.out(s.width) * s.stride + k / s.kernel % s.kernel - s.padding;
          const std::int64_t column = i % s.out(s.width) * s.stride + k % s.kernel - s.padding;
          if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
          sum += x[static_cast<std::size_t>(
                     ((n * s.channels + channel) * s.height + row) * s.width + column)] *
                 w[static_cast<std::size_t>(o * s.channels * s.kernel * s.kernel + k)];
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

}  // namespace

TEST_CASE("convolution equals the naive loops for every stride, padding and kernel") {
  for (const Size& s : k_sizes) {
    CAPTURE(s.kernel, s.stride, s.padding);
    CHECK(relative_error(forward_case(s).run().at("y"), naive(s)) < 1e-13);
    CHECK(relative_error(forward_case(s, DType::f32).run().at("y"), naive(s)) < 5e-6);
  }
}

TEST_CASE("convolution gradients equal finite differences, and accumulate") {
  for (const Size& s : k_sizes) {
    CAPTURE(s.kernel, s.stride, s.padding);
    OpCase forward = forward_case(s);
    const Numbers dy = random_numbers(product(s.y()), 4);
    OpCase data(OpKind::conv2d_backward_data);
    data.reads("dy", s.y(), dy).reads("w", s.w(), forward.values("w")).writes("dx", s.x());
    data.writes("workspace", s.columns()).integer("stride", s.stride);
    data.integer("padding", s.padding);
    CHECK(relative_error(data.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);

    const auto weight = [&](bool accumulates) {
      OpCase c(OpKind::conv2d_backward_weight);
      c.reads("dy", s.y(), dy).reads("x", s.x(), forward.values("x"));
      if (accumulates) {
        c.updates("dw", s.w(), random_numbers(product(s.w()), 5));
        c.updates("db", {s.filters}, random_numbers(s.filters, 6));
      } else {
        c.writes("dw", s.w()).writes("db", {s.filters});
      }
      c.writes("workspace", s.columns());
      return c.integer("stride", s.stride).integer("padding", s.padding).run();
    };
    auto plain = weight(false);
    CHECK(relative_error(plain.at("dw"), finite_differences(forward, "w", "y", dy)) < 1e-6);
    CHECK(relative_error(plain.at("db"), finite_differences(forward, "b", "y", dy)) < 1e-6);
    auto added = weight(true);
    CHECK(relative_error(added.at("dw"), plus(plain.at("dw"), random_numbers(product(s.w()), 5))) <
          1e-13);
    CHECK(relative_error(added.at("db"), plus(plain.at("db"), random_numbers(s.filters, 6))) <
          1e-13);
  }
}

TEST_CASE("convolutions of f32 by a library equal those of f64 by matrix products") {
  for (const Size& s : k_large_sizes) {
    for (const std::int64_t more : {std::int64_t{0}, s.filters}) {
      CAPTURE(s.channels, s.filters, s.stride, more);
      const std::vector<std::int64_t> workspace{s.columns()[0], s.columns()[1] + more};
      const auto result = [&](DType dtype, OpKind kind, bool accumulates) {
        OpCase c(kind, dtype);
        const bool forward = kind == OpKind::conv2d_forward;
        const bool weight = kind == OpKind::conv2d_backward_weight;
        if (!forward) c.reads("dy", s.y(), random_numbers(product(s.y()), 4));
        if (kind != OpKind::conv2d_backward_data) {
          c.reads("x", s.x(), random_numbers(product(s.x()), 1));
        }
        if (!weight) c.reads("w", s.w(), random_numbers(product(s.w()), 2));
        if (forward) c.reads("b", {s.filters}, random_numbers(s.filters, 3)).writes("y", s.y());
        if (kind == OpKind::conv2d_backward_data) c.writes("dx", s.x());
        if (weight && accumulates) c.updates("dw", s.w(), random_numbers(product(s.w()), 5));
        if (weight && !accumulates) c.writes("dw", s.w());
        c.writes("workspace", workspace).integer("stride", s.stride);
        return c.integer("padding", s.padding).run().at(forward ? "y" : weight ? "dw" : "dx");
      };
      for (const OpKind kind :
           {OpKind::conv2d_forward, OpKind::conv2d_backward_data, OpKind::conv2d_backward_weight}) {
        for (const bool accumulates : {false, true}) {
          CHECK(relative_error(result(DType::f32, kind, accumulates),
                               result(DType::f64, kind, accumulates)) < 5e-6);
        }
      }
    }
  }
}

TEST_CASE("a convolution gives the same bits at any address") {
  const Size s{5, 16, 9, 7, 20, 3, 1, 1};
  CHECK(forward_case(s, DType::f32).run(0, 20).at("y") ==
        forward_case(s, DType::f32).run().at("y"));
}
