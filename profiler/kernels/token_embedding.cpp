#include <algorithm>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/token.h"

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES void accumulate(const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += x[i];
}

}  // namespace

template <class T>
void token_embedding_forward(const KernelCall& call) {
  const std::int64_t channels = call.columns("w");
  const std::int32_t* tokens = call.pointer<const std::int32_t>("tokens");
  const T* w = call.pointer<const T>("w");
  T* y = call.pointer<T>("y");
  for (std::int64_t i = 0; i < call.elements("tokens"); ++i) {
    std::copy_n(w + token_at(tokens, i, call.rows("w")) * channels, channels, y + i * channels);
  }
}

template <class T>
void token_embedding_backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("dw");
  const std::int32_t* tokens = call.pointer<const std::int32_t>("tokens");
  T* dw = call.pointer<T>("dw");
  if (!call.accumulates("dw")) std::fill_n(dw, call.elements("dw"), T{0});
  for (std::int64_t i = 0; i < call.elements("tokens"); ++i) {
    accumulate(call.pointer<const T>("dy") + i * channels,
               dw + token_at(tokens, i, call.rows("dw")) * channels, channels);
  }
}

template void token_embedding_forward<float>(const KernelCall&);
template void token_embedding_forward<double>(const KernelCall&);
template void token_embedding_backward<float>(const KernelCall&);
template void token_embedding_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
