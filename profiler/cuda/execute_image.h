// The launches of what image models and generation need; execute_call.h ends here.
#pragma once

#include "profiler/cuda/convolution_bodies.h"
#include "profiler/cuda/image_bodies.h"
#include "profiler/cuda/inference_bodies.h"

namespace tidemark::cuda {

inline constexpr int k_unknown_kernel = -1;

/// `Place` as in execute_call.h.
template <class Place>
class ImageExecution {
 public:
  ImageExecution(Place& place, const Call& call) : place_(place), call_(call) {}

  int run() {
    switch (call_.kernel) {
      case Kernel::conv2d_forward:  // x, w, bias?, y; window
        return each(window().batch * groups_of(window().filters) * out_positions(),
                    Convolution{window(), at(0), at(1), at(2), at(3)});
      case Kernel::conv2d_backward_data:  // dy, w, dx; window
        return each(window().batch * groups_of(window().channels) * size(2) * size(3),
                    ConvolutionSlope{window(), at(0), at(1), at(2)});
      case Kernel::conv2d_backward_weight:
        return convolution_weights();
      case Kernel::batch_norm_forward:  // x, w, b, y, mean, variance; samples, channels,
                                        // positions; epsilon
        return teams(size(1),
                     BatchNorm{channels(), at(0), at(1), at(2), at(3), at(4), at(5), real(0)});
      case Kernel::batch_norm_backward:  // dy, x, w, mean, variance, dx, dw, db; as forward
        return teams(size(1), BatchNormSlope{channels(), at(0), at(1), at(2), at(3), at(4), at(5),
                                             at(6), at(7), real(0), adds(6), adds(7)});
      case Kernel::batch_norm_update:  // mean, variance, running mean, running variance; channels;
                                       // momentum, count / (count - 1)
        return each(size(0), BatchNormUpdate{at(0), at(1), at(2), at(3), real(0), real(1)});
      case Kernel::batch_norm_inference:  // x, w, b, mean, variance, y; as forward
        return each(channels().elements(), BatchNormInference{channels(), at(0), at(1), at(2),
                                                              at(3), at(4), at(5), real(0)});
      case Kernel::max_pool_forward:  // x, y; images, height, width, size
        return each(size(0) * pool().rows() * pool().columns(), MaxPool{pool(), at(0), at(1)});
      case Kernel::max_pool_backward:  // dy, x, dx; as forward
        return each(size(0) * size(1) * size(2), MaxPoolSlope{pool(), at(0), at(1), at(2)});
      case Kernel::average_pool_forward:  // x, y; images, positions
        return each(size(0), AveragePool{at(0), at(1), size(1)});
      case Kernel::average_pool_backward:  // dy, dx; images, positions
        return each(size(0) * size(1), AveragePoolSlope{at(0), at(1), size(1)});
      default:
        return inference();
    }
  }

 private:
  [[nodiscard]] float* at(int i) const { return static_cast<float*>(call_.pointers[i]); }
  [[nodiscard]] std::int64_t size(int i) const { return call_.sizes[i]; }
  [[nodiscard]] float real(int i) const { return call_.reals[i]; }
  [[nodiscard]] bool adds(int i) const { return (call_.accumulates >> i & 1U) != 0; }
  /// batch, channels, height, width, filters, kernel, stride, padding
  [[nodiscard]] Window window() const {
    return {size(0), size(1), size(2), size(3), size(4), size(5), size(6), size(7)};
  }
  [[nodiscard]] std::int64_t out_positions() const {
    return window().out_height() * window().out_width();
  }
  [[nodiscard]] Channels channels() const { return {size(0), size(1), size(2)}; }
  [[nodiscard]] Pool pool() const { return {size(1), size(2), size(3)}; }
  template <class Body>
  int each(std::int64_t count, const Body& body) {
    return count > 0 ? place_.each(count, body) : 0;
  }
  template <class Body>
  int teams(std::int64_t count, const Body& body) {
    return count > 0 ? place_.teams(count, body) : 0;
  }

  /// dy, x, dw, db?; window
  int convolution_weights() {
    const Window w = window();
    const ConvolutionWeightSlope weights{w, at(0), at(1), at(2), adds(2)};
    const int code = teams(groups_of(w.filters) * w.depth(), weights);
    if (code != 0 || at(3) == nullptr) return code;
    const Channels out{w.batch, w.filters, out_positions()};
    return teams(w.filters, ChannelSums{out, at(0), at(3), adds(3)});
  }

  int inference() {
    switch (call_.kernel) {
      case Kernel::cached_attention_forward:
        return cached_attention();
      case Kernel::last_token:  // x, y; batch, tokens, channels
        return each(size(0) * size(2), LastToken{at(0), at(1), size(1), size(2)});
      case Kernel::most_likely:  // logits, tokens; rows, vocabulary
        return teams(size(0),
                     MostLikely{at(0), static_cast<std::int32_t*>(call_.pointers[1]), size(1)});
      default:
        return k_unknown_kernel;
    }
  }

  /// qkv, keys, values, y; batch, tokens, channels, heads, room, position
  int cached_attention() {
    const Heads heads{size(0), size(1), size(2), size(3)};
    const Cache cache{at(1), at(2), size(4), size(5)};
    const Append append{heads, cache, at(0)};
    if (int code = each(heads.batch * heads.tokens * heads.channels, append)) return code;
    return teams(heads.rows(), CachedAttention{heads, cache, at(0), at(3)});
  }

  Place& place_;
  const Call& call_;
};

}  // namespace tidemark::cuda
