// Stands in for gemm_onednn.cpp and convolution_onednn.cpp in a build without oneDNN.
#include <stdexcept>

#include "profiler/kernels/convolution_onednn.h"
#include "profiler/kernels/gemm_onednn.h"

namespace tidemark::kernels::onednn {

bool multiply(const MatrixProduct<float>&) {
  return false;
}

bool convolve(const Convolution&) {
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
