#include "profiler/kernels/ordered_sum.h"

#include <array>
#include <stdexcept>
#include <vector>

#include "tests/catch.h"

using namespace tidemark;

namespace {

template <class T>
std::vector<T> ordered(const std::vector<std::vector<T>>& x, DType dtype) {
  std::vector<const std::byte*> from;
  for (const auto& one : x) from.push_back(reinterpret_cast<const std::byte*>(one.data()));
  std::vector<T> y(x[0].size());
  kernels::ordered_sum(from, reinterpret_cast<std::byte*>(y.data()),
                       static_cast<std::int64_t>(y.size()), dtype);
  return y;
}

}  // namespace

TEST_CASE("a sum is made from left to right") {
  // (1e8 + 1) + -1e8 loses the 1 in f32; 1e8 + -1e8 + 1 would not.
  CHECK(ordered<float>({{1e8F}, {1}, {-1e8F}}, DType::f32) == std::vector<float>{0});
  CHECK(ordered<float>({{1e8F}, {-1e8F}, {1}}, DType::f32) == std::vector<float>{1});
  CHECK(ordered<double>({{1e8}, {1}, {-1e8}}, DType::f64) == std::vector<double>{1});
}

TEST_CASE("a sum may take the place of one of its terms, whichever, over many blocks") {
  constexpr std::size_t k_count = 5001;
  for (std::size_t place = 0; place < 3; ++place) {
    std::array<std::vector<float>, 3> x;
    std::vector<float> expected(k_count);
    for (std::size_t i = 0; i < k_count; ++i) {
      for (std::size_t r = 0; r < 3; ++r) x[r].push_back(static_cast<float>(i * (r + 1)) * 0.1F);
      expected[i] = (x[0][i] + x[1][i]) + x[2][i];
    }
    std::vector<const std::byte*> from;
    for (const auto& one : x) from.push_back(reinterpret_cast<const std::byte*>(one.data()));
    kernels::ordered_sum(from, reinterpret_cast<std::byte*>(x[place].data()), k_count, DType::f32);
    CHECK(x[place] == expected);
  }
}

TEST_CASE("what is no f32 or f64 has no sum over ranks") {
  const std::array<const std::byte*, 1> none{nullptr};
  CHECK_THROWS_AS(kernels::ordered_sum(none, nullptr, 1, DType::i32), std::logic_error);
}
