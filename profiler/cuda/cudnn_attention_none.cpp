// Built where the headers of cuDNN are not found.
#include "profiler/cuda/cudnn_attention.h"

namespace tidemark::cuda {

struct CudnnAttention::State {};

CudnnAttention::CudnnAttention() = default;
CudnnAttention::~CudnnAttention() = default;

std::string CudnnAttention::open(const std::string&) {
  return "built without cuDNN (cudnn.h was not found)";
}

std::int64_t CudnnAttention::workspace_bytes(const AttentionShape&, std::string&) {
  return -1;
}

int CudnnAttention::run(const AttentionShape&, const AttentionOperands&, void*, void*) {
  return -1;
}

const char* cudnn_error_text(int) {
  return "built without cuDNN";
}

}  // namespace tidemark::cuda
