#include <algorithm>

#include "profiler/kernels/kernels.h"

namespace tidemark::kernels {

/// x [M,K], y [M,n]: columns first .. first + n - 1 of x
template <class T>
void slice_columns(const KernelCall& call) {
  const std::int64_t from = call.columns("x");
  const std::int64_t to = call.columns("y");
  const T* x = call.pointer<const T>("x") + call.integer("first");
  for (std::int64_t row = 0; row < call.rows("y"); ++row) {
    std::copy_n(x + row * from, to, call.pointer<T>("y") + row * to);
  }
}

/// x [M,n] becomes columns first .. first + n - 1 of y [M,K]
template <class T>
void insert_columns(const KernelCall& call) {
  const std::int64_t from = call.columns("x");
  const std::int64_t to = call.columns("y");
  T* y = call.pointer<T>("y") + call.integer("first");
  for (std::int64_t row = 0; row < call.rows("x"); ++row) {
    std::copy_n(call.pointer<const T>("x") + row * from, from, y + row * to);
  }
}

template void slice_columns<float>(const KernelCall&);
template void slice_columns<double>(const KernelCall&);
template void insert_columns<float>(const KernelCall&);
template void insert_columns<double>(const KernelCall&);

}  // namespace tidemark::kernels
