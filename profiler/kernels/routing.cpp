#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "profiler/kernels/clones.h"
#include "profiler/kernels/kernels.h"
#include "profiler/kernels/lanes.h"
#include "profiler/kernels/parts.h"
#include "traces/error.h"

// Tokens to experts and back (Shazeer et al. 2017, "Outrageously large neural networks"; gates as
// in Jiang et al. 2024, "Mixtral of experts"). A slot is a row of the experts' input: expert x
// capacity + place. A choice that found its expert full has the slot -1 - expert, and adds nothing.

namespace tidemark::kernels {
namespace {

/// Throws InputError when one is a row that the experts do not have.
void require_slots(const KernelCall& call, std::int64_t rows) {
  const std::span<const std::int32_t> slots(call.pointer<const std::int32_t>("slots"),
                                            static_cast<std::size_t>(call.elements("slots")));
  const auto wrong = std::ranges::find_if(slots, [rows](std::int32_t s) { return s >= rows; });
  if (wrong == slots.end()) return;
  throw InputError({.file = {},
                    .place = "slot " + std::to_string(wrong - slots.begin()),
                    .expected = "a value below " + std::to_string(rows),
                    .found = std::to_string(*wrong)});
}

struct Router {
  std::int64_t experts, choices;
};

/// The experts with the largest logits, as full ones yet; of equal ones the first.
template <class T>
void choose(const Router& router, const T* logits, std::int32_t* slots) {
  for (std::int64_t k = 0; k < router.choices; ++k) {
    std::int64_t best = -1;
    for (std::int64_t e = 0; e < router.experts; ++e) {
      const std::int32_t full = static_cast<std::int32_t>(-1 - e);
      if (std::find(slots, slots + k, full) != slots + k) continue;
      if (best < 0 || logits[e] > logits[best]) best = e;
    }
    slots[k] = static_cast<std::int32_t>(-1 - best);
  }
}

/// Softmax over the chosen: that over all experts, scaled to a sum of 1.
template <class T>
void weigh(const Router& router, const T* logits, const std::int32_t* slots, T* gates) {
  T sum = 0;
  for (std::int64_t k = 0; k < router.choices; ++k) {
    gates[k] = std::exp(logits[-1 - slots[k]] - logits[-1 - slots[0]]);
    sum += gates[k];
  }
  for (std::int64_t k = 0; k < router.choices; ++k) gates[k] /= sum;
}

/// Gives an expert's slots to those who chose it, in their order, until it is full.
void fill_expert(std::int64_t expert, std::int64_t capacity, std::int32_t* slots,
                 std::int64_t count) {
  std::int64_t place = 0;
  for (std::int64_t i = 0; i < count && place < capacity; ++i) {
    if (slots[i] != -1 - expert) continue;
    slots[i] = static_cast<std::int32_t>(expert * capacity + place++);
  }
}

template <class T>
TIDEMARK_CLONES void add_scaled(T factor, const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

template <class T>
TIDEMARK_CLONES T product_sum(const T* a, const T* b, std::int64_t count) {
  return dot(a, b, count);
}

template <class T>
TIDEMARK_CLONES void scale(T factor, const T* x, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = factor * x[i];
}

/// Clears the rows of `role`, of which some are slots that nobody has.
void clear(const KernelCall& call, std::string_view role) {
  auto* const y = call.pointer<std::byte>(role);
  const std::int64_t element_bytes = size_bytes(call.buffer(role).dtype);
  over_elements(call, call.elements(role), [&](std::int64_t begin, std::int64_t end) {
    std::memset(y + begin * element_bytes, 0,
                static_cast<std::size_t>((end - begin) * element_bytes));
  });
}

/// The share of all choices that each expert got, with a slot or without.
template <class T>
std::vector<T> shares_of_experts(const KernelCall& call) {
  const std::int64_t experts = call.columns("logits");
  const std::int64_t capacity = call.integer("capacity");
  const auto* const slots = call.pointer<const std::int32_t>("slots");
  const std::int64_t choices = call.elements("slots");
  require_slots(call, experts * capacity);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts));
  for (std::int64_t i = 0; i < choices; ++i) {
    const std::int64_t expert = slots[i] >= 0 ? slots[i] / capacity : -1 - std::int64_t{slots[i]};
    if (expert < experts) ++counts[static_cast<std::size_t>(expert)];
  }
  std::vector<T> shares;
  for (const std::int64_t n : counts) {
    shares.push_back(static_cast<T>(n) / static_cast<T>(choices));
  }
  return shares;
}

/// Calls each(token, choice, slot) for the choices that have one, by parts of the tokens.
template <class Each>
void over_slots(const KernelCall& call, std::int64_t slot_rows, std::int64_t columns,
                const Each& each) {
  const std::int64_t choices = call.columns("slots");
  const auto* const slots = call.pointer<const std::int32_t>("slots");
  require_slots(call, slot_rows);
  over_rows(call, call.rows("slots"), columns * choices, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * choices; i < end * choices; ++i) {
      if (slots[i] >= 0) each(i / choices, i, std::int64_t{slots[i]});
    }
  });
}

}  // namespace

template <class T>
void route_forward(const KernelCall& call) {
  const Router router{.experts = call.columns("logits"), .choices = call.columns("slots")};
  const T* const logits = call.pointer<const T>("logits");
  T* const gates = call.pointer<T>("gates");
  auto* const slots = call.pointer<std::int32_t>("slots");
  over_rows(call, call.rows("logits"), router.experts * router.choices,
            [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t i = begin; i < end; ++i) {
                choose(router, logits + i * router.experts, slots + i * router.choices);
                weigh(router, logits + i * router.experts, slots + i * router.choices,
                      gates + i * router.choices);
              }
            });
  for (std::int64_t expert = 0; expert < router.experts; ++expert) {
    fill_expert(expert, call.integer("capacity"), slots, call.elements("slots"));
  }
}

/// Through the softmax: dlogits[chosen] = gate (dgate - sum over the chosen of gate dgate).
template <class T>
void route_backward(const KernelCall& call) {
  const Router router{.experts = call.columns("dlogits"), .choices = call.columns("slots")};
  const std::int64_t capacity = call.integer("capacity");
  const T* const dgates = call.pointer<const T>("dgates");
  const T* const gates = call.pointer<const T>("gates");
  const auto* const slots = call.pointer<const std::int32_t>("slots");
  T* const dlogits = call.pointer<T>("dlogits");
  require_slots(call, router.experts * capacity);
  clear(call, "dlogits");
  for (std::int64_t token = 0; token < call.rows("slots"); ++token) {
    const std::int64_t first = token * router.choices;
    T mean = 0;
    for (std::int64_t i = first; i < first + router.choices; ++i) mean += gates[i] * dgates[i];
    for (std::int64_t i = first; i < first + router.choices; ++i) {
      const std::int64_t slot = slots[i];
      const std::int64_t expert = slot >= 0 ? slot / capacity : -1 - slot;
      if (expert >= router.experts) continue;  // no choice of route_forward
      dlogits[token * router.experts + expert] = gates[i] * (dgates[i] - mean);
    }
  }
}

template <class T>
void dispatch_forward(const KernelCall& call) {
  const std::int64_t columns = call.columns("x");
  const std::int64_t row_bytes = columns * size_bytes(call.buffer("x").dtype);
  const auto* const x = call.pointer<const std::byte>("x");
  auto* const y = call.pointer<std::byte>("y");
  clear(call, "y");
  over_slots(call, call.rows("y"), columns,
             [&](std::int64_t token, std::int64_t, std::int64_t slot) {
               std::memcpy(y + slot * row_bytes, x + token * row_bytes,
                           static_cast<std::size_t>(row_bytes));
             });
}

template <class T>
void dispatch_backward(const KernelCall& call) {
  const std::int64_t columns = call.columns("dx");
  const T* const dy = call.pointer<const T>("dy");
  const T* const residual = call.pointer<const T>("residual");
  T* const dx = call.pointer<T>("dx");
  over_elements(call, call.elements("dx"), [&](std::int64_t begin, std::int64_t end) {
    if (residual == nullptr) {
      std::fill(dx + begin, dx + end, T{0});
    } else {
      std::copy(residual + begin, residual + end, dx + begin);
    }
  });
  over_slots(call, call.rows("dy"), columns,
             [&](std::int64_t token, std::int64_t, std::int64_t slot) {
               add_scaled(T{1}, dy + slot * columns, dx + token * columns, columns);
             });
}

template <class T>
void combine_forward(const KernelCall& call) {
  const std::int64_t columns = call.columns("x");
  const T* const x = call.pointer<const T>("x");
  const T* const gates = call.pointer<const T>("gates");
  T* const y = call.pointer<T>("y");
  clear(call, "y");
  over_slots(call, call.rows("x"), columns,
             [&](std::int64_t token, std::int64_t choice, std::int64_t slot) {
               add_scaled(gates[choice], x + slot * columns, y + token * columns, columns);
             });
}

template <class T>
void combine_backward(const KernelCall& call) {
  const std::int64_t columns = call.columns("x");
  const T* const dy = call.pointer<const T>("dy");
  const T* const x = call.pointer<const T>("x");
  const T* const gates = call.pointer<const T>("gates");
  T* const dx = call.pointer<T>("dx");
  T* const dgates = call.pointer<T>("dgates");
  clear(call, "dx");
  clear(call, "dgates");
  over_slots(call, call.rows("x"), columns,
             [&](std::int64_t token, std::int64_t choice, std::int64_t slot) {
               const T* const slope = dy + token * columns;
               scale(gates[choice], slope, dx + slot * columns, columns);
               dgates[choice] = product_sum(slope, x + slot * columns, columns);
             });
}

/// With a = scale E / M: dlogits[e] += p[e] (a f[e] - sum of p a f), p the softmax of a row.
template <class T>
void balance_backward(const KernelCall& call) {
  const std::int64_t experts = call.columns("logits");
  const T factor = static_cast<T>(call.real("scale")) * static_cast<T>(experts) /
                   static_cast<T>(call.rows("logits"));
  std::vector<T> slopes = shares_of_experts<T>(call);
  for (T& slope : slopes) slope *= factor;
  const T* const logits = call.pointer<const T>("logits");
  T* const dlogits = call.pointer<T>("dlogits");
  constexpr std::int64_t k_operations = 40;  // of an element: two exponentials
  over_rows(call, call.rows("logits"), experts * k_operations,
            [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t row = begin; row < end; ++row) {
                const T* const x = logits + row * experts;
                const T largest = *std::max_element(x, x + experts);
                T sum = 0, weighted = 0;
                for (std::int64_t e = 0; e < experts; ++e) {
                  const T power = std::exp(x[e] - largest);
                  sum += power;
                  weighted += power * slopes[static_cast<std::size_t>(e)];
                }
                for (std::int64_t e = 0; e < experts; ++e) {
                  const T p = std::exp(x[e] - largest) / sum;
                  dlogits[row * experts + e] +=
                      p * (slopes[static_cast<std::size_t>(e)] - weighted / sum);
                }
              }
            });
}

template void balance_backward<float>(const KernelCall&);
template void balance_backward<double>(const KernelCall&);
template void route_forward<float>(const KernelCall&);
template void route_forward<double>(const KernelCall&);
template void route_backward<float>(const KernelCall&);
template void route_backward<double>(const KernelCall&);
template void dispatch_forward<float>(const KernelCall&);
template void dispatch_forward<double>(const KernelCall&);
template void dispatch_backward<float>(const KernelCall&);
template void dispatch_backward<double>(const KernelCall&);
template void combine_forward<float>(const KernelCall&);
template void combine_forward<double>(const KernelCall&);
template void combine_backward<float>(const KernelCall&);
template void combine_backward<double>(const KernelCall&);

}  // namespace tidemark::kernels
