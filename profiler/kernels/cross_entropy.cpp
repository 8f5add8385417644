#include <cmath>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/exponential.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"
#include "traces/error.h"

namespace tidemark::kernels {
namespace {

/// log(sum of e^x) of one row of logits, shifted by its largest so that nothing overflows.
template <class T>
TIDEMARK_CLONES T log_sum_exp(const T* x, std::int64_t count) {
  const T shift = largest(x, count);
  Lanes<T> lanes{};
  std::int64_t i = 0;
  for (; i + k_lanes <= count; i += k_lanes) {
    for (std::int64_t l = 0; l < k_lanes; ++l) {
      lanes[static_cast<std::size_t>(l)] += exponential(x[i + l] - shift);
    }
  }
  for (; i < count; ++i) {
    lanes[static_cast<std::size_t>(i % k_lanes)] += exponential(x[i] - shift);
  }
  return shift + std::log(sum_of(lanes));
}

/// x = e^(x - log_sum_exp) * scale
template <class T>
TIDEMARK_CLONES void scaled_softmax(T* x, std::int64_t count, T row_log_sum_exp, T scale) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = exponential(x[i] - row_log_sum_exp) * scale;
}

/// The class of row i; throws when it is none, as data from outside may have it.
std::int64_t target_of(const std::int32_t* target, std::int64_t i, std::int64_t classes) {
  const std::int64_t value = target[i];
  if (value < 0 || value >= classes) {
    throw InputError({.file = {},
                      .place = "target of row " + std::to_string(i),
                      .expected = "a class in [0, " + std::to_string(classes) + ")",
                      .found = std::to_string(value)});
  }
  return value;
}

}  // namespace

template <class T>
void softmax_cross_entropy_forward(const KernelCall& call) {
  const std::int64_t m = call.rows("logits");
  const std::int64_t v = call.columns("logits");
  const T* logits = call.pointer<const T>("logits");
  const std::int32_t* target = call.pointer<const std::int32_t>("target");
  T* row_log_sum_exp = call.pointer<T>("log_sum_exp");
  over_rows(call, m, v, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) row_log_sum_exp[i] = log_sum_exp(logits + i * v, v);
  });
  double total = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    total += static_cast<double>(row_log_sum_exp[i] - logits[i * v + target_of(target, i, v)]);
  }
  const double share = find_attribute(call.op, "scale") == nullptr ? 1 : call.real("scale");
  *call.pointer<T>("loss") = static_cast<T>(total / static_cast<double>(m) * share);
}

/// logits become their gradient: (softmax - 1[target]) * scale / M
template <class T>
void softmax_cross_entropy_backward(const KernelCall& call) {
  const std::int64_t m = call.rows("logits");
  const std::int64_t v = call.columns("logits");
  T* logits = call.pointer<T>("logits");
  const std::int32_t* target = call.pointer<const std::int32_t>("target");
  const T* row_log_sum_exp = call.pointer<const T>("log_sum_exp");
  const T scale = static_cast<T>(call.real("scale") / static_cast<double>(m));
  for (std::int64_t i = 0; i < m; ++i) static_cast<void>(target_of(target, i, v));
  over_rows(call, m, v, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      scaled_softmax(logits + i * v, v, row_log_sum_exp[i], scale);
      logits[i * v + target[i]] -= scale;
    }
  });
}

template void softmax_cross_entropy_forward<float>(const KernelCall&);
template void softmax_cross_entropy_forward<double>(const KernelCall&);
template void softmax_cross_entropy_backward<float>(const KernelCall&);
template void softmax_cross_entropy_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
