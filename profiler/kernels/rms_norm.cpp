#include <algorithm>
#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Root mean square normalisation (Zhang and Sennrich 2019). With r = inverse_rms, n = x r and
// g = dy w: dx = r (g - n mean(g n)), dw = sum(dy n).

namespace tidemark::kernels {
namespace {

template <class T>
struct Row {
  const T* x;
  const T* w;
  std::int64_t channels;
};

/// Returns inverse_rms.
template <class T>
TIDEMARK_CLONES T forward_row(const Row<T>& row, T* y, T epsilon) {
  const T mean_square = dot(row.x, row.x, row.channels) / static_cast<T>(row.channels);
  const T inverse_rms = T{1} / std::sqrt(mean_square + epsilon);
  for (std::int64_t c = 0; c < row.channels; ++c) y[c] = row.x[c] * inverse_rms * row.w[c];
  return inverse_rms;
}

template <class T>
struct Gradients {
  const T* dy;
  const T* residual;  // null: none
  T* dx;
  T* dw;
  T inverse_rms;
};

template <class T>
TIDEMARK_CLONES void backward_row(const Row<T>& row, const Gradients<T>& g) {
  const std::int64_t channels = row.channels;
  const T r = g.inverse_rms;
  // dx holds dy w while its mean with n is formed.
  for (std::int64_t c = 0; c < channels; ++c) g.dx[c] = g.dy[c] * row.w[c];
  const T mean_gn = dot(g.dx, row.x, channels) / static_cast<T>(channels) * r;
  for (std::int64_t c = 0; c < channels; ++c) g.dx[c] = r * (g.dx[c] - row.x[c] * r * mean_gn);
  for (std::int64_t c = 0; c < channels; ++c) g.dw[c] += g.dy[c] * (row.x[c] * r);
  if (g.residual == nullptr) return;
  for (std::int64_t c = 0; c < channels; ++c) g.dx[c] += g.residual[c];
}

}  // namespace

template <class T>
void rms_norm_forward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  Row<T> row{call.pointer<const T>("x"), call.pointer<const T>("w"), channels};
  T* y = call.pointer<T>("y");
  T* inverse_rms = call.pointer<T>("inverse_rms");
  const T epsilon = static_cast<T>(call.real("epsilon"));
  for (std::int64_t i = 0; i < call.rows("x"); ++i) {
    inverse_rms[i] = forward_row(row, y + i * channels, epsilon);
    row.x += channels;
  }
}

template <class T>
void rms_norm_backward(const KernelCall& call) {
  const std::int64_t channels = call.columns("x");
  Row<T> row{call.pointer<const T>("x"), call.pointer<const T>("w"), channels};
  Gradients<T> g{.dy = call.pointer<const T>("dy"),
                 .residual = call.pointer<const T>("residual"),
                 .dx = call.pointer<T>("dx"),
                 .dw = call.pointer<T>("dw"),
                 .inverse_rms = 0};
  const T* inverse_rms = call.pointer<const T>("inverse_rms");
  if (!call.accumulates("dw")) std::fill_n(g.dw, channels, T{0});
  for (std::int64_t i = 0; i < call.rows("x"); ++i) {
    g.inverse_rms = inverse_rms[i];
    backward_row(row, g);
    row.x += channels;
    g.dy += channels;
    g.dx += channels;
    if (g.residual != nullptr) g.residual += channels;
  }
}

template void rms_norm_forward<float>(const KernelCall&);
template void rms_norm_forward<double>(const KernelCall&);
template void rms_norm_backward<float>(const KernelCall&);
template void rms_norm_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
