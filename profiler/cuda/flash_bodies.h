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

/// The tiles of all heads. A team has one of them.
struct Tiles {
  Heads heads;
  [[nodiscard]] TIDEMARK_BODY std::int64_t of_head() const {
    return (heads.tokens + k_tile - 1) / k_tile;
  }
  [[nodiscard]] TIDEMARK_BODY std::int64_t count() const {
    return heads.batch * heads.count * of_head();
  }
  /// First row of the tile of a team.
  [[nodiscard]] TIDEMARK_BODY HeadRow first(std::int64_t index) const {
    return {heads, index / of_head() * heads.tokens + index % of_head() * k_tile};
  }
  /// Row of [B,T,3C] or [B,T,C] at `from`; null beyond the last token.
  [[nodiscard]] TIDEMARK_BODY const float* qkv(const HeadRow& head, const float* from,
                                               std::int64_t token) const {
    return token < heads.tokens ? from + head.qkv(heads, token) : nullptr;
  }
  [[nodiscard]] TIDEMARK_BODY const float* y(const HeadRow& head, const float* from,
                                             std::int64_t token) const {
    return token < heads.tokens ? from + head.y(heads, token) : nullptr;
  }
};

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
  Tiles tiles;
  Mask mask;
  const float* qkv;
  float* y;
  float* log_sum_exp;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const HeadRow head = tiles.first(index);
    const Heads& heads = tiles.heads;
    const float* const keys = qkv + heads.channels;
    const float* const values = keys + heads.channels;
    Own<Row> own;
    team.each([&](int t) {
      shared.queries.load(t, tiles.qkv(head, qkv, head.t + t / k_lanes), heads.width());
      own[t].largest = -3.0e38f;
      own[t].sum = 0;
      own[t].y.clear();
    });
    for (std::int64_t begin = 0; begin <= head.t; begin += k_tile) {
      team.each([&](int t) {
        shared.others.load(t, tiles.qkv(head, keys, begin + t / k_lanes), heads.width());
      });
      team.each([&](int t) { score(shared, t, head.t + t / k_lanes, begin); });
      team.each([&](int t) {
        soften(shared, own[t], t, head, begin);
        shared.others.load(t, tiles.qkv(head, values, begin + t / k_lanes), heads.width());
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
      own[t].y.write(t, y + head.y(heads, token), heads.width(), 1.0f / own[t].sum);
      if (t % k_lanes != 0) return;
      log_sum_exp[(head.b * heads.count + head.h) * heads.tokens + token] =
          own[t].largest + logf(own[t].sum);
    });
  }

 private:
  TIDEMARK_BODY void score(Shared& shared, int t, std::int64_t token, std::int64_t begin) const {
    const int row = t / k_lanes;
    for (int key = t % k_lanes; key < k_tile; key += k_lanes) {
      shared.scores.of[row][key] =
          begin + key <= token ? shared.queries.dot(row, shared.others, key) * tiles.heads.scale()
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
      shared.kept.of[row][key] =
          masked(mask, head.score(tiles.heads, head.t + row, begin + key), p);
    }
    shared.sums[row][t % k_lanes] = sum;
  }
};

/// What the two passes of the backward kernel share.
struct FlashSlope {
  Tiles tiles;
  Mask mask;
  const float* dy;
  const float* qkv;
  const float* y;
  const float* log_sum_exp;
  float* dqkv;

  /// This thread's part of the sum of y dy of a query.
  [[nodiscard]] TIDEMARK_BODY float common_part(const HeadRow& head, int t,
                                                std::int64_t token) const {
    const float* const from = tiles.y(head, y, token);
    float sum = 0;
    for (std::int64_t d = t % k_lanes; from != nullptr && d < tiles.heads.width(); d += k_lanes) {
      sum += from[d] * dy[head.y(tiles.heads, token) + d];
    }
    return sum;
  }
  struct Score {
    float kept, slope;  // the probability that dropout left, and the gradient of the score
  };
  /// `score` before its scale; dp: the gradient of the probability that dropout left.
  [[nodiscard]] TIDEMARK_BODY Score at(const HeadRow& head, std::int64_t query, std::int64_t key,
                                       float score, float dp, const float* common_parts) const {
    if (key > query || query >= tiles.heads.tokens) return {0, 0};
    const Heads& heads = tiles.heads;
    float common = 0;
    for (int lane = 0; lane < k_lanes; ++lane) common += common_parts[lane];
    const float log = log_sum_exp[(head.b * heads.count + head.h) * heads.tokens + query];
    const float p = expf(score * heads.scale() - log);
    const std::int64_t element = head.score(heads, query, key);
    return {masked(mask, element, p), p * (masked(mask, element, dp) - common) * heads.scale()};
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
    const HeadRow head = of.tiles.first(index);
    const Heads& heads = of.tiles.heads;
    const std::int64_t width = heads.width();
    Own<Lane<Width>> dq;
    team.each([&](int t) {
      const std::int64_t token = head.t + t / k_lanes;
      shared.queries.load(t, of.tiles.qkv(head, of.qkv, token), width);
      shared.dy.load(t, of.tiles.y(head, of.dy, token), width);
      shared.common[t / k_lanes][t % k_lanes] = of.common_part(head, t, token);
      dq[t].clear();
    });
    for (std::int64_t begin = 0; begin <= head.t; begin += k_tile) {
      team.each([&](int t) {
        const float* const key = of.tiles.qkv(head, of.qkv + heads.channels, begin + t / k_lanes);
        shared.keys.load(t, key, width);
        shared.values.load(t, key == nullptr ? nullptr : key + heads.channels, width);
      });
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
      if (token < heads.tokens) dq[t].write(t, of.dqkv + head.qkv(heads, token), width);
    });
  }
};

/// Index: tile of keys. The queries that see them come tile by tile.
template <int Width>
struct FlashKeySlope {
  using Shared = FlashSlopeShared<Width>;
  FlashSlope of;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t index) const {
    const HeadRow head = of.tiles.first(index);
    const Heads& heads = of.tiles.heads;
    const std::int64_t width = heads.width();
    Own<Lane<Width>> dk;
    Own<Lane<Width>> dv;
    team.each([&](int t) {
      const float* const key = of.tiles.qkv(head, of.qkv + heads.channels, head.t + t / k_lanes);
      shared.keys.load(t, key, width);
      shared.values.load(t, key == nullptr ? nullptr : key + heads.channels, width);
      dk[t].clear();
      dv[t].clear();
    });
    for (std::int64_t begin = head.t; begin < heads.tokens; begin += k_tile) {
      team.each([&](int t) {
        const std::int64_t token = begin + t / k_lanes;
        shared.queries.load(t, of.tiles.qkv(head, of.qkv, token), width);
        shared.dy.load(t, of.tiles.y(head, of.dy, token), width);
        shared.common[t / k_lanes][t % k_lanes] = of.common_part(head, t, token);
      });
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
      const std::int64_t token = head.t + t / k_lanes;
      if (token >= heads.tokens) return;
      float* const to = of.dqkv + head.qkv(heads, token) + heads.channels;
      dk[t].write(t, to, width);
      dv[t].write(t, to + heads.channels, width);
    });
  }
};

}  // namespace tidemark::cuda
