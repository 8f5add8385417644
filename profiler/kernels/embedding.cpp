#include <algorithm>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/token.h"

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES void sum_rows(const T* a, const T* b, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

template <class T>
TIDEMARK_CLONES void accumulate(const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += x[i];
}

}  // namespace

/// tokens [B,T], wte [V,C], wpe [positions >= position + T, C], y [B,T,C]
template <class T>
void embedding_forward(const KernelCall& call) {
  const std::int64_t sequence = call.columns("tokens");
  const std::int64_t channels = call.columns("wte");
  const std::int32_t* tokens = call.pointer<const std::int32_t>("tokens");
  const T* wte = call.pointer<const T>("wte");
  const T* wpe =
      call.pointer<const T>("wpe") + call.position(sequence, call.rows("wpe")) * channels;
  T* y = call.pointer<T>("y");
  for (std::int64_t i = 0; i < call.elements("tokens"); ++i) {
    const std::int64_t token = token_at(tokens, i, call.rows("wte"));
    sum_rows(wte + token * channels, wpe + (i % sequence) * channels, y + i * channels, channels);
  }
}

template <class T>
void embedding_backward(const KernelCall& call) {
  const std::int64_t sequence = call.columns("tokens");
  const std::int64_t channels = call.columns("dwte");
  const std::int32_t* tokens = call.pointer<const std::int32_t>("tokens");
  const T* dy = call.pointer<const T>("dy");
  T* dwte = call.pointer<T>("dwte");
  T* dwpe = call.pointer<T>("dwpe");
  const std::int64_t position = call.position(sequence, call.rows("dwpe"));
  if (!call.accumulates("dwte")) std::fill_n(dwte, call.elements("dwte"), T{0});
  if (!call.accumulates("dwpe")) std::fill_n(dwpe, call.elements("dwpe"), T{0});
  for (std::int64_t i = 0; i < call.elements("tokens"); ++i) {
    const std::int64_t token = token_at(tokens, i, call.rows("dwte"));
    accumulate(dy + i * channels, dwte + token * channels, channels);
    accumulate(dy + i * channels, dwpe + (position + i % sequence) * channels, channels);
  }
}

template void embedding_forward<float>(const KernelCall&);
template void embedding_forward<double>(const KernelCall&);
template void embedding_backward<float>(const KernelCall&);
template void embedding_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
