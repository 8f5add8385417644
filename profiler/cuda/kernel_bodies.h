// The arithmetic of the kernels, as functions of one index: a launch calls them for every index of
// [0, count), in any order. Those of a row also get the lanes that share its work: a warp of the
// device, one lane on the host. nvcc makes device kernels of them; tests run the same text on the
// host and compare it with the CPU kernels. C++17, no other header of the project than those of
// this folder.
//
// Letters as in kernels/kernels.h. No index depends on another one, so results do not depend on
// the number of threads; sums over many elements run in the order of the elements.
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

/// Partial sums of long sums, in the device's own memory: scratch of so many floats, or of
/// k_partials doubles.
inline constexpr std::int64_t k_scratch_floats = 2 * k_most_columns;
inline constexpr std::int64_t k_partials = 1024;

/// The lanes of the host. Lane `index` takes elements index, index + count, ...
struct OneLane {
  static constexpr std::int64_t index = 0, count = 1;
  [[nodiscard]] TIDEMARK_BODY float sum(float x) const { return x; }
  [[nodiscard]] TIDEMARK_BODY float largest(float x) const { return x; }
  [[nodiscard]] TIDEMARK_BODY bool any(bool x) const { return x; }
};

// The random numbers and the mask of kernels/random.h and dropout_mask.h.
TIDEMARK_BODY std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

TIDEMARK_BODY float masked(const Mask& mask, std::int64_t element, float x) {
  if (mask.threshold == 0) return x;
  const std::uint64_t bits = mixed(mask.stream + static_cast<std::uint64_t>(element)) >> 11;
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

/// Sums over M rows are made of those of `count` parts of `rows_each` rows.
struct RowParts {
  std::int64_t rows, columns, count, rows_each;
  TIDEMARK_BODY RowParts(std::int64_t all_rows, std::int64_t all_columns, std::int64_t most)
      : rows(all_rows),
        columns(all_columns),
        count(most < 1          ? 1
              : most < all_rows ? most
                                : all_rows),
        rows_each((all_rows + count - 1) / count) {}
  [[nodiscard]] TIDEMARK_BODY std::int64_t begin(std::int64_t part) const {
    return part * rows_each < rows ? part * rows_each : rows;
  }
};

/// Index: (part, column) of dy[M,N].
template <class Y>
struct ColumnParts {
  RowParts parts;
  const Y* dy;
  float* sums;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t part = index / parts.columns;
    const std::int64_t j = index % parts.columns;
    float sum = 0;
    for (std::int64_t i = parts.begin(part); i < parts.begin(part + 1); ++i) {
      sum += to_float(dy[i * parts.columns + j]);
    }
    sums[index] = sum;
  }
};
template <class Y>
ColumnParts(RowParts, const Y*, float*) -> ColumnParts<Y>;

/// Index: column. The sums of the parts, in order.
struct AddParts {
  RowParts parts;
  const float* sums;
  float* total;
  bool accumulates;
  TIDEMARK_BODY void operator()(std::int64_t j) const {
    float sum = accumulates ? total[j] : 0.0f;
    for (std::int64_t part = 0; part < parts.count; ++part) sum += sums[part * parts.columns + j];
    total[j] = sum;
  }
};

/// Index: row of logits[M,V].
struct LogSumExp {
  const float* logits;
  float* log_sum_exp;
  std::int64_t classes;
  template <class Lanes>
  TIDEMARK_BODY void operator()(std::int64_t i, const Lanes& lanes) const {
    const float* row = logits + i * classes;
    float largest = row[0];
    for (std::int64_t v = lanes.index; v < classes; v += lanes.count) {
      largest = row[v] > largest ? row[v] : largest;
    }
    largest = lanes.largest(largest);
    float sum = 0;
    for (std::int64_t v = lanes.index; v < classes; v += lanes.count) {
      sum += expf(row[v] - largest);
    }
    log_sum_exp[i] = largest + logf(lanes.sum(sum));
  }
};

/// Index: partial sum of the losses of rows i, i + k_partials, ...
struct LossParts {
  const float* logits;
  const std::int32_t* target;
  const float* log_sum_exp;
  std::int64_t rows, classes;
  double* parts;
  TIDEMARK_BODY void operator()(std::int64_t part) const {
    double sum = 0;
    for (std::int64_t i = part; i < rows; i += k_partials) {
      sum += static_cast<double>(log_sum_exp[i] - logits[i * classes + target[i]]);
    }
    parts[part] = sum;
  }
};

/// One index: sum[0] (+)= the parts, divided.
struct TotalOfParts {
  const double* parts;
  float* sum;
  double divisor;
  bool accumulates;
  TIDEMARK_BODY void operator()(std::int64_t) const {
    double total = accumulates ? static_cast<double>(sum[0]) : 0.0;
    for (std::int64_t i = 0; i < k_partials; ++i) total += parts[i];
    sum[0] = static_cast<float>(total / divisor);
  }
};

struct SquareParts {
  const float* x;
  std::int64_t count;
  double* parts;
  TIDEMARK_BODY void operator()(std::int64_t part) const {
    double sum = 0;
    for (std::int64_t i = part; i < count; i += k_partials) {
      sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    parts[part] = sum;
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

/// Index: token. One may occur often: the first of its kind adds the rows of all, in order.
struct TokenSlope {
  const float* dy;
  const std::int32_t* tokens;
  float* dw;
  std::int64_t count, channels;
  template <class Lanes>
  TIDEMARK_BODY void operator()(std::int64_t first, const Lanes& lanes) const {
    const std::int32_t token = tokens[first];
    bool is_again = false;
    for (std::int64_t i = lanes.index; i < first; i += lanes.count) {
      is_again = is_again || tokens[i] == token;
    }
    if (lanes.any(is_again)) return;
    for (std::int64_t i = first; i < count; ++i) {
      if (tokens[i] != token) continue;
      for (std::int64_t c = lanes.index; c < channels; c += lanes.count) {
        dw[token * channels + c] += dy[i * channels + c];
      }
    }
  }
};

/// Index: (position, channel).
struct PositionSlope {
  const float* dy;
  float* dwpe;
  std::int64_t count, sequence, channels;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    float sum = dwpe[index];
    for (std::int64_t i = index / channels; i < count; i += sequence) {
      sum += dy[i * channels + index % channels];
    }
    dwpe[index] = sum;
  }
};

/// Index: row of x[M,C].
template <class Y>
struct LayerNorm {
  const float* x;
  const float* w;
  const float* b;
  Y* y;
  float* mean;
  float* inverse_deviation;
  std::int64_t channels;
  float epsilon;
  template <class Lanes>
  TIDEMARK_BODY void operator()(std::int64_t i, const Lanes& lanes) const {
    const float* row = x + i * channels;
    const float n = static_cast<float>(channels);
    float sum = 0;
    for (std::int64_t c = lanes.index; c < channels; c += lanes.count) sum += row[c];
    const float m = lanes.sum(sum) / n;
    float squares = 0;
    for (std::int64_t c = lanes.index; c < channels; c += lanes.count) {
      squares += (row[c] - m) * (row[c] - m);
    }
    const float s = 1.0f / sqrtf(lanes.sum(squares) / n + epsilon);
    for (std::int64_t c = lanes.index; c < channels; c += lanes.count) {
      store(y + i * channels + c, (row[c] - m) * s * w[c] + b[c]);
    }
    if (lanes.index != 0) return;
    mean[i] = m;
    inverse_deviation[i] = s;
  }
};
template <class Y>
LayerNorm(const float*, const float*, const float*, Y*, float*, float*, std::int64_t, float)
    -> LayerNorm<Y>;

/// Index: row.
struct LayerNormSlope {
  const float* dy;
  const float* x;
  const float* w;
  const float* mean;
  const float* inverse_deviation;
  const float* residual;  // null: none
  float* dx;
  std::int64_t channels;
  template <class Lanes>
  TIDEMARK_BODY void operator()(std::int64_t i, const Lanes& lanes) const {
    const std::int64_t at = i * channels;
    const float m = mean[i];
    const float s = inverse_deviation[i];
    float g_sum = 0;
    float gn_sum = 0;
    for (std::int64_t c = lanes.index; c < channels; c += lanes.count) {
      const float g = dy[at + c] * w[c];
      g_sum += g;
      gn_sum += g * (x[at + c] - m);
    }
    const float n = static_cast<float>(channels);
    const float mean_g = lanes.sum(g_sum) / n;
    const float mean_gn = lanes.sum(gn_sum) / n * s;
    for (std::int64_t c = lanes.index; c < channels; c += lanes.count) {
      const float slope = s * (dy[at + c] * w[c] - mean_g - (x[at + c] - m) * s * mean_gn);
      dx[at + c] = slope + (residual == nullptr ? 0.0f : residual[at + c]);
    }
  }
};

/// Index: (part, channel).
struct LayerNormWeightParts {
  RowParts parts;
  const float* dy;
  const float* x;
  const float* mean;
  const float* inverse_deviation;
  float* dw;
  float* db;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t part = index / parts.columns;
    float w_sum = 0;
    float b_sum = 0;
    for (std::int64_t i = parts.begin(part); i < parts.begin(part + 1); ++i) {
      const std::int64_t at = i * parts.columns + index % parts.columns;
      w_sum += dy[at] * ((x[at] - mean[i]) * inverse_deviation[i]);
      b_sum += dy[at];
    }
    dw[index] = w_sum;
    db[index] = b_sum;
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
