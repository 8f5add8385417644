// The arithmetic of the kernels, as functions of one index: a launch calls them for every index of
// [0, count), in any order. nvcc makes device kernels of them; tests run the same text on the host
// and compare it with the CPU kernels. C++17, no other header of the project than those of this
// folder.
//
// Letters as in kernels/kernels.h. No index depends on another one, so results do not depend on
// the number of threads; what needs several threads for one result is in team.h and its users.
#pragma once

#include <math.h>

#include <cstdint>

#include "profiler/cuda/element.h"
#include "profiler/cuda/plugin_api.h"

namespace tidemark::cuda {

/// Row-major c[m,n] = a[m,k] b[k,n] + bias[n] + beta c; `a_transposed`: a is stored [k,m], and so
/// on for b. Both factors are f32, or both bfloat16; sums and the rest are f32.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  float* c = nullptr;
  const float* bias = nullptr;
  float* a_sums = nullptr;  // [m] = sums of a along k: the gradient of a bias, not with a bias
  bool a_transposed = false, b_transposed = false, accumulates = false;
  bool is_bf16 = false;
};

/// Partial sums of a long sum, in the device's own memory: k_partials doubles.
inline constexpr std::int64_t k_partials = 1024;

// The random numbers and the mask of kernels/random.h and dropout_mask.h.
TIDEMARK_BODY std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

TIDEMARK_BODY float masked(const Mask& mask, std::int64_t element, float x) {
  if (mask.threshold == 0) return x;
  std::uint64_t number = mask.first + static_cast<std::uint64_t>(element);
  if (mask.run > 0) number = mask.offset + number / mask.run * mask.stride + number % mask.run;
  const std::uint64_t bits = mixed(mask.stream + number) >> 11;
  return bits >= mask.threshold ? x * mask.scale : 0.0f;
}

// GELU in its tanh form, as in kernels/activation.cpp.
TIDEMARK_BODY float sigmoid_of(float x) {
  return 1.0f / (1.0f + expf(-x));
}
TIDEMARK_BODY float gelu_sigmoid(float x) {
  return sigmoid_of(1.59576912160573081756f * (x + 0.044715f * x * x * x));
}

TIDEMARK_BODY float activation(Kernel kernel, float x) {
  switch (kernel) {
    case Kernel::sigmoid_forward:
      return sigmoid_of(x);
    case Kernel::tanh_forward:
      return tanhf(x);
    case Kernel::relu_forward:
      return x < 0.0f ? 0.0f : x;
    default:
      return x * gelu_sigmoid(x);
  }
}

/// `saved` is the output, for GELU the input.
TIDEMARK_BODY float activation_slope(Kernel kernel, float dy, float saved) {
  switch (kernel) {
    case Kernel::sigmoid_backward:
      return dy * saved * (1.0f - saved);
    case Kernel::tanh_backward:
      return dy * (1.0f - saved * saved);
    case Kernel::relu_backward:
      return saved > 0.0f ? dy : 0.0f * saved;
    default: {
      const float s = gelu_sigmoid(saved);
      const float slope = 1.59576912160573081756f * (1.0f + 3.0f * 0.044715f * saved * saved);
      return dy * (s + saved * s * (1.0f - s) * slope);
    }
  }
}

template <class Y>
struct Fill {
  Y* y;
  float value;
  TIDEMARK_BODY void operator()(std::int64_t i) const { store(y + i, value); }
};
template <class Y>
Fill(Y*, float) -> Fill<Y>;

struct Round {
  const float* x;
  BFloat16* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { store(y + i, x[i]); }
};

struct Widen {
  const BFloat16* x;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { y[i] = to_float(x[i]); }
};

template <class Y>
struct Activation {
  Kernel kernel;
  const float* x;
  Y* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { store(y + i, activation(kernel, x[i])); }
};
template <class Y>
Activation(Kernel, const float*, Y*) -> Activation<Y>;

template <class Y>
struct ActivationSlope {
  Kernel kernel;
  const float* dy;
  const float* saved;
  Y* dx;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    store(dx + i, activation_slope(kernel, dy[i], saved[i]));
  }
};
template <class Y>
ActivationSlope(Kernel, const float*, const float*, Y*) -> ActivationSlope<Y>;

struct Add {
  const float* a;
  const float* b;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { y[i] = a[i] + b[i]; }
};

/// Index: element of y[M,N], to which its column's b is added.
struct AddBias {
  float* y;
  const float* b;
  std::int64_t columns;
  TIDEMARK_BODY void operator()(std::int64_t i) const { y[i] += b[i % columns]; }
};

/// Index: element of y[M,N] = columns of x[M,K] from `first` on.
struct SliceColumns {
  const float* x;
  float* y;
  std::int64_t columns_x, columns, first;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    y[i] = x[i / columns * columns_x + first + i % columns];
  }
};

/// Index: element of x[M,n], which is in columns of y[M,K] from `first` on.
struct InsertColumns {
  const float* x;
  float* y;
  std::int64_t columns, columns_y, first;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    y[i / columns * columns_y + first + i % columns] = x[i];
  }
};

/// Index: element of logits[M,V], which become their gradient.
struct CrossEntropySlope {
  float* logits;
  const std::int32_t* target;
  const float* log_sum_exp;
  std::int64_t classes;
  float scale;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t row = i / classes;
    const float hit = i % classes == target[row] ? scale : 0.0f;
    logits[i] = expf(logits[i] - log_sum_exp[row]) * scale - hit;
  }
};

/// Index: element of y[B,T,C].
struct Embedding {
  const std::int32_t* tokens;
  const float* wte;
  const float* wpe;  // from the first position of the sequence on
  float* y;
  std::int64_t sequence, channels;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t token = i / channels;
    const std::int64_t c = i % channels;
    y[i] = wte[tokens[token] * channels + c] + wpe[token % sequence * channels + c];
  }
};

/// AdamW and Adam as in kernels/optimizer.cpp; reals in that order.
struct AdamUpdate {
  float* w;
  const float* dw;
  float* m;
  float* v;
  float keep, rate, beta1, beta2, correction, epsilon, gradient_decay;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const float g = dw[i] + gradient_decay * w[i];
    m[i] = beta1 * m[i] + (1.0f - beta1) * g;
    v[i] = beta2 * v[i] + (1.0f - beta2) * g * g;
    w[i] = w[i] * keep - rate * m[i] / (sqrtf(v[i] * correction) + epsilon);
  }
};

struct SgdUpdate {
  float* w;
  const float* dw;
  float rate, decay;
  TIDEMARK_BODY void operator()(std::int64_t i) const { w[i] -= rate * (dw[i] + decay * w[i]); }
};

struct MomentumUpdate {
  float* w;
  const float* dw;
  float* velocity;
  float rate, keep, decay;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    velocity[i] = keep * velocity[i] + (dw[i] + decay * w[i]);
    w[i] -= rate * velocity[i];
  }
};

struct ClipFactor {
  const float* sum;
  float* factor;
  float max_norm;
  TIDEMARK_BODY void operator()(std::int64_t) const {
    const double scale = static_cast<double>(max_norm) / (sqrt(static_cast<double>(*sum)) + 1e-6);
    *factor = static_cast<float>(scale < 1.0 ? scale : 1.0);
  }
};

struct ScaleBy {
  float* x;
  const float* factor;
  TIDEMARK_BODY void operator()(std::int64_t i) const { x[i] *= *factor; }
};

struct Dropout {
  Mask mask;
  const float* x;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t i) const { y[i] = masked(mask, i, x[i]); }
};

}  // namespace tidemark::cuda
