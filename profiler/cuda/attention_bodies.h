// Causal attention that keeps its probabilities, with the formulas of kernels/attention.cpp: a team
// for each row. Read team.h first.
#pragma once

#include "profiler/cuda/team.h"

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

/// One row of a head: a query, a key, or the first of some.
struct HeadRow {
  std::int64_t b, h, t;
  TIDEMARK_BODY HeadRow(std::int64_t sample, std::int64_t head, std::int64_t token)
      : b(sample), h(head), t(token) {}
  /// Of an index in [0, B H T).
  TIDEMARK_BODY HeadRow(const Heads& heads, std::int64_t index)
      : HeadRow(index / (heads.count * heads.tokens), index / heads.tokens % heads.count,
                index % heads.tokens) {}
  /// Of q.
  [[nodiscard]] TIDEMARK_BODY std::int64_t qkv(const Heads& heads, std::int64_t token) const {
    return (b * heads.tokens + token) * 3 * heads.channels + h * heads.width();
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t y(const Heads& heads, std::int64_t token) const {
    return (b * heads.tokens + token) * heads.channels + h * heads.width();
  }
};

/// T queries see S keys: those beside them, or, put together from several ranks, those of
/// kv [R,B,S/R,2C] (kernels/attention_keys.h).
struct Attention {
  Heads heads;
  std::int64_t keys, position;  // S, and the place of the first query among them
  std::int64_t part_tokens;
  bool apart;  // keys and values are in kv
  Mask mask;

  /// Keys that query t sees.
  [[nodiscard]] TIDEMARK_BODY std::int64_t seen(std::int64_t t) const { return position + t + 1; }
  /// Of key s in qkv or kv; its value is C behind it.
  [[nodiscard]] TIDEMARK_BODY std::int64_t key(const HeadRow& row, std::int64_t s) const {
    if (!apart) return row.qkv(heads, s) + heads.channels;
    const std::int64_t token = (s / part_tokens * heads.batch + row.b) * part_tokens;
    return (token + s % part_tokens) * 2 * heads.channels + row.h * heads.width();
  }
  /// Number of element (t, s) of all scores [B,H,T,S].
  [[nodiscard]] TIDEMARK_BODY std::int64_t score(const HeadRow& row, std::int64_t t,
                                                 std::int64_t s) const {
    return ((row.b * heads.count + row.h) * heads.tokens + t) * keys + s;
  }
};

TIDEMARK_BODY float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

TIDEMARK_BODY void clear(float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = 0;
}

/// Index: row of probabilities [B,H,T,S].
struct AttentionForward {
  struct Shared {
    float merged[k_team];
  };
  Attention a;
  const float* qkv;
  const float* keys;  // qkv or kv
  float* probabilities;
  float* y;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const HeadRow row(a.heads, index);
    const std::int64_t d = a.heads.width();
    const std::int64_t seen = a.seen(row.t);
    const float* q = qkv + row.qkv(a.heads, row.t);
    float* p = probabilities + index * a.keys;
    team.each([&](int t) {
      float largest = -3.0e38f;
      for (std::int64_t s = t; s < seen; s += k_team) {
        p[s] = dot(q, keys + a.key(row, s), d) * a.heads.scale();
        largest = p[s] > largest ? p[s] : largest;
      }
      shared.merged[t] = largest;
    });
    const float largest =
        merged(team, shared.merged, [](float x, float z) { return x > z ? x : z; });
    team.each([&](int t) {
      float sum = 0;
      for (std::int64_t s = t; s < seen; s += k_team) sum += p[s] = expf(p[s] - largest);
      shared.merged[t] = sum;
    });
    const float sum = sum_of(team, shared.merged);
    team.each([&](int t) {
      for (std::int64_t s = t; s < a.keys; s += k_team) p[s] = s < seen ? p[s] / sum : 0.0f;
    });
    team.each([&](int t) {
      for (std::int64_t i = t; i < d; i += k_team) {
        float total = 0;
        for (std::int64_t s = 0; s < seen; ++s) {
          const float kept = masked(a.mask, a.score(row, row.t, s), p[s]);
          total += kept * keys[a.key(row, s) + a.heads.channels + i];
        }
        y[row.y(a.heads, row.t) + i] = total;
      }
    });
  }
};

/// What the two passes of the backward kernel share. They work on one head, whose row 0 has index
/// `first`: its dS [T,S] are in the workspace.
struct AttentionSlope {
  Attention a;
  const float* qkv;
  const float* keys;
  const float* probabilities;
  const float* dy;
  float* dqkv;
  float* dkeys;  // dqkv or dkv
  float* workspace;
  std::int64_t first;
};

/// Index: t. dS goes to the workspace, then dQ.
struct AttentionQuerySlope {
  struct Shared {
    float sums[k_team];
  };
  AttentionSlope of;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t token) const {
    const Attention& a = of.a;
    const HeadRow row(a.heads, of.first + token);
    const std::int64_t d = a.heads.width();
    const std::int64_t seen = a.seen(token);
    const float* p = of.probabilities + a.score(row, token, 0);
    const float* dy = of.dy + row.y(a.heads, token);
    float* ds = of.workspace + token * a.keys;
    team.each([&](int t) {
      float common = 0;
      for (std::int64_t s = t; s < seen; s += k_team) {
        const float dp = dot(dy, of.keys + a.key(row, s) + a.heads.channels, d);
        ds[s] = masked(a.mask, a.score(row, token, s), dp);
        common += p[s] * ds[s];
      }
      shared.sums[t] = common;
    });
    const float common = sum_of(team, shared.sums);
    team.each([&](int t) {
      for (std::int64_t s = t; s < seen; s += k_team) {
        ds[s] = p[s] * (ds[s] - common) * a.heads.scale();
      }
    });
    team.each([&](int t) {
      float* const dq = of.dqkv + row.qkv(a.heads, token);
      for (std::int64_t i = t; i < d; i += k_team) {
        float total = 0;
        for (std::int64_t s = 0; s < seen; ++s) total += ds[s] * of.keys[a.key(row, s) + i];
        dq[i] = total;
        if (!a.apart) continue;  // their gradients are in dkv
        dq[a.heads.channels + i] = 0;
        dq[2 * a.heads.channels + i] = 0;
      }
    });
  }
};

/// Index: key s of the head; dK and dV, from the workspace.
struct AttentionKeySlope {
  struct Shared {};
  AttentionSlope of;
  TIDEMARK_BODY void operator()(const Team& team, Shared&, std::int64_t s) const {
    const Attention& a = of.a;
    const HeadRow row(a.heads, of.first);
    const std::int64_t d = a.heads.width();
    const std::int64_t begin = s > a.position ? s - a.position : 0;
    float* const dk = of.dkeys + a.key(row, s);
    team.each([&](int t) {
      for (std::int64_t i = t; i < d; i += k_team) {
        float key = 0;
        float value = 0;
        for (std::int64_t token = begin; token < a.heads.tokens; ++token) {
          const std::int64_t element = a.score(row, token, s);
          key += of.workspace[token * a.keys + s] * of.qkv[row.qkv(a.heads, token) + i];
          value +=
              masked(a.mask, element, of.probabilities[element]) * of.dy[row.y(a.heads, token) + i];
        }
        dk[i] = key;
        dk[a.heads.channels + i] = value;
      }
    });
  }
};

}  // namespace tidemark::cuda
