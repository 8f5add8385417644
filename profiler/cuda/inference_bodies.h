// What generation needs, with the formulas of kernels/cached_attention.cpp and next_token.cpp. Read
// team.h first.
#pragma once

#include "profiler/cuda/attention_bodies.h"
#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// Caches [B,S,C] of keys and values that hold `position` tokens of each sequence.
struct Cache {
  float* keys;
  float* values;
  std::int64_t room, position;
};

/// Index: element of [B,T,C]. Keys and values of the new tokens go to their places.
struct Append {
  Heads heads;
  Cache cache;
  const float* qkv;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    const std::int64_t c = i % heads.channels;
    const std::int64_t row = i / heads.channels;
    const std::int64_t b = row / heads.tokens;
    const std::int64_t token = cache.position + row % heads.tokens;
    const std::int64_t place = (b * cache.room + token) * heads.channels + c;
    cache.keys[place] = qkv[row * 3 * heads.channels + heads.channels + c];
    cache.values[place] = qkv[row * 3 * heads.channels + 2 * heads.channels + c];
  }
};

/// Index: row (b, h, t). The team shares the keys, k_team of them at a time; y, which is not read
/// by others, holds what it is so far.
struct CachedAttention {
  struct Shared {
    float scores[k_team];
    float merged[k_team];
  };
  Heads heads;
  Cache cache;
  const float* qkv;
  float* y;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const HeadRow row(heads, index);
    const std::int64_t d = heads.width();
    const std::int64_t seen = cache.position + row.t + 1;
    const std::int64_t head = row.b * cache.room * heads.channels + row.h * d;
    const float* q = qkv + row.qkv(heads, row.t);
    float* out = y + row.y(heads, row.t);
    float largest = -3.0e38f;
    float sum = 0;
    for (std::int64_t first = 0; first < seen; first += k_team) {
      const std::int64_t count = seen - first < k_team ? seen - first : k_team;
      const std::int64_t begin = head + first * heads.channels;
      team.each([&](int t) {
        const float* key = cache.keys + begin + t * heads.channels;
        shared.scores[t] = t < count ? dot(q, key, d) * heads.scale() : -3.0e38f;
        shared.merged[t] = shared.scores[t];
      });
      const float before = largest;
      largest = merged(team, shared.merged, [](float a, float b) { return a > b ? a : b; });
      if (before > largest) largest = before;
      const float kept = expf(before - largest);
      team.each([&](int t) {
        shared.scores[t] = t < count ? expf(shared.scores[t] - largest) : 0.0f;
        shared.merged[t] = shared.scores[t];
      });
      sum = sum * kept + sum_of(team, shared.merged);
      team.each([&](int t) {
        for (std::int64_t i = t; i < d; i += k_team) {
          float total = first == 0 ? 0.0f : out[i] * kept;
          const float* value = cache.values + begin + i;
          for (std::int64_t s = 0; s < count; ++s) {
            total += shared.scores[s] * value[s * heads.channels];
          }
          out[i] = total;
        }
      });
    }
    team.each([&](int t) {
      for (std::int64_t i = t; i < d; i += k_team) out[i] /= sum;
    });
  }
};

/// Index: element of y[B,1,C].
struct LastToken {
  const float* x;
  float* y;
  std::int64_t tokens, channels;
  TIDEMARK_BODY void operator()(std::int64_t i) const {
    y[i] = x[(i / channels * tokens + tokens - 1) * channels + i % channels];
  }
};

/// Index: row of logits[M,V]. Of equal ones the first.
struct MostLikely {
  struct Best {
    float logit;
    std::int32_t token;
  };
  struct Shared {
    Best best[k_team];
  };
  const float* logits;
  std::int32_t* tokens;
  std::int64_t vocabulary;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t m) const {
    const float* row = logits + m * vocabulary;
    team.each([&](int t) {
      Best best{row[0], 0};
      for (std::int64_t v = t; v < vocabulary; v += k_team) {
        if (row[v] > best.logit) best = {row[v], static_cast<std::int32_t>(v)};
      }
      shared.best[t] = best;
    });
    const Best best = merged(team, shared.best, [](const Best& a, const Best& b) {
      const bool second = b.logit > a.logit || (b.logit == a.logit && b.token < a.token);
      return second ? b : a;
    });
    team.each([&](int t) {
      if (t == 0) tokens[m] = best.token;
    });
  }
};

}  // namespace tidemark::cuda
