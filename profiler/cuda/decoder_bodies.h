// The ops of Llama decoders and of experts with the formulas of kernels/rotary.cpp, swiglu.cpp,
// token_embedding.cpp and routing.cpp. Read team.h first.
#pragma once

#include "profiler/cuda/attention_bodies.h"
#include "profiler/cuda/kernel_bodies.h"
#include "profiler/cuda/row_bodies.h"

namespace tidemark::cuda {

/// H heads on G of keys and values of width D; rows of (H + 2 G) D and of 3 H D numbers.
struct GroupedHeads {
  std::int64_t tokens, queries, groups, width;
  std::int64_t position;  // of the first token
  double base;

  /// Of numbers i and i + D/2 of a token: in double, as the CPU kernel forms it.
  TIDEMARK_BODY void turn(std::int64_t token, std::int64_t i, float* cosine, float* sine) const {
    const double angle = static_cast<double>(position + token) *
                         pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width));
    *cosine = static_cast<float>(cos(angle));
    *sine = static_cast<float>(sin(angle));
  }
};

/// Index: (row, head of [3 H], pair of a head).
struct Rotary {
  GroupedHeads heads;
  const float* x;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t half = heads.width / 2;
    const std::int64_t i = index % half;
    const std::int64_t to = index / half % (3 * heads.queries);
    const std::int64_t row = index / half / (3 * heads.queries);
    const std::int64_t part = to / heads.queries;  // queries, keys, values
    const std::int64_t group = to % heads.queries / (heads.queries / heads.groups);
    const std::int64_t from = part == 0 ? to : heads.queries + (part - 1) * heads.groups + group;
    const float* in = x + (row * (heads.queries + 2 * heads.groups) + from) * heads.width + i;
    float* out = y + (row * 3 * heads.queries + to) * heads.width + i;
    float cosine = 1, sine = 0;
    if (part < 2) heads.turn(row % heads.tokens, i, &cosine, &sine);
    out[0] = in[0] * cosine - in[half] * sine;
    out[half] = in[half] * cosine + in[0] * sine;
  }
};

/// Index: (row, head of [H + 2 G], pair of a head).
struct RotarySlope {
  GroupedHeads heads;
  const float* dy;
  float* dx;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const std::int64_t half = heads.width / 2;
    const std::int64_t all = heads.queries + 2 * heads.groups;
    const std::int64_t i = index % half;
    const std::int64_t to = index / half % all;
    const std::int64_t row = index / half / all;
    const bool is_query = to < heads.queries;
    const std::int64_t each = is_query ? 1 : heads.queries / heads.groups;
    const std::int64_t part = is_query ? 0 : 1 + (to - heads.queries) / heads.groups;
    const std::int64_t group = is_query ? to : (to - heads.queries) % heads.groups;
    const float* in =
        dy + (row * 3 * heads.queries + part * heads.queries + group * each) * heads.width + i;
    float first = 0, second = 0;
    for (std::int64_t h = 0; h < each; ++h) {
      first += in[h * heads.width];
      second += in[h * heads.width + half];
    }
    float cosine = 1, sine = 0;
    if (part < 2) heads.turn(row % heads.tokens, i, &cosine, &sine);
    float* out = dx + (row * all + to) * heads.width + i;
    out[0] = first * cosine + second * sine;
    out[half] = second * cosine - first * sine;
  }
};

/// Index: element of y[M,F].
template <class Y>
struct Swiglu {
  const float* x;
  Y* y;
  std::int64_t columns;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const float* gate = x + i / columns * 2 * columns + i % columns;
    store(y + i, gate[0] * sigmoid_of(gate[0]) * gate[columns]);
  }
};
template <class Y>
Swiglu(const float*, Y*, std::int64_t) -> Swiglu<Y>;

template <class Y>
struct SwigluSlope {
  const float* dy;
  const float* x;
  Y* dx;
  std::int64_t columns;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t at = i / columns * 2 * columns + i % columns;
    const float gate = x[at];
    const float s = sigmoid_of(gate);
    store(dx + at, dy[i] * x[at + columns] * (s + gate * s * (1.0f - s)));
    store(dx + at + columns, dy[i] * gate * s);
  }
};
template <class Y>
SwigluSlope(const float*, const float*, Y*, std::int64_t) -> SwigluSlope<Y>;

/// Index: element of y[B,T,C].
struct TokenEmbedding {
  const std::int32_t* tokens;
  const float* w;
  float* y;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    y[i] = w[tokens[i / channels] * channels + i % channels];
  }
};

/// M rows that choose J of E experts, each with room for `capacity` of them.
struct Router {
  std::int64_t experts, choices, capacity;
};

/// Index: row. Its choices as if all experts were full, and their gates.
struct Choose {
  Router router;
  const float* logits;
  float* gates;
  std::int32_t* slots;
  TIDEMARK_BODY void operator()(std::int64_t row) const {
    const float* l = logits + row * router.experts;
    float* g = gates + row * router.choices;
    std::int32_t* s = slots + row * router.choices;
    float sum = 0;
    for (std::int64_t k = 0; k < router.choices; ++k) {
      std::int64_t best = -1;
      for (std::int64_t e = 0; e < router.experts; ++e) {
        bool taken = false;
        for (std::int64_t j = 0; j < k; ++j) taken = taken || s[j] == -1 - e;
        if (!taken && (best < 0 || l[e] > l[best])) best = e;
      }
      s[k] = static_cast<std::int32_t>(-1 - best);
      g[k] = expf(l[best] - l[-1 - s[0]]);
      sum += g[k];
    }
    for (std::int64_t k = 0; k < router.choices; ++k) g[k] /= sum;
  }
};

/// Index: expert. Each thread of the team has some choices, behind those of the one before. Other
/// experts' choices may change meanwhile, but never to or from this one's.
struct FillExpert {
  struct Shared {
    std::int64_t counts[k_team];
  };
  Router router;
  std::int32_t* slots;
  std::int64_t count;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t expert) const {
    const std::int64_t each = (count + k_team - 1) / k_team;
    team.each([&](int t) {
      std::int64_t wanted = 0;
      for (std::int64_t i = t * each; i < count && i < (t + 1) * each; ++i) {
        wanted += slots[i] == -1 - expert ? 1 : 0;
      }
      shared.counts[t] = wanted;
    });
    team.each([&](int t) {
      std::int64_t place = 0;
      for (int before = 0; before < t; ++before) place += shared.counts[before];
      for (std::int64_t i = t * each; i < count && i < (t + 1) * each; ++i) {
        if (slots[i] != -1 - expert || place >= router.capacity) continue;
        slots[i] = static_cast<std::int32_t>(expert * router.capacity + place++);
      }
    });
  }
};

/// Index: row.
struct RouteSlope {
  Router router;
  const float* dgates;
  const float* gates;
  const std::int32_t* slots;
  float* dlogits;
  TIDEMARK_BODY void operator()(std::int64_t row) const {
    const std::int64_t first = row * router.choices;
    clear(dlogits + row * router.experts, router.experts);
    float mean = 0;
    for (std::int64_t k = 0; k < router.choices; ++k) mean += gates[first + k] * dgates[first + k];
    for (std::int64_t k = 0; k < router.choices; ++k) {
      const std::int64_t slot = slots[first + k];
      const std::int64_t expert = slot >= 0 ? slot / router.capacity : -1 - slot;
      if (expert >= router.experts) continue;  // no choice of route_forward
      dlogits[row * router.experts + expert] = gates[first + k] * (dgates[first + k] - mean);
    }
  }
};

/// M rows that choose J of Q slots. What is no slot of route_forward is none: the choices may come
/// from anywhere, and the device is no place to complain.
struct Slots {
  const std::int32_t* slots;
  std::int64_t choices, count;
  [[nodiscard]] TIDEMARK_BODY bool has(std::int64_t choice) const {
    return slots[choice] >= 0 && slots[choice] < count;
  }
  /// First element of the row of a choice that has a slot.
  [[nodiscard]] TIDEMARK_BODY std::int64_t at(std::int64_t choice, std::int64_t channels) const {
    return slots[choice] * channels;
  }
};

/// Index: (choice, channel). y is cleared before.
template <class X>
struct Dispatch {
  const X* x;
  Slots slots;
  X* y;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t choice = i / channels;
    const std::int64_t c = i % channels;
    if (!slots.has(choice)) return;
    y[slots.at(choice, channels) + c] = x[choice / slots.choices * channels + c];
  }
};
template <class X>
Dispatch(const X*, Slots, X*, std::int64_t) -> Dispatch<X>;

/// Index: element of dx[M,C], or of y; the slots' rows, by their gates where there are any.
struct Gather {
  const float* rows;  // of slots
  Slots slots;
  const float* gates;     // null: all 1
  const float* residual;  // null: none
  float* y;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t first = i / channels * slots.choices;
    float sum = residual == nullptr ? 0.0f : residual[i];
    for (std::int64_t k = first; k < first + slots.choices; ++k) {
      if (!slots.has(k)) continue;
      sum += (gates == nullptr ? 1.0f : gates[k]) * rows[slots.at(k, channels) + i % channels];
    }
    y[i] = sum;
  }
};

/// Index: choice. dx is cleared before.
struct CombineSlope {
  struct Shared {
    float sums[k_team];
  };
  const float* dy;
  const float* x;
  Slots slots;
  const float* gates;
  float* dx;
  float* dgates;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t choice) const {
    const bool has_slot = slots.has(choice);
    const float* slope = dy + choice / slots.choices * channels;
    const std::int64_t at = has_slot ? slots.at(choice, channels) : 0;
    const float sum = row_sum(team, shared.sums, has_slot ? channels : 0,
                              [&](std::int64_t c) { return slope[c] * x[at + c]; });
    team.each([&](int t) {
      for (std::int64_t c = t; c < channels && has_slot; c += k_team) {
        dx[at + c] = gates[choice] * slope[c];
      }
      if (t == 0) dgates[choice] = sum;
    });
  }
};

}  // namespace tidemark::cuda
