// oneDNN as a provider of convolutions: direct ones, on blocks of 8 or 16 channels. In a build
// without it, it takes none. Only convolution.cpp calls this.
#pragma once

#include <compare>
#include <cstdint>

namespace tidemark::kernels::onednn {

struct ConvolutionSizes {
  std::int64_t batch, channels, height, width;  // of the input side
  std::int64_t filters, kernel, stride, padding;
  std::int64_t out_height, out_width;
  auto operator<=>(const ConvolutionSizes&) const = default;
};

enum class ConvolutionPass : std::uint8_t { forward, backward_data, backward_weight };

/// One execution of one of the three passes, on dense arrays. Each pass writes one of x, w and y
/// and reads the other two.
struct Convolution {
  ConvolutionPass pass;
  ConvolutionSizes sizes;
  float* x;                  // [B, C, H, W]
  float* w;                  // [O, C, K, K]
  float* y;                  // [B, O, H', W']
  float* bias = nullptr;     // [O], forward only; null: none
  bool accumulates = false;  // backward_weight: is added to w
  float* workspace = nullptr;
  std::int64_t workspace_bytes = 0;
};

/// True when done. False, and nothing written but the workspace, when this CPU has no direct
/// kernel for it or the workspace is too small: that depends on the sizes only, not on the data.
[[nodiscard]] bool convolve(const Convolution& convolution);

}  // namespace tidemark::kernels::onednn
