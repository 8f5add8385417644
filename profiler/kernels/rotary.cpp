#include <algorithm>
#include <cmath>
#include <vector>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

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

/// Angles from one position to the next, D/2.
std::vector<double> frequencies(std::int64_t width, double base) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < width / 2; ++i) {
    out.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width)));
  }
  return out;
}

/// Angles are formed in double: at large positions f32 has no digits left for them.
template <class T>
void set_turn(std::int64_t position, const std::vector<double>& frequencies, Turn<T>& turn) {
  turn.cosine.clear();
  turn.sine.clear();
  for (const double frequency : frequencies) {
    const double angle = static_cast<double>(position) * frequency;
    turn.cosine.push_back(static_cast<T>(std::cos(angle)));
    turn.sine.push_back(static_cast<T>(std::sin(angle)));
  }
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
  const std::int64_t queries = call.count("heads");
  const std::int64_t groups = call.count("kv_heads");
  return {queries, groups, call.columns(in) / (queries + 2 * groups)};
}

/// Calls token(row, turn) for every row of an operand [B,T,...]; positions may run beside each
/// other.
template <class T, class Token>
void over_positions(const KernelCall& call, const Heads& heads, const char* grid,
                    const Token& token) {
  const std::int64_t tokens = call.buffer(grid).shape[1];
  const std::int64_t rows = call.rows(grid);
  const std::int64_t numbers = rows / tokens * call.columns(grid);
  const std::int64_t first = call.integer("position");
  const std::vector<double> angles = frequencies(heads.width, call.real("base"));
  over_rows(call, tokens, numbers, [&](std::int64_t begin, std::int64_t end) {
    Turn<T> turn;
    for (std::int64_t t = begin; t < end; ++t) {
      set_turn(first + t, angles, turn);
      for (std::int64_t row = t; row < rows; row += tokens) token(row, turn);
    }
  });
}

}  // namespace

template <class T>
void rotary_forward(const KernelCall& call) {
  const Heads heads = heads_of(call, "x");
  const std::int64_t in = call.columns("x");
  const std::int64_t out = call.columns("y");
  const T* const x = call.pointer<const T>("x");
  T* const y = call.pointer<T>("y");
  over_positions<T>(call, heads, "x", [=](std::int64_t row, const Turn<T>& turn) {
    forward_token(x + row * in, y + row * out, turn, heads);
  });
}

template <class T>
void rotary_backward(const KernelCall& call) {
  const Heads heads = heads_of(call, "dx");
  const std::int64_t in = call.columns("dx");
  const std::int64_t out = call.columns("dy");
  const T* const dy = call.pointer<const T>("dy");
  T* const dx = call.pointer<T>("dx");
  over_positions<T>(call, heads, "dx", [=](std::int64_t row, const Turn<T>& turn) {
    backward_token(dy + row * out, dx + row * in, turn, heads);
  });
}

template void rotary_forward<float>(const KernelCall&);
template void rotary_forward<double>(const KernelCall&);
template void rotary_backward<float>(const KernelCall&);
template void rotary_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
