// Stands in for gemm_onednn.cpp in a build without oneDNN.
#include "profiler/kernels/gemm_onednn.h"

namespace tidemark::kernels::onednn {

bool multiply(const MatrixProduct<float>&) {
  return false;
}

std::string version() {
  return {};
}

}  // namespace tidemark::kernels::onednn
