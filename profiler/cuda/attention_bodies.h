// Causal attention as functions of one index: the fallback kernels, whose formulas are those of
// kernels/attention.cpp and flash_attention.cpp. Read kernel_bodies.h first.
#pragma once

#include "profiler/cuda/kernel_bodies.h"

namespace tidemark::cuda {

/// qkv [B,T,3C] and y [B,T,C] of H heads of width D = C / H.
struct Heads {
  std::int64_t batch = 0, tokens = 0, channels = 0, count = 0;
  [[nodiscard]] TIDEMARK_BODY std::int64_t width() const { return channels / count; }
  [[nodiscard]] TIDEMARK_BODY std::int64_t rows() const { return batch * count * tokens; }
  [[nodiscard]] TIDEMARK_BODY float scale() const {
    return 1.0f / sqrtf(static_cast<float>(width()));
  }
};

/// One row (b, h, t) of an index in [0, B H T).
struct HeadRow {
  std::int64_t b, h, t;
  TIDEMARK_BODY HeadRow(const Heads& heads, std::int64_t index)
      : b(index / (heads.count * heads.tokens)),
        h(index / heads.tokens % heads.count),
        t(index % heads.tokens) {}
  /// Of q; k and v follow at + C and + 2C.
  [[nodiscard]] TIDEMARK_BODY std::int64_t qkv(const Heads& heads, std::int64_t token) const {
    return (b * heads.tokens + token) * 3 * heads.channels + h * heads.width();
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t y(const Heads& heads, std::int64_t token) const {
    return (b * heads.tokens + token) * heads.channels + h * heads.width();
  }
  /// Number of element (t, s) of all scores [B,H,T,T].
  [[nodiscard]] TIDEMARK_BODY std::int64_t score(const Heads& heads, std::int64_t row,
                                                 std::int64_t s) const {
    return ((b * heads.count + h) * heads.tokens + row) * heads.tokens + s;
  }
};

TIDEMARK_BODY float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

TIDEMARK_BODY void add_scaled(float factor, const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

TIDEMARK_BODY void clear(float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = 0;
}

/// Index: row of probabilities [B,H,T,T].
struct AttentionForward {
  Heads heads;
  Mask mask;
  const float* qkv;
  float* probabilities;
  float* y;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const HeadRow row(heads, index);
    const std::int64_t d = heads.width();
    const std::int64_t c = heads.channels;
    const float* q = qkv + row.qkv(heads, row.t);
    float* p = probabilities + row.score(heads, row.t, 0);
    float largest = -3.0e38f;
    for (std::int64_t s = 0; s <= row.t; ++s) {
      p[s] = dot(q, qkv + row.qkv(heads, s) + c, d) * heads.scale();
      largest = p[s] > largest ? p[s] : largest;
    }
    float sum = 0;
    for (std::int64_t s = 0; s <= row.t; ++s) sum += p[s] = expf(p[s] - largest);
    float* out = y + row.y(heads, row.t);
    clear(out, d);
    for (std::int64_t s = 0; s < heads.tokens; ++s) {
      p[s] = s <= row.t ? p[s] / sum : 0.0f;
      if (s > row.t) continue;
      const float kept = masked(mask, row.score(heads, row.t, s), p[s]);
      add_scaled(kept, qkv + row.qkv(heads, s) + 2 * c, out, d);
    }
  }
};

/// Rows of one head, which `first` names: dS [T,T] goes to the workspace, then dQ. Index: t.
struct AttentionScoreSlope {
  Heads heads;
  Mask mask;
  const float* qkv;
  const float* probabilities;
  const float* dy;
  float* dqkv;
  float* workspace;
  std::int64_t first;  // index of row 0 of the head
  TIDEMARK_BODY void operator()(std::int64_t t) const {
    const HeadRow row(heads, first + t);
    const std::int64_t d = heads.width();
    const std::int64_t c = heads.channels;
    const float* p = probabilities + row.score(heads, t, 0);
    float* ds = workspace + t * heads.tokens;
    float common = 0;
    for (std::int64_t s = 0; s <= t; ++s) {
      const float dp = dot(dy + row.y(heads, t), qkv + row.qkv(heads, s) + 2 * c, d);
      ds[s] = masked(mask, row.score(heads, t, s), dp);
      common += p[s] * ds[s];
    }
    float* dq = dqkv + row.qkv(heads, t);
    clear(dq, d);
    for (std::int64_t s = 0; s <= t; ++s) {
      ds[s] = p[s] * (ds[s] - common) * heads.scale();
      add_scaled(ds[s], qkv + row.qkv(heads, s) + c, dq, d);
    }
  }
};

/// dK and dV of key s of the same head, from the workspace. Index: s.
struct AttentionKeySlope {
  Heads heads;
  Mask mask;
  const float* qkv;
  const float* probabilities;
  const float* dy;
  float* dqkv;
  const float* workspace;
  std::int64_t first;
  TIDEMARK_BODY void operator()(std::int64_t s) const {
    const HeadRow row(heads, first + s);
    const std::int64_t d = heads.width();
    float* dk = dqkv + row.qkv(heads, s) + heads.channels;
    float* dv = dk + heads.channels;
    clear(dk, d);
    clear(dv, d);
    for (std::int64_t t = s; t < heads.tokens; ++t) {
      const std::int64_t at = row.score(heads, t, s);
      add_scaled(workspace[t * heads.tokens + s], qkv + row.qkv(heads, t), dk, d);
      add_scaled(masked(mask, at, probabilities[at]), dy + row.y(heads, t), dv, d);
    }
  }
};

/// Index: row (b, h, t). Scores are made twice, so no row of them is kept.
struct FlashForward {
  Heads heads;
  Mask mask;
  const float* qkv;
  float* y;
  float* log_sum_exp;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const HeadRow row(heads, index);
    const std::int64_t d = heads.width();
    const std::int64_t c = heads.channels;
    const float* q = qkv + row.qkv(heads, row.t);
    float largest = -3.0e38f;
    float sum = 0;
    for (std::int64_t s = 0; s <= row.t; ++s) {
      const float score = dot(q, qkv + row.qkv(heads, s) + c, d) * heads.scale();
      if (score > largest) {
        sum *= expf(largest - score);
        largest = score;
      }
      sum += expf(score - largest);
    }
    float* out = y + row.y(heads, row.t);
    clear(out, d);
    for (std::int64_t s = 0; s <= row.t; ++s) {
      const float score = dot(q, qkv + row.qkv(heads, s) + c, d) * heads.scale();
      const float p = masked(mask, row.score(heads, row.t, s), expf(score - largest) / sum);
      add_scaled(p, qkv + row.qkv(heads, s) + 2 * c, out, d);
    }
    log_sum_exp[index] = largest + logf(sum);
  }
};

/// What both passes of the backward kernel need of score (t, s).
struct FlashScores {
  Heads heads;
  Mask mask;
  const float* dy;
  const float* qkv;
  const float* y;
  const float* log_sum_exp;
  float* dqkv;
  [[nodiscard]] TIDEMARK_BODY float probability(const HeadRow& row, std::int64_t t,
                                                std::int64_t s) const {
    const float score =
        dot(qkv + row.qkv(heads, t), qkv + row.qkv(heads, s) + heads.channels, heads.width()) *
        heads.scale();
    return expf(score - log_sum_exp[(row.b * heads.count + row.h) * heads.tokens + t]);
  }
  [[nodiscard]] TIDEMARK_BODY float slope(const HeadRow& row, std::int64_t t, std::int64_t s,
                                          float p) const {
    const std::int64_t at = row.y(heads, t);
    const float common = dot(y + at, dy + at, heads.width());
    const float dp = dot(dy + at, qkv + row.qkv(heads, s) + 2 * heads.channels, heads.width());
    return p * (masked(mask, row.score(heads, t, s), dp) - common) * heads.scale();
  }
};

/// Index: row (b, h, t).
struct FlashQuerySlope {
  FlashScores of;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const HeadRow row(of.heads, index);
    float* dq = of.dqkv + row.qkv(of.heads, row.t);
    clear(dq, of.heads.width());
    for (std::int64_t s = 0; s <= row.t; ++s) {
      const float ds = of.slope(row, row.t, s, of.probability(row, row.t, s));
      add_scaled(ds, of.qkv + row.qkv(of.heads, s) + of.heads.channels, dq, of.heads.width());
    }
  }
};

/// Index: row (b, h, s).
struct FlashKeySlope {
  FlashScores of;
  TIDEMARK_BODY void operator()(std::int64_t index) const {
    const HeadRow row(of.heads, index);
    const std::int64_t s = row.t;
    float* dk = of.dqkv + row.qkv(of.heads, s) + of.heads.channels;
    float* dv = dk + of.heads.channels;
    clear(dk, of.heads.width());
    clear(dv, of.heads.width());
    for (std::int64_t t = s; t < of.heads.tokens; ++t) {
      const float p = of.probability(row, t, s);
      const float kept = masked(of.mask, row.score(of.heads, t, s), p);
      add_scaled(of.slope(row, t, s, p), of.qkv + row.qkv(of.heads, t), dk, of.heads.width());
      add_scaled(kept, of.dy + row.y(of.heads, t), dv, of.heads.width());
    }
  }
};

}  // namespace tidemark::cuda
