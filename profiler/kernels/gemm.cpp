#include "profiler/kernels/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <sstream>
#include <type_traits>

#include "profiler/kernels/gemm_onednn.h"

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

template <class T>
void multiply_with_openblas(const MatrixProduct<T>& p) {
  use_one_thread();
  const auto side = [](std::int64_t value) { return static_cast<blasint>(value); };
  const CBLAS_TRANSPOSE a = p.a_transposed ? CblasTrans : CblasNoTrans;
  const CBLAS_TRANSPOSE b = p.b_transposed ? CblasTrans : CblasNoTrans;
  // The bias is what the product is added to.
  for (std::int64_t i = 0; p.bias != nullptr && i < p.m; ++i) {
    std::copy_n(p.bias, p.n, p.c + i * p.c_stride);
  }
  const T beta = p.bias != nullptr ? T{1} : p.beta;
  if constexpr (std::is_same_v<T, float>) {
    cblas_sgemm(CblasRowMajor, a, b, side(p.m), side(p.n), side(p.k), p.alpha, p.a,
                side(p.a_stride), p.b, side(p.b_stride), beta, p.c, side(p.c_stride));
  } else {
    cblas_dgemm(CblasRowMajor, a, b, side(p.m), side(p.n), side(p.k), p.alpha, p.a,
                side(p.a_stride), p.b, side(p.b_stride), beta, p.c, side(p.c_stride));
  }
}

/// "OpenBLAS 0.3.21 NO_AFFINITY ..." without what follows the version.
std::string openblas_version() {
  std::istringstream words(openblas_get_config());
  std::string name, version;
  words >> name >> version;
  return name + " " + version;
}

}  // namespace

template <class T, class Factor>
void multiply(const MatrixProduct<T, Factor>& p) {
  if constexpr (std::is_same_v<Factor, BFloat16>) {
    onednn::multiply_bfloat16(p);
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (onednn::multiply(p)) return;
    }
    multiply_with_openblas(p);
  }
}

std::string bfloat16_error() {
  static const std::string error = onednn::bfloat16_error();
  return error;
}

std::string matrix_library() {
  const std::string first = onednn::version();
  return first.empty() ? openblas_version() : first + " + " + openblas_version();
}

template void multiply(const MatrixProduct<float>&);
template void multiply(const MatrixProduct<double>&);
template void multiply(const MatrixProduct<float, BFloat16>&);

}  // namespace tidemark::kernels
