#include "profiler/kernels/ordered_sum.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "profiler/kernels/clones.h"

namespace tidemark::kernels {
namespace {

constexpr std::int64_t k_block = 2048;  // of sums that stay in the first-level cache

template <class T>
TIDEMARK_CLONES void add_to(const T* x, T* sums, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += x[i];
}

template <class T>
void sum(std::span<const std::byte* const> x, std::byte* y, std::int64_t count) {
  std::array<T, k_block> sums;
  for (std::int64_t first = 0; first < count; first += k_block) {
    const std::int64_t block = std::min(k_block, count - first);
    const auto bytes = static_cast<std::size_t>(block) * sizeof(T);
    const auto at = first * static_cast<std::int64_t>(sizeof(T));
    std::memcpy(sums.data(), x[0] + at, bytes);
    for (const std::byte* one : x.subspan(1)) {
      add_to(reinterpret_cast<const T*>(one + at), sums.data(), block);
    }
    std::memcpy(y + at, sums.data(), bytes);
  }
}

}  // namespace

void ordered_sum(std::span<const std::byte* const> x, std::byte* y, std::int64_t count,
                 DType dtype) {
  if (dtype == DType::f32) return sum<float>(x, y, count);
  if (dtype == DType::f64) return sum<double>(x, y, count);
  throw std::logic_error("a sum over ranks of " + std::string(to_string(dtype)));
}

}  // namespace tidemark::kernels
