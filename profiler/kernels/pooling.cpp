#include <algorithm>
#include <array>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

namespace tidemark::kernels {
namespace {

/// Images of height x width that become rows x columns by windows of size x size.
struct Pool {
  std::int64_t images, height, width, size, rows, columns;

  explicit Pool(const KernelCall& call)
      : images(call.buffer("x").shape[0] * call.buffer("x").shape[1]),
        height(call.buffer("x").shape[2]),
        width(call.buffer("x").shape[3]),
        size(call.count("size")),
        rows(height / size),
        columns(width / size) {}

  /// Element of the upper left corner of the first window of a row.
  [[nodiscard]] std::int64_t corner(std::int64_t image, std::int64_t row) const {
    return (image * height + row * size) * width;
  }
  [[nodiscard]] bool has_edge() const { return rows * size != height || columns * size != width; }
};

/// Element of the window of `size` x `size` at `x` with the largest value; the first of several.
template <class T>
TIDEMARK_INLINE std::int64_t largest_in(const T* x, std::int64_t size, std::int64_t width) {
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < size * size; ++i) {
    const std::int64_t at = i / size * width + i % size;
    if (x[at] > x[best] || x[at] != x[at]) best = at;
  }
  return best;
}

/// Windows of 2 x 2, so many at once that they fill vectors: what a row of few windows lacks is
/// made up here, because loops over what is left, full of branches, would take most of the time.
constexpr std::int64_t k_windows = 16;

template <class T>
struct Pairs {
  std::array<T, 2 * k_windows> upper, lower;

  TIDEMARK_INLINE void load(const T* x, std::int64_t width, std::int64_t windows) {
    std::copy_n(x, 2 * windows, upper.data());
    std::copy_n(x + width, 2 * windows, lower.data());
  }
  TIDEMARK_INLINE void store(T* x, std::int64_t width, std::int64_t windows) const {
    std::copy_n(upper.data(), 2 * windows, x);
    std::copy_n(lower.data(), 2 * windows, x + width);
  }
};

template <class T>
struct Largest {
  std::array<T, k_windows> value;
  std::array<T, k_windows> place;  // 0 to 3; a T, so that both are as wide
};

template <class T>
TIDEMARK_INLINE void find_largest(const Pairs<T>& x, Largest<T>& out) {
  for (std::size_t c = 0; c < k_windows; ++c) {
    const std::array<T, 4> window{x.upper[2 * c], x.upper[2 * c + 1], x.lower[2 * c],
                                  x.lower[2 * c + 1]};
    T value = window[0];
    T place = 0;
#pragma GCC unroll 3
    for (std::size_t i = 1; i < 4; ++i) {
      const bool larger = int{window[i] > value} | int{window[i] != window[i]};
      value = larger ? window[i] : value;
      place = larger ? static_cast<T>(i) : place;
    }
    out.value[c] = value;
    out.place[c] = place;
  }
}

template <class T>
TIDEMARK_INLINE void spread(const Largest<T>& largest, const std::array<T, k_windows>& dy,
                            Pairs<T>& dx) {
  for (std::size_t c = 0; c < k_windows; ++c) {
    const T place = largest.place[c];
    const T slope = dy[c];  // read in any case: a read that depends is a branch
    dx.upper[2 * c] = place == T{0} ? slope : T{0};
    dx.upper[2 * c + 1] = place == T{1} ? slope : T{0};
    dx.lower[2 * c] = place == T{2} ? slope : T{0};
    dx.lower[2 * c + 1] = place == T{3} ? slope : T{0};
  }
}

template <class T>
TIDEMARK_INLINE void pool_pairs(const Pool& p, const T* x, T* y) {
  Pairs<T> in{};
  Largest<T> out{};
  for (std::int64_t c = 0; c < p.columns; c += k_windows) {
    const std::int64_t windows = std::min(k_windows, p.columns - c);
    in.load(x + 2 * c, p.width, windows);
    find_largest(in, out);
    std::copy_n(out.value.data(), windows, y + c);
  }
}

template <class T>
TIDEMARK_INLINE void gradient_pairs(const Pool& p, const T* x, const T* dy, T* dx) {
  Pairs<T> in{};
  Pairs<T> out;
  Largest<T> largest;
  std::array<T, k_windows> slope{};
  for (std::int64_t c = 0; c < p.columns; c += k_windows) {
    const std::int64_t windows = std::min(k_windows, p.columns - c);
    in.load(x + 2 * c, p.width, windows);
    std::copy_n(dy + c, windows, slope.data());
    find_largest(in, largest);
    spread(largest, slope, out);
    out.store(dx + 2 * c, p.width, windows);
  }
}

template <class T>
TIDEMARK_CLONES void max_pool(const Pool& p, const T* x, T* y) {
  for (std::int64_t row = 0; row < p.images * p.rows; ++row, y += p.columns) {
    const T* from = x + p.corner(row / p.rows, row % p.rows);
    if (p.size == 2) {
      pool_pairs(p, from, y);
      continue;
    }
    for (std::int64_t c = 0; c < p.columns; ++c, from += p.size) {
      y[c] = from[largest_in(from, p.size, p.width)];
    }
  }
}

template <class T>
TIDEMARK_CLONES void max_pool_gradient(const Pool& p, const T* x, const T* dy, T* dx) {
  const bool pairs = p.size == 2;
  if (!pairs || p.has_edge()) std::fill_n(dx, p.images * p.height * p.width, T{0});
  for (std::int64_t row = 0; row < p.images * p.rows; ++row, dy += p.columns) {
    const std::int64_t corner = p.corner(row / p.rows, row % p.rows);
    if (pairs) {
      gradient_pairs(p, x + corner, dy, dx + corner);
      continue;
    }
    for (std::int64_t c = 0; c < p.columns; ++c) {
      const std::int64_t at = corner + c * p.size;
      dx[at + largest_in(x + at, p.size, p.width)] = dy[c];
    }
  }
}

template <class T>
TIDEMARK_CLONES void averages(const T* x, T* y, std::int64_t images, std::int64_t positions) {
  const T inverse = T{1} / static_cast<T>(positions);
  for (std::int64_t i = 0; i < images; ++i) y[i] = sum(x + i * positions, positions) * inverse;
}

}  // namespace

template <class T>
void max_pool_forward(const KernelCall& call) {
  max_pool(Pool(call), call.pointer<const T>("x"), call.pointer<T>("y"));
}

template <class T>
void max_pool_backward(const KernelCall& call) {
  max_pool_gradient(Pool(call), call.pointer<const T>("x"), call.pointer<const T>("dy"),
                    call.pointer<T>("dx"));
}

template <class T>
void average_pool_forward(const KernelCall& call) {
  averages(call.pointer<const T>("x"), call.pointer<T>("y"), call.elements("y"),
           call.elements("x") / call.elements("y"));
}

template <class T>
void average_pool_backward(const KernelCall& call) {
  const std::int64_t positions = call.elements("dx") / call.elements("dy");
  const T inverse = T{1} / static_cast<T>(positions);
  const T* dy = call.pointer<const T>("dy");
  T* dx = call.pointer<T>("dx");
  for (std::int64_t i = 0; i < call.elements("dy"); ++i, dx += positions) {
    std::fill_n(dx, positions, dy[i] * inverse);
  }
}

template void max_pool_forward<float>(const KernelCall&);
template void max_pool_forward<double>(const KernelCall&);
template void max_pool_backward<float>(const KernelCall&);
template void max_pool_backward<double>(const KernelCall&);
template void average_pool_forward<float>(const KernelCall&);
template void average_pool_forward<double>(const KernelCall&);
template void average_pool_backward<float>(const KernelCall&);
template void average_pool_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
