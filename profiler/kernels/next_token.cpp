#include <algorithm>

#include "profiler/kernels/kernels.h"

namespace tidemark::kernels {

/// x [B,T,C], y [B,1,C]
template <class T>
void last_token(const KernelCall& call) {
  const Buffer& x = call.buffer("x");
  const std::int64_t channels = x.shape[2];
  const T* from = call.pointer<const T>("x") + (x.shape[1] - 1) * channels;
  T* y = call.pointer<T>("y");
  for (std::int64_t b = 0; b < x.shape[0]; ++b) {
    std::copy_n(from + b * x.shape[1] * channels, channels, y + b * channels);
  }
}

/// logits [M,V], tokens [M]; the first of equal ones.
template <class T>
void most_likely(const KernelCall& call) {
  const std::int64_t vocabulary = call.columns("logits");
  const T* row = call.pointer<const T>("logits");
  std::int32_t* tokens = call.pointer<std::int32_t>("tokens");
  for (std::int64_t m = 0; m < call.rows("logits"); ++m, row += vocabulary) {
    tokens[m] = static_cast<std::int32_t>(std::max_element(row, row + vocabulary) - row);
  }
}

template void last_token<float>(const KernelCall&);
template void last_token<double>(const KernelCall&);
template void most_likely<float>(const KernelCall&);
template void most_likely<double>(const KernelCall&);

}  // namespace tidemark::kernels
