#include "profiler/kernels/gemm.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::kernels;
using namespace tidemark::test;

namespace {

struct Case {
  std::int64_t m, n, k;
  bool a_transposed = false, b_transposed = false, bias = false;
  double alpha = 1, beta = 0;
};

/// Rows are longer than the matrix is wide, so that a wrong stride is seen.
constexpr std::int64_t k_gap = 3;

template <class T>
struct Operands {
  std::vector<T> a, b, c, bias;
  MatrixProduct<T> product;

  Operands(const Case& s, std::size_t shift) {
    const auto filled = [shift](std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
      const Numbers numbers = random_numbers(rows * (columns + k_gap), seed);
      std::vector<T> out(shift);
      for (const double x : numbers) out.push_back(static_cast<T>(x));
      return out;
    };
    const std::int64_t a_columns = s.a_transposed ? s.m : s.k;
    const std::int64_t b_columns = s.b_transposed ? s.k : s.n;
    a = filled(s.a_transposed ? s.k : s.m, a_columns, 1);
    b = filled(s.b_transposed ? s.n : s.k, b_columns, 2);
    c = filled(s.m, s.n, 3);
    bias = filled(1, s.n, 4);
    product = {.m = s.m,
               .n = s.n,
               .k = s.k,
               .a = a.data() + shift,
               .a_stride = a_columns + k_gap,
               .a_transposed = s.a_transposed,
               .b = b.data() + shift,
               .b_stride = b_columns + k_gap,
               .b_transposed = s.b_transposed,
               .c = c.data() + shift,
               .c_stride = s.n + k_gap,
               .alpha = static_cast<T>(s.alpha),
               .beta = static_cast<T>(s.beta),
               .bias = s.bias ? bias.data() + shift : nullptr};
  }
};

/// Largest error against a plain sum in double, relative to the sum of absolute values; what lies
/// between the rows must be as before.
template <class T>
double largest_error(const Case& s) {
  Operands<T> o(s, 0);
  const std::vector<T> before = o.c;
  MatrixProduct<T>& p = o.product;
  if (s.beta == 0) {
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) p.c[i * p.c_stride + j] = static_cast<T>(std::nan(""));
    }
  }
  multiply(p);
  double worst = 0;
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = 0; j < p.c_stride; ++j) {
      const std::size_t at = static_cast<std::size_t>(i * p.c_stride + j);
      if (j >= s.n) {
        if (o.c[at] != before[at]) return 1e300;
        continue;
      }
      double sum = 0;
      double scale = 1;
      for (std::int64_t k = 0; k < s.k; ++k) {
        const T x = s.a_transposed ? p.a[k * p.a_stride + i] : p.a[i * p.a_stride + k];
        const T y = s.b_transposed ? p.b[j * p.b_stride + k] : p.b[k * p.b_stride + j];
        sum += static_cast<double>(x) * static_cast<double>(y);
        scale += std::abs(static_cast<double>(x) * static_cast<double>(y));
      }
      sum = s.alpha * sum + s.beta * static_cast<double>(before[at]);
      if (s.bias) sum += static_cast<double>(p.bias[j]);
      const double error = std::abs(static_cast<double>(o.c[at]) - sum) / scale;
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

/// Small and large enough for every provider, all layouts, with edges of no multiple of anything.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
           {1, 1, 1}, {5, 7, 3}, {64, 10, 33}, {64, 64, 32}, {100, 130, 97}, {257, 65, 40}}) {
    for (const bool a : {false, true}) {
      for (const bool b : {false, true}) {
        all.push_back({m, n, k, a, b});
        all.push_back({m, n, k, a, b, false, 0.5, 1});
        all.push_back({m, n, k, a, b, true});
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("a matrix product equals the plain sum, for every layout and size") {
  for (const Case& s : cases()) {
    INFO(s.m << " " << s.n << " " << s.k << " " << s.a_transposed << s.b_transposed << s.bias);
    CHECK(largest_error<float>(s) < 1e-6);
    CHECK(largest_error<double>(s) < 1e-14);
  }
}

TEST_CASE("a matrix product has the same bits at any address") {
  for (const Case& s : cases()) {
    INFO(s.m << " " << s.n << " " << s.k << " " << s.a_transposed << s.b_transposed << s.bias);
    Operands<float> here(s, 0);
    Operands<float> there(s, 5);
    multiply(here.product);
    multiply(there.product);
    CHECK(std::memcmp(here.c.data(), there.c.data() + 5, here.c.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("a product of bfloat16 equals the sum of the rounded factors, at any address") {
  if (!bfloat16_error().empty()) return;  // said by execute_test
  for (const Case& s : cases()) {
    if (s.alpha != 1) continue;
    for (const double beta : {0.0, 1.0}) {
      if (beta != 0 && s.bias) continue;
      Operands<float> o(s, 0);
      std::vector<BFloat16> a, b;
      for (float& x : o.a) x = to_float(a.emplace_back(to_bfloat16(x)));
      for (float& x : o.b) x = to_float(b.emplace_back(to_bfloat16(x)));
      o.product.beta = static_cast<float>(beta);
      Operands<float> wide = o;
      const MatrixProduct<float>& p = o.product;
      const auto narrow = [&](const BFloat16* left, const BFloat16* right, float* c) {
        multiply(MatrixProduct<float, BFloat16>{.m = p.m,
                                                .n = p.n,
                                                .k = p.k,
                                                .a = left,
                                                .a_stride = p.a_stride,
                                                .a_transposed = p.a_transposed,
                                                .b = right,
                                                .b_stride = p.b_stride,
                                                .b_transposed = p.b_transposed,
                                                .c = c,
                                                .c_stride = p.c_stride,
                                                .beta = p.beta,
                                                .bias = p.bias});
      };
      std::vector<float> shifted(7);
      shifted.insert(shifted.end(), o.c.begin(), o.c.end());
      std::vector<BFloat16> left(3), right(5);
      left.insert(left.end(), a.begin(), a.end());
      right.insert(right.end(), b.begin(), b.end());
      narrow(a.data(), b.data(), o.c.data());
      narrow(left.data() + 3, right.data() + 5, shifted.data() + 7);
      CHECK(std::memcmp(o.c.data(), shifted.data() + 7, o.c.size() * sizeof(float)) == 0);

      wide.product.a = wide.a.data();
      wide.product.b = wide.b.data();
      wide.product.c = wide.c.data();
      multiply(wide.product);
      for (std::size_t i = 0; i < o.c.size(); ++i) {
        REQUIRE(std::abs(o.c[i] - wide.c[i]) <= 1e-5F * static_cast<float>(s.k));
      }
    }
  }
}

TEST_CASE("the library of matrix products names itself with its version") {
  CHECK(matrix_library().find("OpenBLAS 0.") != std::string::npos);
}
