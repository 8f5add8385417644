// The gradient of the load-balancing loss, with the formulas of kernels/routing.cpp. Read team.h
// first.
#pragma once

#include "profiler/cuda/decoder_bodies.h"
#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// Index: expert. The share of all choices that it got, with a slot or without.
struct ExpertShare {
  struct Shared {
    std::int64_t counts[k_team];
  };
  Router router;
  const std::int32_t* slots;
  std::int64_t choices;  // of all rows
  double* shares;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t expert) const {
    team.each([&](int t) {
      std::int64_t count = 0;
      for (std::int64_t i = t; i < choices; i += k_team) {
        const std::int64_t slot = slots[i];
        count += (slot >= 0 ? slot / router.capacity : -1 - slot) == expert ? 1 : 0;
      }
      shared.counts[t] = count;
    });
    const std::int64_t count = sum_of(team, shared.counts);
    team.each([&](int t) {
      if (t == 0) shares[expert] = static_cast<double>(count) / static_cast<double>(choices);
    });
  }
};

/// Index: row of logits[M,E]. With p its softmax and f the shares:
/// dlogits[e] += factor p[e] (f[e] - sum of p f).
struct BalanceSlope {
  const float* logits;
  const double* shares;
  float* dlogits;
  std::int64_t experts;
  float factor;
  TIDEMARK_BODY void operator()(std::int64_t row) const {
    const float* x = logits + row * experts;
    float largest = x[0];
    for (std::int64_t e = 1; e < experts; ++e) largest = x[e] > largest ? x[e] : largest;
    float sum = 0;
    float weighted = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      const float power = expf(x[e] - largest);
      sum += power;
      weighted += power * static_cast<float>(shares[e]);
    }
    for (std::int64_t e = 0; e < experts; ++e) {
      const float p = expf(x[e] - largest) / sum;
      dlogits[row * experts + e] += factor * p * (static_cast<float>(shares[e]) - weighted / sum);
    }
  }
};

}  // namespace tidemark::cuda
