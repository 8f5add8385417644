#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/parts.h"

namespace tidemark::kernels {
namespace {

template <class T>
TIDEMARK_CLONES void sgd(T* w, const T* dw, std::int64_t count, T rate, T decay) {
  for (std::int64_t i = 0; i < count; ++i) w[i] -= rate * (dw[i] + decay * w[i]);
}

/// Heavy ball as in PyTorch: velocity = momentum * velocity + gradient.
template <class T>
TIDEMARK_CLONES void momentum(T* w, const T* dw, T* velocity, std::int64_t count, T rate,
                              T keep_velocity, T decay) {
  for (std::int64_t i = 0; i < count; ++i) {
    velocity[i] = keep_velocity * velocity[i] + (dw[i] + decay * w[i]);
    w[i] -= rate * velocity[i];
  }
}

/// AdamW (Loshchilov and Hutter 2019) with the bias corrections folded into two factors.
template <class T>
struct AdamWStep {
  T* w;
  const T* dw;
  T* m;
  T* v;
  std::int64_t count;
  T keep;  // 1 - learning_rate * weight_decay
  T rate;  // learning_rate / (1 - beta1^t)
  T beta1, beta2;
  T inverse_correction2;  // 1 / (1 - beta2^t)
  T epsilon;
  T gradient_decay = 0;  // Adam (Kingma and Ba 2015): weight decay as part of the gradient
};

/// One pass, no temporaries.
template <class T>
TIDEMARK_CLONES void adamw(const AdamWStep<T>& s) {
  T* __restrict w = s.w;
  T* __restrict m = s.m;
  T* __restrict v = s.v;
  const T* __restrict dw = s.dw;
  const T beta1 = s.beta1, beta2 = s.beta2, keep = s.keep, rate = s.rate, epsilon = s.epsilon;
  const T gradient_decay = s.gradient_decay;
  const T correction = s.inverse_correction2;
  const std::int64_t count = s.count;
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = dw[i] + gradient_decay * w[i];
    m[i] = beta1 * m[i] + (T{1} - beta1) * g;
    v[i] = beta2 * v[i] + (T{1} - beta2) * g * g;
    w[i] = w[i] * keep - rate * m[i] / (std::sqrt(v[i] * correction) + epsilon);
  }
}

}  // namespace

template <class T>
void sgd_update(const KernelCall& call) {
  T* const w = call.pointer<T>("w");
  const T* const dw = call.pointer<const T>("dw");
  const T rate = static_cast<T>(call.real("learning_rate"));
  const T decay = static_cast<T>(call.real("weight_decay"));
  over_elements(call, call.elements("w"), [=](std::int64_t begin, std::int64_t end) {
    sgd(w + begin, dw + begin, end - begin, rate, decay);
  });
}

template <class T>
void momentum_update(const KernelCall& call) {
  T* const w = call.pointer<T>("w");
  const T* const dw = call.pointer<const T>("dw");
  T* const velocity = call.pointer<T>("velocity");
  const T rate = static_cast<T>(call.real("learning_rate"));
  const T keep = static_cast<T>(call.real("momentum"));
  const T decay = static_cast<T>(call.real("weight_decay"));
  over_elements(call, call.elements("w"), [=](std::int64_t begin, std::int64_t end) {
    momentum(w + begin, dw + begin, velocity + begin, end - begin, rate, keep, decay);
  });
}

/// Attribute t counts the updates from 1. The weight decay shrinks the weights (AdamW) or is part
/// of the gradient (Adam).
template <class T>
void adam_or_adamw(const KernelCall& call, bool decoupled) {
  const double t = static_cast<double>(call.integer("t"));
  const double rate = call.real("learning_rate");
  const double beta1 = call.real("beta1");
  const double beta2 = call.real("beta2");
  const AdamWStep<T> all{
      .w = call.pointer<T>("w"),
      .dw = call.pointer<const T>("dw"),
      .m = call.pointer<T>("m"),
      .v = call.pointer<T>("v"),
      .count = call.elements("w"),
      .keep = static_cast<T>(decoupled ? 1 - rate * call.real("weight_decay") : 1),
      .rate = static_cast<T>(rate / (1 - std::pow(beta1, t))),
      .beta1 = static_cast<T>(beta1),
      .beta2 = static_cast<T>(beta2),
      .inverse_correction2 = static_cast<T>(1 / (1 - std::pow(beta2, t))),
      .epsilon = static_cast<T>(call.real("epsilon")),
      .gradient_decay = static_cast<T>(decoupled ? 0 : call.real("weight_decay"))};
  over_elements(call, all.count, [&all](std::int64_t begin, std::int64_t end) {
    AdamWStep<T> part = all;
    part.w += begin;
    part.dw += begin;
    part.m += begin;
    part.v += begin;
    part.count = end - begin;
    adamw(part);
  });
}

template <class T>
void adamw_update(const KernelCall& call) {
  adam_or_adamw<T>(call, true);
}

template <class T>
void adam_update(const KernelCall& call) {
  adam_or_adamw<T>(call, false);
}

template void sgd_update<float>(const KernelCall&);
template void sgd_update<double>(const KernelCall&);
template void momentum_update<float>(const KernelCall&);
template void momentum_update<double>(const KernelCall&);
template void adam_update<float>(const KernelCall&);
template void adam_update<double>(const KernelCall&);
template void adamw_update<float>(const KernelCall&);
template void adamw_update<double>(const KernelCall&);

}  // namespace tidemark::kernels
