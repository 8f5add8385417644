#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/convolution_onednn.h"
#include "profiler/kernels/gemm.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"

// Convolution by oneDNN where it has a kernel for it, else as a matrix product per sample (im2col,
// Chellapilla et al. 2006): the columns matrix [C K K, H' W'] of one sample is in the workspace.

namespace tidemark::kernels {
namespace {

struct Window {
  std::int64_t batch, channels, height, width;  // of the input
  std::int64_t filters, kernel, stride, padding;
  std::int64_t out_height, out_width;

  Window(const KernelCall& call, std::string_view in, std::string_view out, std::string_view filter)
      : batch(call.buffer(in).shape[0]),
        channels(call.buffer(in).shape[1]),
        height(call.buffer(in).shape[2]),
        width(call.buffer(in).shape[3]),
        filters(call.buffer(filter).shape[0]),
        kernel(call.buffer(filter).shape[2]),
        stride(call.integer("stride")),
        padding(call.integer("padding")),
        out_height(call.buffer(out).shape[2]),
        out_width(call.buffer(out).shape[3]) {}

  [[nodiscard]] std::int64_t positions() const { return out_height * out_width; }
  [[nodiscard]] std::int64_t depth() const { return channels * kernel * kernel; }
  [[nodiscard]] std::int64_t in_size() const { return channels * height * width; }
  [[nodiscard]] std::int64_t out_size() const { return filters * positions(); }
  /// The columns matrix is the sample itself.
  [[nodiscard]] bool is_plain() const { return kernel == 1 && stride == 1 && padding == 0; }

  /// First and last + 1 of the output columns whose input column, for kernel column `k`, exists.
  [[nodiscard]] std::int64_t first(std::int64_t k) const {
    return k >= padding ? 0 : (padding - k + stride - 1) / stride;
  }
  [[nodiscard]] std::int64_t end(std::int64_t k) const {
    const std::int64_t last = width - 1 + padding - k;  // input column `width - 1`
    return last < 0 ? 0 : std::min(out_width, last / stride + 1);
  }
};

/// True when the library did the pass; its operands are called `x`, `w` and `y`.
template <class T>
bool done_by_library(const KernelCall& call, const Window& v, onednn::ConvolutionPass pass,
                     std::array<std::string_view, 3> names) {
  if constexpr (std::is_same_v<T, float>) {
    if (v.is_plain()) return false;  // the product as it is, without a copy
    return onednn::convolve(
        {.pass = pass,
         .sizes = {v.batch, v.channels, v.height, v.width, v.filters, v.kernel, v.stride, v.padding,
                   v.out_height, v.out_width},
         .x = call.pointer<float>(names[0]),
         .w = call.pointer<float>(names[1]),
         .y = call.pointer<float>(names[2]),
         .bias = call.pointer<float>("b"),
         .accumulates = call.accumulates(names[1]) && call.has("dw"),
         .workspace = call.pointer<float>("workspace"),
         .workspace_bytes = call.elements("workspace") * std::int64_t{sizeof(float)}});
  }
  return false;
}

/// One row of the columns matrix: output row `y`, from `image_row` shifted by the kernel column.
template <class T>
TIDEMARK_INLINE void gather_row(const Window& w, const T* image_row, std::int64_t k, T* out) {
  const std::int64_t first = std::min(w.first(k), w.out_width);
  const std::int64_t end = std::max(w.end(k), first);
  std::fill_n(out, first, T{0});
  const T* from = image_row + first * w.stride + k - w.padding;
  if (w.stride == 1) {
    std::copy_n(from, end - first, out + first);
  } else {
    for (std::int64_t x = 0; x < end - first; ++x) out[first + x] = from[x * w.stride];
  }
  std::fill_n(out + end, w.out_width - end, T{0});
}

template <class T>
TIDEMARK_CLONES void image_to_columns(const Window& w, const T* image, T* columns) {
  for (std::int64_t c = 0; c < w.channels; ++c) {
    for (std::int64_t ky = 0; ky < w.kernel; ++ky) {
      for (std::int64_t kx = 0; kx < w.kernel; ++kx) {
        for (std::int64_t y = 0; y < w.out_height; ++y, columns += w.out_width) {
          const std::int64_t row = y * w.stride + ky - w.padding;
          if (row < 0 || row >= w.height) {
            std::fill_n(columns, w.out_width, T{0});
          } else {
            gather_row(w, image + (c * w.height + row) * w.width, kx, columns);
          }
        }
      }
    }
  }
}

/// image = sum of the columns that came from each of its pixels.
template <class T>
TIDEMARK_CLONES void columns_to_image(const Window& w, const T* columns, T* image) {
  std::fill_n(image, w.in_size(), T{0});
  for (std::int64_t c = 0; c < w.channels; ++c) {
    for (std::int64_t ky = 0; ky < w.kernel; ++ky) {
      for (std::int64_t kx = 0; kx < w.kernel; ++kx) {
        const std::int64_t first = std::min(w.first(kx), w.out_width);
        const std::int64_t count = std::max<std::int64_t>(w.end(kx) - first, 0);
        for (std::int64_t y = 0; y < w.out_height; ++y, columns += w.out_width) {
          const std::int64_t row = y * w.stride + ky - w.padding;
          if (row < 0 || row >= w.height) continue;
          T* to = image + (c * w.height + row) * w.width + first * w.stride + kx - w.padding;
          const T* from = columns + first;
          if (w.stride == 1) {
            for (std::int64_t x = 0; x < count; ++x) to[x] += from[x];
          } else {
            for (std::int64_t x = 0; x < count; ++x) to[x * w.stride] += from[x];
          }
        }
      }
    }
  }
}

template <class T>
TIDEMARK_CLONES void add_bias(T* y, const T* bias, std::int64_t filters, std::int64_t positions) {
  for (std::int64_t o = 0; o < filters; ++o) {
    for (std::int64_t i = 0; i < positions; ++i) y[o * positions + i] += bias[o];
  }
}

template <class T>
TIDEMARK_CLONES void add_row_sums(const T* dy, T* db, std::int64_t filters,
                                  std::int64_t positions) {
  for (std::int64_t o = 0; o < filters; ++o) {
    db[o] += sum(dy + o * positions, positions);
  }
}

}  // namespace

template <class T>
void conv2d_forward(const KernelCall& call) {
  const Window w(call, "x", "y", "w");
  if (done_by_library<T>(call, w, onednn::ConvolutionPass::forward, {"x", "w", "y"})) return;
  T* columns = call.pointer<T>("workspace");
  const T* bias = call.pointer<const T>("b");
  for (std::int64_t b = 0; b < w.batch; ++b) {
    const T* x = call.pointer<const T>("x") + b * w.in_size();
    T* y = call.pointer<T>("y") + b * w.out_size();
    if (!w.is_plain()) image_to_columns(w, x, columns);
    multiply(MatrixProduct<T>{.m = w.filters,
                              .n = w.positions(),
                              .k = w.depth(),
                              .a = call.pointer<const T>("w"),
                              .a_stride = w.depth(),
                              .b = w.is_plain() ? x : columns,
                              .b_stride = w.positions(),
                              .c = y,
                              .c_stride = w.positions()});
    if (bias != nullptr) add_bias(y, bias, w.filters, w.positions());
  }
}

template <class T>
void conv2d_backward_data(const KernelCall& call) {
  const Window w(call, "dx", "dy", "w");
  if (done_by_library<T>(call, w, onednn::ConvolutionPass::backward_data, {"dx", "w", "dy"}))
    return;
  T* columns = call.pointer<T>("workspace");
  for (std::int64_t b = 0; b < w.batch; ++b) {
    T* dx = call.pointer<T>("dx") + b * w.in_size();
    multiply(MatrixProduct<T>{.m = w.depth(),
                              .n = w.positions(),
                              .k = w.filters,
                              .a = call.pointer<const T>("w"),
                              .a_stride = w.depth(),
                              .a_transposed = true,
                              .b = call.pointer<const T>("dy") + b * w.out_size(),
                              .b_stride = w.positions(),
                              .c = w.is_plain() ? dx : columns,
                              .c_stride = w.positions()});
    if (!w.is_plain()) columns_to_image(w, columns, dx);
  }
}

template <class T>
void conv2d_backward_weight(const KernelCall& call) {
  const Window w(call, "x", "dy", "dw");
  T* columns = call.pointer<T>("workspace");
  T* db = call.pointer<T>("db");
  if (db != nullptr && !call.accumulates("db")) std::fill_n(db, w.filters, T{0});
  for (std::int64_t b = 0; db != nullptr && b < w.batch; ++b) {
    add_row_sums(call.pointer<const T>("dy") + b * w.out_size(), db, w.filters, w.positions());
  }
  if (done_by_library<T>(call, w, onednn::ConvolutionPass::backward_weight, {"x", "dw", "dy"})) {
    return;
  }
  for (std::int64_t b = 0; b < w.batch; ++b) {
    const T* x = call.pointer<const T>("x") + b * w.in_size();
    if (!w.is_plain()) image_to_columns(w, x, columns);
    multiply(MatrixProduct<T>{.m = w.filters,
                              .n = w.depth(),
                              .k = w.positions(),
                              .a = call.pointer<const T>("dy") + b * w.out_size(),
                              .a_stride = w.positions(),
                              .b = w.is_plain() ? x : columns,
                              .b_stride = w.positions(),
                              .b_transposed = true,
                              .c = call.pointer<T>("dw"),
                              .c_stride = w.depth(),
                              .beta = b > 0 || call.accumulates("dw") ? T{1} : T{0}});
  }
}

template void conv2d_forward<float>(const KernelCall&);
template void conv2d_forward<double>(const KernelCall&);
template void conv2d_backward_data<float>(const KernelCall&);
template void conv2d_backward_data<double>(const KernelCall&);
template void conv2d_backward_weight<float>(const KernelCall&);
template void conv2d_backward_weight<double>(const KernelCall&);

}  // namespace tidemark::kernels
