#include <algorithm>

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
        size(call.integer("size")),
        rows(height / size),
        columns(width / size) {}

  /// Element of the window's upper left corner.
  [[nodiscard]] std::int64_t corner(std::int64_t i, std::int64_t y, std::int64_t x) const {
    return (i * height + y * size) * width + x * size;
  }
};

/// Element with the largest value of the window at `corner`; the first of several.
template <class T>
TIDEMARK_INLINE std::int64_t largest_in(const Pool& p, const T* x, std::int64_t corner) {
  std::int64_t best = corner;
  for (std::int64_t dy = 0; dy < p.size; ++dy) {
    for (std::int64_t dx = 0; dx < p.size; ++dx) {
      const std::int64_t at = corner + dy * p.width + dx;
      if (x[at] > x[best] || x[at] != x[at]) best = at;
    }
  }
  return best;
}

template <class T>
TIDEMARK_CLONES void max_pool(const Pool& p, const T* x, T* y) {
  for (std::int64_t i = 0; i < p.images; ++i) {
    for (std::int64_t row = 0; row < p.rows; ++row) {
      for (std::int64_t column = 0; column < p.columns; ++column) {
        *y++ = x[largest_in(p, x, p.corner(i, row, column))];
      }
    }
  }
}

template <class T>
TIDEMARK_CLONES void max_pool_gradient(const Pool& p, const T* x, const T* dy, T* dx) {
  std::fill_n(dx, p.images * p.height * p.width, T{0});
  for (std::int64_t i = 0; i < p.images; ++i) {
    for (std::int64_t row = 0; row < p.rows; ++row) {
      for (std::int64_t column = 0; column < p.columns; ++column) {
        dx[largest_in(p, x, p.corner(i, row, column))] = *dy++;
      }
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
