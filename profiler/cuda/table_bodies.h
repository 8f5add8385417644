// Gradients of embeddings, with the formulas of kernels/embedding.cpp and token_embedding.cpp. Each
// row of a table looks for its tokens, so that no sum has two writers. Read team.h first.
#pragma once

#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// Index: row of dw[V,C]; a token may occur often, its rows of dy[M,C] are added in their order.
struct TableSlope {
  struct Shared {
    std::int32_t counts[k_team];
    std::int32_t tokens[k_team];
  };
  const float* dy;
  const std::int32_t* tokens;
  float* dw;
  std::int64_t count, channels;
  bool accumulates;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t token) const {
    team.each([&](int t) {
      std::int32_t found = 0;
      for (std::int64_t i = t; i < count; i += k_team) found += tokens[i] == token ? 1 : 0;
      shared.counts[t] = found;
      for (std::int64_t c = t; c < channels && !accumulates; c += k_team) {
        dw[token * channels + c] = 0;
      }
    });
    if (sum_of(team, shared.counts) == 0) return;
    for (std::int64_t first = 0; first < count; first += k_team) {
      const std::int64_t end = count - first < k_team ? count - first : k_team;
      team.each([&](int t) { shared.tokens[t] = t < end ? tokens[first + t] : -1; });
      team.each([&](int t) {
        for (std::int64_t c = t; c < channels; c += k_team) {
          float sum = dw[token * channels + c];
          for (std::int64_t i = 0; i < end; ++i) {
            if (shared.tokens[i] == token) sum += dy[(first + i) * channels + c];
          }
          dw[token * channels + c] = sum;
        }
      });
    }
  }
};

/// Index: element of dw[P,C], of whose rows the tokens of a sequence have those from `first` on.
struct PositionSlope {
  const float* dy;
  float* dw;
  std::int64_t count, sequence, channels, first;
  bool accumulates;
  TIDEMARK_BODY void operator()(std::int64_t element) const {
    const std::int64_t token = element / channels - first;
    float sum = accumulates ? dw[element] : 0.0f;
    for (std::int64_t i = token; token >= 0 && token < sequence && i < count; i += sequence) {
      sum += dy[i * channels + element % channels];
    }
    dw[element] = sum;
  }
};

}  // namespace tidemark::cuda
