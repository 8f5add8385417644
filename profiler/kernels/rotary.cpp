#include <algorithm>
#include <cmath>
#include <vector>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"

// Rotary position embedding (Su et al. 2021, equation 34, with the halves of a head as pairs, as
// Llama does) and the repetition of grouped keys and values (Ainslie et al. 2023). H query heads, G
// key and value heads, D numbers per head.

namespace tidemark::kernels {
namespace {

struct Heads {
  std::int64_t queries;  // H
  std::int64_t groups;   // G
  std::int64_t width;    // D
};

/// Cosines and sines of one position, D/2 each.
template <class T>
struct Turn {
  std::vector<T> cosine;
  std::vector<T> sine;
};

/// Angles are formed in double: at large positions f32 has no digits left for them.
template <class T>
Turn<T> turn_of(std::int64_t position, std::int64_t width, double base) {
  Turn<T> turn;
  for (std::int64_t i = 0; i < width / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(width);
    const double angle = static_cast<double>(position) * std::pow(base, exponent);
    turn.cosine.push_back(static_cast<T>(std::cos(angle)));
    turn.sine.push_back(static_cast<T>(std::sin(angle)));
  }
  return turn;
}

/// y = x turned; `half` = D/2.
template <class T>
TIDEMARK_CLONES void turn_head(const T* x, T* y, const T* cosine, const T* sine,
                               std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    y[i] = x[i] * cosine[i] - x[i + half] * sine[i];
    y[i + half] = x[i + half] * cosine[i] + x[i] * sine[i];
  }
}

/// The turn the other way, in place.
template <class T>
TIDEMARK_CLONES void turn_back(T* x, const T* cosine, const T* sine, std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const T first = x[i] * cosine[i] + x[i + half] * sine[i];
    x[i + half] = x[i + half] * cosine[i] - x[i] * sine[i];
    x[i] = first;
  }
}

template <class T>
TIDEMARK_CLONES void accumulate(const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += x[i];
}

/// One token: x [(H + 2 G) D] to y [3 H D].
template <class T>
void forward_token(const T* x, T* y, const Turn<T>& turn, const Heads& heads) {
  const auto [queries, groups, width] = heads;
  const std::int64_t each = queries / groups;
  for (std::int64_t h = 0; h < queries; ++h) {
    const T* key = x + (queries + h / each) * width;
    const T* value = key + groups * width;
    turn_head(x + h * width, y + h * width, turn.cosine.data(), turn.sine.data(), width / 2);
    turn_head(key, y + (queries + h) * width, turn.cosine.data(), turn.sine.data(), width / 2);
    std::copy_n(value, width, y + (2 * queries + h) * width);
  }
}

/// One token: dy [3 H D] to dx [(H + 2 G) D].
template <class T>
void backward_token(const T* dy, T* dx, const Turn<T>& turn, const Heads& heads) {
  const auto [queries, groups, width] = heads;
  const std::int64_t each = queries / groups;
  std::copy_n(dy, queries * width, dx);
  std::fill_n(dx + queries * width, 2 * groups * width, T{0});
  for (std::int64_t h = 0; h < queries; ++h) {
    T* key = dx + (queries + h / each) * width;
    accumulate(dy + (queries + h) * width, key, width);
    accumulate(dy + (2 * queries + h) * width, key + groups * width, width);
  }
  for (std::int64_t h = 0; h < queries + groups; ++h) {
    turn_back(dx + h * width, turn.cosine.data(), turn.sine.data(), width / 2);
  }
}

/// `in` holds (H + 2 G) D numbers per token.
Heads heads_of(const KernelCall& call, const char* in) {
  const std::int64_t queries = call.integer("heads");
  const std::int64_t groups = call.integer("kv_heads");
  return {queries, groups, call.columns(in) / (queries + 2 * groups)};
}

}  // namespace

template <class T>
void rotary_forward(const KernelCall& call) {
  const Heads heads = heads_of(call, "x");
  const std::int64_t tokens = call.buffer("x").shape[1];
  const std::int64_t in = call.columns("x");
  const std::int64_t out = call.columns("y");
  for (std::int64_t t = 0; t < tokens; ++t) {
    const Turn<T> turn = turn_of<T>(t, heads.width, call.real("base"));
    for (std::int64_t row = t; row < call.rows("x"); row += tokens) {
      forward_token(call.pointer<const T>("x") + row * in, call.pointer<T>("y") + row * out, turn,
                    heads);
    }
  }
}

template <class T>
void rotary_backward(const KernelCall& call) {
  const Heads heads = heads_of(call, "dx");
  const std::int64_t tokens = call.buffer("dx").shape[1];
  const std::int64_t in = call.columns("dx");
  const std::int64_t out = call.columns("dy");
  for (std::int64_t t = 0; t < tokens; ++t) {
    const Turn<T> turn = turn_of<T>(t, heads.width, call.real("base"));
    for (std::int64_t row = t; row < call.rows("dx"); row += tokens) {
      backward_token(call.pointer<const T>("dy") + row * out, call.pointer<T>("dx") + row * in,
                     turn, heads);
    }
  }
}

template void rotary_forward<float>(const KernelCall&);
template void rotary_forward<double>(const KernelCall&);
template void rotary_backward<float>(const KernelCall&);
template void rotary_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
