// Stands in for gemm_onednn.cpp in a build without oneDNN.
#include "profiler/kernels/gemm_onednn.h"

#include <stdexcept>

namespace tidemark::kernels::onednn {

bool multiply(const MatrixProduct<float>&) {
  return false;
}

void multiply_bfloat16(const MatrixProduct<float, BFloat16>&) {
  throw std::logic_error("bfloat16 without oneDNN");
}

std::string bfloat16_error() {
  return "this build has no oneDNN (libdnnl-dev)";
}

std::string version() {
  return {};
}

}  // namespace tidemark::kernels::onednn
