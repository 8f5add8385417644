// oneDNN as a provider of matrix products: faster than OpenBLAS but for small ones. In a build
// without it, it takes none. Only gemm.cpp calls this.
#pragma once

#include <string>

#include "profiler/kernels/gemm.h"

namespace tidemark::kernels::onednn {

/// True when done; false when OpenBLAS is to do it. Which of the two depends on the sizes only.
[[nodiscard]] bool multiply(const MatrixProduct<float>& product);

/// bfloat16_error() must be empty.
void multiply_bfloat16(const MatrixProduct<float, BFloat16>& product);
[[nodiscard]] std::string bfloat16_error();

/// "oneDNN 2.6.3"; empty in a build without it.
[[nodiscard]] std::string version();

}  // namespace tidemark::kernels::onednn
