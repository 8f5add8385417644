// Sums over the rows and columns of matrices, a team for each row or for some columns: norms with
// the formulas of kernels/layer_norm.cpp and rms_norm.cpp, gradients of biases, cross entropy, the
// norm of gradients. Read team.h first.
#pragma once

#include "profiler/cuda/team.h"

namespace tidemark::cuda {

/// Two sums that are made together.
struct Two {
  float a, b;
  friend TIDEMARK_BODY Two operator+(const Two& x, const Two& y) { return {x.a + y.a, x.b + y.b}; }
};

/// Sum of term(column) over a row; `sums` is shared memory.
template <class T, class Term>
TIDEMARK_BODY T row_sum(const Team& team, T* sums, std::int64_t columns, const Term& term) {
  team.each([&](int t) {
    T sum{};
    for (std::int64_t c = t; c < columns; c += k_team) sum = sum + term(c);
    sums[t] = sum;
  });
  return sum_of(team, sums);
}

/// Columns of a team, whose threads share the rows of each.
inline constexpr int k_columns = 8;

TIDEMARK_BODY std::int64_t column_groups(std::int64_t columns) {
  return (columns + k_columns - 1) / k_columns;
}

/// use(column, sum of term(row, column) over all rows) for the columns of a group; `sums` is
/// shared memory.
template <class T, class Term, class Use>
TIDEMARK_BODY void column_sums(const Team& team, T* sums, std::int64_t rows, std::int64_t columns,
                               std::int64_t group, const Term& term, const Use& use) {
  const std::int64_t first = group * k_columns;
  team.each([&](int t) {
    const std::int64_t c = first + t % k_columns;
    T sum{};
    for (std::int64_t i = t / k_columns; c < columns && i < rows; i += k_team / k_columns) {
      sum = sum + term(i, c);
    }
    sums[t] = sum;
  });
  merge_to(team, sums, k_columns, [](const T& a, const T& b) { return a + b; });
  team.each([&](int t) {
    if (t < k_columns && first + t < columns) use(first + t, sums[t]);
  });
}

/// Index: group of columns of dy[M,N].
template <class Y>
struct ColumnSums {
  struct Shared {
    float sums[k_team];
  };
  const Y* dy;
  float* sums;
  std::int64_t rows, columns;
  bool accumulates;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t group) const {
    column_sums(
        team, shared.sums, rows, columns, group,
        [&](std::int64_t i, std::int64_t c) { return to_float(dy[i * columns + c]); },
        [&](std::int64_t c, float sum) { sums[c] = accumulates ? sums[c] + sum : sum; });
  }
};
template <class Y>
ColumnSums(const Y*, float*, std::int64_t, std::int64_t, bool) -> ColumnSums<Y>;

/// Index: row of x[M,C].
template <class Y>
struct LayerNorm {
  struct Shared {
    float sums[k_team];
  };
  const float* x;
  const float* w;
  const float* b;
  Y* y;
  float* mean;
  float* inverse_deviation;
  std::int64_t channels;
  float epsilon;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t i) const {
    const float* row = x + i * channels;
    const auto n = static_cast<float>(channels);
    const float m =
        row_sum(team, shared.sums, channels, [&](std::int64_t c) { return row[c]; }) / n;
    const float squares = row_sum(team, shared.sums, channels,
                                  [&](std::int64_t c) { return (row[c] - m) * (row[c] - m); });
    const float s = 1.0f / sqrtf(squares / n + epsilon);
    team.each([&](int t) {
      for (std::int64_t c = t; c < channels; c += k_team) {
        store(y + i * channels + c, (row[c] - m) * s * w[c] + b[c]);
      }
      if (t != 0) return;
      mean[i] = m;
      inverse_deviation[i] = s;
    });
  }
};
template <class Y>
LayerNorm(const float*, const float*, const float*, Y*, float*, float*, std::int64_t, float)
    -> LayerNorm<Y>;

/// Index: row.
struct LayerNormSlope {
  struct Shared {
    Two sums[k_team];
  };
  const float* dy;
  const float* x;
  const float* w;
  const float* mean;
  const float* inverse_deviation;
  const float* residual;  // null: none
  float* dx;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t i) const {
    const std::int64_t at = i * channels;
    const float m = mean[i];
    const float s = inverse_deviation[i];
    const Two sums = row_sum(team, shared.sums, channels, [&](std::int64_t c) {
      const float g = dy[at + c] * w[c];
      return Two{g, g * (x[at + c] - m)};
    });
    const auto n = static_cast<float>(channels);
    const float mean_g = sums.a / n;
    const float mean_gn = sums.b / n * s;
    team.each([&](int t) {
      for (std::int64_t c = t; c < channels; c += k_team) {
        const float slope = s * (dy[at + c] * w[c] - mean_g - (x[at + c] - m) * s * mean_gn);
        dx[at + c] = slope + (residual == nullptr ? 0.0f : residual[at + c]);
      }
    });
  }
};

/// Index: group of channels.
struct LayerNormWeightSlope {
  struct Shared {
    Two sums[k_team];
  };
  const float* dy;
  const float* x;
  const float* mean;
  const float* inverse_deviation;
  float* dw;
  float* db;
  std::int64_t rows, channels;
  bool adds_dw, adds_db;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t group) const {
    column_sums(
        team, shared.sums, rows, channels, group,
        [&](std::int64_t i, std::int64_t c) {
          const float slope = dy[i * channels + c];
          return Two{slope * ((x[i * channels + c] - mean[i]) * inverse_deviation[i]), slope};
        },
        [&](std::int64_t c, const Two& sum) {
          dw[c] = adds_dw ? dw[c] + sum.a : sum.a;
          db[c] = adds_db ? db[c] + sum.b : sum.b;
        });
  }
};

/// Index: row of x[M,C].
template <class Y>
struct RmsNorm {
  struct Shared {
    float sums[k_team];
  };
  const float* x;
  const float* w;
  Y* y;
  float* inverse_rms;
  std::int64_t channels;
  float epsilon;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t i) const {
    const float* row = x + i * channels;
    const float squares =
        row_sum(team, shared.sums, channels, [&](std::int64_t c) { return row[c] * row[c]; });
    const float r = 1.0f / sqrtf(squares / static_cast<float>(channels) + epsilon);
    team.each([&](int t) {
      for (std::int64_t c = t; c < channels; c += k_team) {
        store(y + i * channels + c, row[c] * r * w[c]);
      }
      if (t == 0) inverse_rms[i] = r;
    });
  }
};
template <class Y>
RmsNorm(const float*, const float*, Y*, float*, std::int64_t, float) -> RmsNorm<Y>;

/// Index: row.
struct RmsNormSlope {
  struct Shared {
    float sums[k_team];
  };
  const float* dy;
  const float* x;
  const float* w;
  const float* inverse_rms;
  const float* residual;  // null: none
  float* dx;
  std::int64_t channels;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t i) const {
    const std::int64_t at = i * channels;
    const float r = inverse_rms[i];
    const float sum = row_sum(team, shared.sums, channels,
                              [&](std::int64_t c) { return dy[at + c] * w[c] * x[at + c]; });
    const float mean = sum / static_cast<float>(channels) * r;
    team.each([&](int t) {
      for (std::int64_t c = t; c < channels; c += k_team) {
        const float slope = r * (dy[at + c] * w[c] - x[at + c] * r * mean);
        dx[at + c] = slope + (residual == nullptr ? 0.0f : residual[at + c]);
      }
    });
  }
};

/// Index: group of channels.
struct RmsNormWeightSlope {
  struct Shared {
    float sums[k_team];
  };
  const float* dy;
  const float* x;
  const float* inverse_rms;
  float* dw;
  std::int64_t rows, channels;
  bool adds;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t group) const {
    column_sums(
        team, shared.sums, rows, channels, group,
        [&](std::int64_t i, std::int64_t c) {
          return dy[i * channels + c] * (x[i * channels + c] * inverse_rms[i]);
        },
        [&](std::int64_t c, float sum) { dw[c] = adds ? dw[c] + sum : sum; });
  }
};

/// Index: row of logits[M,V], which is read once.
struct LogSumExp {
  struct Part {
    float largest, sum;  // of exp(logit - largest)
  };
  struct Shared {
    Part parts[k_team];
  };
  const float* logits;
  float* log_sum_exp;
  std::int64_t classes;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t i) const {
    const float* row = logits + i * classes;
    team.each([&](int t) {
      Part part{-3.0e38f, 0};
      for (std::int64_t v = t; v < classes; v += k_team) {
        part = both(part, {row[v], 1});
      }
      shared.parts[t] = part;
    });
    const Part all =
        merged(team, shared.parts, [](const Part& a, const Part& b) { return both(a, b); });
    team.each([&](int t) {
      if (t == 0) log_sum_exp[i] = all.largest + logf(all.sum);
    });
  }

 private:
  TIDEMARK_BODY static Part both(const Part& a, const Part& b) {
    if (b.largest > a.largest) return {b.largest, b.sum + a.sum * expf(a.largest - b.largest)};
    return {a.largest, a.sum + b.sum * expf(b.largest - a.largest)};
  }
};

/// One team: the mean loss of all rows, times a scale.
struct MeanLoss {
  struct Shared {
    double sums[k_team];
  };
  const float* logits;
  const std::int32_t* target;
  const float* log_sum_exp;
  float* loss;
  std::int64_t rows, classes;
  double scale;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t) const {
    const double total = row_sum(team, shared.sums, rows, [&](std::int64_t i) {
      return static_cast<double>(log_sum_exp[i] - logits[i * classes + target[i]]);
    });
    team.each([&](int t) {
      if (t == 0) *loss = static_cast<float>(total / static_cast<double>(rows) * scale);
    });
  }
};

/// Index: part. Sum of the squares of every k_partials-th piece of k_team elements.
struct SquareParts {
  struct Shared {
    double sums[k_team];
  };
  const float* x;
  std::int64_t count;
  double* parts;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t part) const {
    team.each([&](int t) {
      double sum = 0;
      for (std::int64_t i = part * k_team + t; i < count; i += k_partials * k_team) {
        sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      shared.sums[t] = sum;
    });
    const double sum = sum_of(team, shared.sums);
    team.each([&](int t) {
      if (t == 0) parts[part] = sum;
    });
  }
};

/// One team: sum[0] (+)= the parts.
struct TotalOfParts {
  struct Shared {
    double sums[k_team];
  };
  const double* parts;
  float* sum;
  bool accumulates;
  TIDEMARK_BODY void operator()(const Team& team, Shared& shared, std::int64_t) const {
    const double total =
        row_sum(team, shared.sums, k_partials, [&](std::int64_t i) { return parts[i]; });
    team.each([&](int t) {
      if (t != 0) return;
      *sum = static_cast<float>((accumulates ? static_cast<double>(*sum) : 0.0) + total);
    });
  }
};

}  // namespace tidemark::cuda
