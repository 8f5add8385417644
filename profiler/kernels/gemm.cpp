#include "profiler/kernels/gemm.h"

#include <cblas.h>

#include <type_traits>

namespace tidemark::kernels {
namespace {

/// The result must not depend on how many cores are free (rule 8 of the architecture).
void use_one_thread() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

template <class T>
void multiply(const MatrixProduct<T>& p) {
  use_one_thread();
  const auto side = [](std::int64_t value) { return static_cast<blasint>(value); };
  const CBLAS_TRANSPOSE a = p.a_transposed ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE b = p.b_transposed ? CblasTrans : CblasNoTrans;
  if constexpr (std::is_same_v<T, float>) {
    cblas_sgemm(CblasRowMajor, a, b, side(p.m), side(p.n), side(p.k), p.alpha, p.a,
                side(p.a_stride), p.b, side(p.b_stride), p.beta, p.c, side(p.c_stride));
  } else {
    cblas_dgemm(CblasRowMajor, a, b, side(p.m), side(p.n), side(p.k), p.alpha, p.a,
                side(p.a_stride), p.b, side(p.b_stride), p.beta, p.c, side(p.c_stride));
  }
}

template void multiply<float>(const MatrixProduct<float>&);
template void multiply<double>(const MatrixProduct<double>&);

}  // namespace tidemark::kernels
