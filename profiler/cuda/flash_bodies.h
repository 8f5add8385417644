// Causal attention by tiles, none of whose scores leave the team (Dao et al. 2022,
// "FlashAttention"), with the formulas of kernels/flash_attention.cpp. Read team.h first.
#pragma once

#include "profiler/cuda/attention_bodies.h"
#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// Queries, or keys, of a tile; each is a row of k_lanes threads, which share its numbers.
inline constexpr int k_tile = 32;
inline constexpr int k_lanes = k_team / k_tile;
/// Heads may be at most this wide.
inline constexpr int k_most_width = 256;

/// Rows of one head, of at most `Width` numbers, and 0 behind them.
template <int Width>
struct Tile {
  float rows[k_tile][Width + 1];  // + 1: rows of a column are in different banks

  /// `from`: of row t / k_lanes, null when there is none.
  TIDEMARK_BODY void load(int t, const float* from, std::int64_t width) {
    for (int d = t % k_lanes; d < Width; d += k_lanes) {
      rows[t / k_lanes][d] = from != nullptr && d < width ? from[d] : 0.0f;
    }
  }
  [[nodiscard]] TIDEMARK_BODY float dot(int row, const Tile& other, int other_row) const {
    float sum = 0;
    for (int d = 0; d < Width; ++d) sum += rows[row][d] * other.rows[other_row][d];
    return sum;
  }
};

/// A number for every pair of rows of two tiles.
struct Pairs {
  float of[k_tile][k_tile + 1];
};

/// What a thread keeps of its row: every k_lanes-th number.
template <int Width>
struct Lane {
  float sums[Width / k_lanes];

  TIDEMARK_BODY void clear() {
    for (float& sum : sums) sum = 0;
  }
  /// += the rows of the tile, each by its factor.
  TIDEMARK_BODY void add(int t, const Pairs& factors, const Tile<Width>& tile) {
    for (int row = 0; row < k_tile; ++row) {
      const float factor = factors.of[t / k_lanes][row];
      for (int i = 0; i < Width / k_lanes; ++i) {
        sums[i] += factor * tile.rows[row][t % k_lanes + i * k_lanes];
      }
    }
  }
  TIDEMARK_BODY void write(int t, float* to, std::int64_t width, float factor = 1) const {
    for (int i = 0; i < Width / k_lanes; ++i) {
      const int d = t % k_lanes + i * k_lanes;
      if (d < width) to[d] = sums[i] * factor;
    }
  }
};

/// First row of the tile of a team, when every head has `rows` of them.
TIDEMARK_BODY HeadRow first_of_tile(const Heads& heads, std::int64_t rows, std::int64_t index) {
  const std::int64_t tiles = (rows + k_tile - 1) / k_tile;
  const std::int64_t head = index / tiles;
  return {head / heads.count, head % heads.count, index % tiles * k_tile};
}

/// Tiles of all heads, when every head has `rows` rows.
TIDEMARK_BODY std::int64_t tiles_of(const Heads& heads, std::int64_t rows) {
  return heads.batch * heads.count * ((rows + k_tile - 1) / k_tile);
}

/// Index: tile of queries. The keys come tile by tile.
template <int Width>
struct FlashForward {
  struct Shared {
    Tile<Width> queries, others;  // keys, then values
    Pairs scores, kept;
    float sums[k_tile][k_lanes];
  };
  struct Row {
    float largest, sum, correction;
    Lane<Width> y;
  };
  Attention a;
  const float* qkv;
  const float* keys;  // qkv or kv
  float* y;
  float* log_sum_exp;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const Heads& heads = a.heads;
    const HeadRow head = first_of_tile(heads, heads.tokens, index);
    const std::int64_t width = heads.width();
    Own<Row> own;
    team.each([&](int t) {
      const std::int64_t token = head.t + t / k_lanes;
      const float* const query = token < heads.tokens ? qkv + head.qkv(heads, token) : nullptr;
      shared.queries.load(t, query, width);
      own[t].largest = -3.0e38f;
      own[t].sum = 0;
      own[t].y.clear();
    });
    for (std::int64_t begin = 0; begin < a.keys && begin < a.seen(head.t + k_tile - 1);
         begin += k_tile) {
      const auto key = [&](int t) {
        const std::int64_t s = begin + t / k_lanes;
        return s < a.keys ? keys + a.key(head, s) : nullptr;
      };
      team.each([&](int t) { shared.others.load(t, key(t), width); });
      team.each([&](int t) { score(shared, t, head.t, begin); });
      team.each([&](int t) {
        soften(shared, own[t], t, head, begin);
        shared.others.load(t, key(t) == nullptr ? nullptr : key(t) + heads.channels, width);
      });
      team.each([&](int t) {
        Row& row = own[t];
        row.sum *= row.correction;
        for (const float sum : shared.sums[t / k_lanes]) row.sum += sum;
        for (float& sum : row.y.sums) sum *= row.correction;
        row.y.add(t, shared.kept, shared.others);
      });
    }
    team.each([&](int t) {
      const std::int64_t token = head.t + t / k_lanes;
      if (token >= heads.tokens) return;
      own[t].y.write(t, y + head.y(heads, token), width, 1.0f / own[t].sum);
      if (t % k_lanes != 0) return;
      log_sum_exp[(head.b * heads.count + head.h) * heads.tokens + token] =
          own[t].largest + logf(own[t].sum);
    });
  }

 private:
  TIDEMARK_BODY void score(Shared& shared, int t, std::int64_t first, std::int64_t begin) const {
    const int row = t / k_lanes;
    for (int key = t % k_lanes; key < k_tile; key += k_lanes) {
      shared.scores.of[row][key] =
          begin + key < a.seen(first + row)
              ? shared.queries.dot(row, shared.others, key) * a.heads.scale()
              : -3.0e38f;
    }
  }

  /// Scores become probabilities but for their sum, and what is so far gets a correction.
  TIDEMARK_BODY void soften(Shared& shared, Row& own, int t, const HeadRow& head,
                            std::int64_t begin) const {
    const int row = t / k_lanes;
    const float before = own.largest;
    for (int key = 0; key < k_tile; ++key) {
      const float score = shared.scores.of[row][key];
      own.largest = score > own.largest ? score : own.largest;
    }
    own.correction = expf(before - own.largest);
    float sum = 0;
    for (int key = t % k_lanes; key < k_tile; key += k_lanes) {
      const float p = expf(shared.scores.of[row][key] - own.largest);
      sum += p;
      shared.kept.of[row][key] = masked(a.mask, a.score(head, head.t + row, begin + key), p);
    }
    shared.sums[row][t % k_lanes] = sum;
  }
};

/// What the two passes of the backward kernel share.
struct FlashSlope {
  Attention a;
  const float* dy;
  const float* qkv;
  const float* keys;  // qkv or kv
  const float* y;
  const float* log_sum_exp;
  float* dqkv;
  float* dkeys;  // dqkv or dkv

  /// Loads a query with its dy and this thread's part of the sum of y dy.
  template <class Shared>
  TIDEMARK_BODY void load_query(Shared& shared, int t, const HeadRow& head,
                                std::int64_t token) const {
    const bool is_there = token < a.heads.tokens;
    const float* const slope = is_there ? dy + head.y(a.heads, token) : nullptr;
    shared.queries.load(t, is_there ? qkv + head.qkv(a.heads, token) : nullptr, a.heads.width());
    shared.dy.load(t, slope, a.heads.width());
    float sum = 0;
    for (std::int64_t d = t % k_lanes; is_there && d < a.heads.width(); d += k_lanes) {
      sum += y[head.y(a.heads, token) + d] * slope[d];
    }
    shared.common[t / k_lanes][t % k_lanes] = sum;
  }
  template <class Shared>
  TIDEMARK_BODY void load_key(Shared& shared, int t, const HeadRow& head, std::int64_t s) const {
    const float* const key = s < a.keys ? keys + a.key(head, s) : nullptr;
    shared.keys.load(t, key, a.heads.width());
    shared.values.load(t, key == nullptr ? nullptr : key + a.heads.channels, a.heads.width());
  }
  struct Score {
    float kept, slope;  // the probability that dropout left, and the gradient of the score
  };
  /// `score` before its scale; dp: the gradient of the probability that dropout left.
  [[nodiscard]] TIDEMARK_BODY Score at(const HeadRow& head, std::int64_t query, std::int64_t key,
                                       float score, float dp, const float* common_parts) const {
    if (query >= a.heads.tokens || key >= a.seen(query)) return {0, 0};
    const Heads& heads = a.heads;
    float common = 0;
    for (int lane = 0; lane < k_lanes; ++lane) common += common_parts[lane];
    const float log = log_sum_exp[(head.b * heads.count + head.h) * heads.tokens + query];
    const float p = expf(score * heads.scale() - log);
    const std::int64_t element = a.score(head, query, key);
    return {masked(a.mask, element, p), p * (masked(a.mask, element, dp) - common) * heads.scale()};
  }
};

template <int Width>
struct FlashSlopeShared {
  Tile<Width> queries, dy, keys, values;
  Pairs slopes, kept;  // of rows of the team's own tile
  float common[k_tile][k_lanes];
};

/// Index: tile of queries.
template <int Width>
struct FlashQuerySlope {
  using Shared = FlashSlopeShared<Width>;
  FlashSlope of;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const Attention& a = of.a;
    const HeadRow head = first_of_tile(a.heads, a.heads.tokens, index);
    Own<Lane<Width>> dq;
    team.each([&](int t) {
      of.load_query(shared, t, head, head.t + t / k_lanes);
      dq[t].clear();
    });
    for (std::int64_t begin = 0; begin < a.keys && begin < a.seen(head.t + k_tile - 1);
         begin += k_tile) {
      team.each([&](int t) { of.load_key(shared, t, head, begin + t / k_lanes); });
      team.each([&](int t) {
        const int row = t / k_lanes;
        for (int key = t % k_lanes; key < k_tile; key += k_lanes) {
          const FlashSlope::Score score =
              of.at(head, head.t + row, begin + key, shared.queries.dot(row, shared.keys, key),
                    shared.dy.dot(row, shared.values, key), shared.common[row]);
          shared.slopes.of[row][key] = score.slope;
        }
      });
      team.each([&](int t) { dq[t].add(t, shared.slopes, shared.keys); });
    }
    team.each([&](int t) {
      const std::int64_t token = head.t + t / k_lanes;
      if (token >= a.heads.tokens) return;
      float* const to = of.dqkv + head.qkv(a.heads, token);
      dq[t].write(t, to, a.heads.width());
      if (!a.apart) return;  // the gradients of keys and values are in dkv
      for (std::int64_t d = t % k_lanes; d < a.heads.width(); d += k_lanes) {
        to[a.heads.channels + d] = 0;
        to[2 * a.heads.channels + d] = 0;
      }
    });
  }
};

/// Index: tile of keys. The queries that see them come tile by tile.
template <int Width>
struct FlashKeySlope {
  using Shared = FlashSlopeShared<Width>;
  FlashSlope of;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const Attention& a = of.a;
    const HeadRow head = first_of_tile(a.heads, a.keys, index);
    Own<Lane<Width>> dk;
    Own<Lane<Width>> dv;
    team.each([&](int t) {
      of.load_key(shared, t, head, head.t + t / k_lanes);
      dk[t].clear();
      dv[t].clear();
    });
    const std::int64_t before = head.t > a.position ? (head.t - a.position) / k_tile * k_tile : 0;
    for (std::int64_t begin = before; begin < a.heads.tokens; begin += k_tile) {
      team.each([&](int t) { of.load_query(shared, t, head, begin + t / k_lanes); });
      team.each([&](int t) {
        const int row = t / k_lanes;
        for (int query = t % k_lanes; query < k_tile; query += k_lanes) {
          const FlashSlope::Score score =
              of.at(head, begin + query, head.t + row, shared.queries.dot(query, shared.keys, row),
                    shared.dy.dot(query, shared.values, row), shared.common[query]);
          shared.slopes.of[row][query] = score.slope;
          shared.kept.of[row][query] = score.kept;
        }
      });
      team.each([&](int t) {
        dk[t].add(t, shared.slopes, shared.queries);
        dv[t].add(t, shared.kept, shared.dy);
      });
    }
    team.each([&](int t) {
      const std::int64_t s = head.t + t / k_lanes;
      if (s >= a.keys) return;
      float* const to = of.dkeys + a.key(head, s);
      dk[t].write(t, to, a.heads.width());
      dv[t].write(t, to + a.heads.channels, a.heads.width());
    });
  }
};

}  // namespace tidemark::cuda
