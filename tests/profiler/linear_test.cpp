#include "profiler/kernels/bfloat16.h"
#include "profiler/kernels/gemm.h"
#include "tests/catch.h"
#include "tests/profiler/op_case.h"

using namespace tidemark;
using namespace tidemark::test;

namespace {

constexpr std::int64_t M = 5, K = 7, N = 3;

OpCase forward_case(bool with_bias, DType dtype = DType::f64) {
  OpCase c(OpKind::linear_forward, dtype);
  c.reads("x", {M, K}, random_numbers(M * K, 1)).reads("w", {N, K}, random_numbers(N * K, 2));
  if (with_bias) c.reads("b", {N}, random_numbers(N, 3));
  c.writes("y", {M, N});
  return c;
}

Numbers naive_forward(OpCase c, bool with_bias) {
  const Numbers x = c.values("x"), w = c.values("w");
  Numbers y;
  for (std::size_t i = 0; i < M; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      double sum = with_bias ? c.values("b")[n] : 0;
      for (std::size_t k = 0; k < K; ++k) sum += x[i * K + k] * w[n * K + k];
      y.push_back(sum);
    }
  }
  return y;
}

}  // namespace

TEST_CASE("linear forward equals the naive product, with and without a bias") {
  for (const bool with_bias : {true, false}) {
    OpCase c = forward_case(with_bias);
    CHECK(relative_error(c.run().at("y"), naive_forward(c, with_bias)) < 1e-14);
    OpCase narrow = forward_case(with_bias, DType::f32);
    CHECK(relative_error(narrow.run().at("y"), naive_forward(c, with_bias)) < 1e-6);
  }
}

TEST_CASE("groups of rows are each multiplied by their own part of the weight") {
  constexpr std::int64_t E = 3;
  const Numbers x = random_numbers(E * M * K, 1), w = random_numbers(E * N * K, 2);
  OpCase forward(OpKind::linear_forward);
  forward.reads("x", {E, M, K}, x).reads("w", {E, N, K}, w).writes("y", {E, M, N});
  const auto part = [](const Numbers& all, std::int64_t group, std::int64_t count) {
    return Numbers(all.begin() + group * count, all.begin() + (group + 1) * count);
  };
  const Numbers y = forward.run().at("y");
  for (std::int64_t e = 0; e < E; ++e) {
    OpCase one = forward_case(false);
    one.values("x") = part(x, e, M * K);
    one.values("w") = part(w, e, N * K);
    CHECK(part(y, e, M * N) == one.run().at("y"));
  }
  const Numbers dy = random_numbers(E * M * N, 4);
  OpCase data(OpKind::linear_backward_data);
  data.reads("dy", {E, M, N}, dy).reads("w", {E, N, K}, w).writes("dx", {E, M, K});
  CHECK(relative_error(data.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);
  OpCase weight(OpKind::linear_backward_weight);
  weight.reads("dy", {E, M, N}, dy).reads("x", {E, M, K}, x);
  weight.updates("dw", {E, N, K}, w);
  const Numbers dw = finite_differences(forward, "w", "y", dy);
  CHECK(relative_error(weight.run().at("dw"), plus(dw, w)) < 1e-6);
}

TEST_CASE("rows that are no equal groups, and a bias of groups, are refused") {
  const auto error_of = [](OpCase c) { return op_error(c.trace(), c.trace().ops[0]); };
  OpCase uneven(OpKind::linear_forward);
  uneven.reads("x", {M, K}, random_numbers(M * K, 1));
  uneven.reads("w", {2, N, K}, random_numbers(2 * N * K, 2)).writes("y", {M, N});
  CHECK(error_of(uneven).find("rows in 2 equal groups") != std::string::npos);
  OpCase biased(OpKind::linear_forward);
  biased.reads("x", {2, M, K}, random_numbers(2 * M * K, 1));
  biased.reads("w", {2, N, K}, random_numbers(2 * N * K, 2)).reads("b", {N}, Numbers(N, 0));
  CHECK(error_of(biased.writes("y", {2, M, N})).find("b has no place") != std::string::npos);
  OpCase none(OpKind::linear_forward);
  none.reads("x", {0, K}, {}).reads("w", {0, N, K}, {}).writes("y", {0, N});
  CHECK(error_of(none).find("at least one group") != std::string::npos);
}

TEST_CASE("linear backward equals finite differences of x, w and b") {
  const Numbers dy = random_numbers(M * N, 4);
  const OpCase forward = forward_case(true);
  OpCase data(OpKind::linear_backward_data);
  data.reads("dy", {M, N}, dy).reads("w", {N, K}, random_numbers(N * K, 2)).writes("dx", {M, K});
  CHECK(relative_error(data.run().at("dx"), finite_differences(forward, "x", "y", dy)) < 1e-6);

  OpCase weight(OpKind::linear_backward_weight);
  weight.reads("dy", {M, N}, dy).reads("x", {M, K}, random_numbers(M * K, 1));
  weight.writes("dw", {N, K}).writes("db", {N});
  auto out = weight.run();
  CHECK(relative_error(out.at("dw"), finite_differences(forward, "w", "y", dy)) < 1e-6);
  CHECK(relative_error(out.at("db"), finite_differences(forward, "b", "y", dy)) < 1e-6);
}

TEST_CASE("linear backward adds to a gradient that it reads, also without db") {
  const Numbers before = random_numbers(N * K, 5);
  OpCase fresh(OpKind::linear_backward_weight);
  OpCase added(OpKind::linear_backward_weight);
  for (OpCase* c : {&fresh, &added}) {
    c->reads("dy", {M, N}, random_numbers(M * N, 4)).reads("x", {M, K}, random_numbers(M * K, 1));
  }
  fresh.writes("dw", {N, K});
  added.updates("dw", {N, K}, before).updates("db", {N}, {1, 2, 3});
  CHECK(relative_error(added.run().at("dw"), plus(fresh.run().at("dw"), before)) < 1e-14);
}

namespace {

OpCase weight_case(const Numbers& dy, const Numbers& x, bool narrow) {
  OpCase c(OpKind::linear_backward_weight, DType::f32);
  c.reads("dy", {M, N}, dy).reads("x", {M, K}, x);
  c.updates("dw", {N, K}, random_numbers(N * K, 5)).writes("db", {N});
  if (narrow) c.writes("bf16_factors", {M * N + M * K});
  return c;
}

OpCase data_case(const Numbers& dy, const Numbers& w, bool narrow) {
  OpCase c(OpKind::linear_backward_data, DType::f32);
  c.reads("dy", {M, N}, dy).reads("w", {N, K}, w).writes("dx", {M, K});
  if (narrow) c.writes("bf16_factors", {M * N + N * K});
  return c;
}

}  // namespace

TEST_CASE("with bf16_factors a linear op is that of the rounded factors, b and db stay f32") {
  if (!kernels::bfloat16_error().empty()) {
    WARN("skipped: " << kernels::bfloat16_error());
    return;
  }
  OpCase narrow = forward_case(true, DType::f32);
  narrow.writes("bf16_factors", {M * K + N * K});
  OpCase wide = forward_case(true, DType::f32);
  for (const char* role : {"x", "w"}) wide.values(role) = rounded(wide.values(role));
  CHECK(relative_error(narrow.run().at("y"), wide.run().at("y")) < 1e-6);
  CHECK(relative_error(narrow.run().at("y"), forward_case(true).run().at("y")) > 1e-5);

  const Numbers dy = random_numbers(M * N, 4), x = random_numbers(M * K, 1);
  const Numbers w = random_numbers(N * K, 2);
  CHECK(relative_error(data_case(dy, w, true).run().at("dx"),
                       data_case(rounded(dy), rounded(w), false).run().at("dx")) < 1e-6);
  auto got = weight_case(dy, x, true).run();
  CHECK(relative_error(got.at("dw"), weight_case(rounded(dy), rounded(x), false).run().at("dw")) <
        1e-6);
  CHECK(got.at("db") == weight_case(dy, x, false).run().at("db"));
  CHECK(weight_case(dy, x, true).run(0, 4).at("dw") == got.at("dw"));
}

TEST_CASE("factors that come in bf16 give the bits of those that the op rounds") {
  if (!kernels::bfloat16_error().empty()) {
    WARN("skipped: " << kernels::bfloat16_error());
    return;
  }
  const Numbers x = random_numbers(M * K, 1), w = random_numbers(N * K, 2);
  const Numbers dy = random_numbers(M * N, 4);
  OpCase forward(OpKind::linear_forward, DType::f32);
  forward.reads("x", {M, K}, x)
      .in_bf16()
      .reads("w", {N, K}, w)
      .reads("b", {N}, random_numbers(N, 3));
  forward.writes("y", {M, N}).writes("bf16_factors", {N * K});
  OpCase rounds = forward_case(true, DType::f32);
  rounds.writes("bf16_factors", {M * K + N * K});
  CHECK(forward.run().at("y") == rounds.run().at("y"));

  OpCase data(OpKind::linear_backward_data, DType::f32);
  data.reads("dy", {M, N}, dy).in_bf16().reads("w", {N, K}, w).writes("dx", {M, K});
  data.writes("bf16_factors", {N * K});
  CHECK(data.run().at("dx") == data_case(dy, w, true).run().at("dx"));

  // dy and x in bf16: nothing is left to round. db is the sum of what came.
  OpCase weight(OpKind::linear_backward_weight, DType::f32);
  weight.reads("dy", {M, N}, dy).in_bf16().reads("x", {M, K}, x).in_bf16();
  weight.updates("dw", {N, K}, random_numbers(N * K, 5)).writes("db", {N});
  CHECK(weight.run().at("dw") == weight_case(dy, x, true).run().at("dw"));
  CHECK(weight.run().at("db") == weight_case(rounded(dy), x, false).run().at("db"));

  // dy rounded once, for the op that comes after.
  OpCase shares(OpKind::linear_backward_weight, DType::f32);
  shares.reads("dy", {M, N}, dy).reads("x", {M, K}, x);
  shares.updates("dw", {N, K}, random_numbers(N * K, 5)).writes("db", {N});
  shares.writes("bf16_dy", {M, N}).writes("bf16_factors", {M * K});
  auto got = shares.run();
  CHECK(got.at("bf16_dy") == rounded(dy));
  CHECK(got.at("dw") == weight_case(dy, x, true).run().at("dw"));
  CHECK(got.at("db") == weight_case(dy, x, false).run().at("db"));
}

TEST_CASE("bf16_factors must be bf16, as large as both factors, and of an f32 op") {
  const auto error_of = [](OpCase c) {
    return op_error(c.trace(), c.trace().ops[0]) + kernel_error(c.trace(), c.trace().ops[0]);
  };
  OpCase small = forward_case(true, DType::f32);
  small.writes("bf16_factors", {M * K + N * K - 1});
  CHECK(error_of(small).find("expected 56 elements") != std::string::npos);
  OpCase wide = forward_case(true);
  wide.writes("bf16_factors", {M * K + N * K});
  CHECK(error_of(wide).find("expected f32") != std::string::npos);
  OpCase absent(OpKind::linear_forward, DType::f32);
  absent.reads("x", {M, K}, random_numbers(M * K, 1)).in_bf16();
  absent.reads("w", {N, K}, random_numbers(N * K, 2)).writes("y", {M, N});
  CHECK(error_of(absent).find("'bf16_factors' of 21 elements") != std::string::npos);
  OpCase other(OpKind::linear_backward_weight, DType::f32);
  other.reads("dy", {M, N}, random_numbers(M * N, 4)).reads("x", {M, K}, random_numbers(M * K, 1));
  other.writes("dw", {N, K}).writes("bf16_dy", {M, N + 1}).writes("bf16_factors", {M * K});
  CHECK(error_of(other).find("expected 15 elements") != std::string::npos);
  OpCase wrong = forward_case(true, DType::f32);
  wrong.writes("bf16_factors", {M * K + N * K});
  wrong.trace().buffers.back().dtype = DType::f32;
  wrong.trace().buffers.back().size_bytes *= 2;
  CHECK(error_of(wrong).find("expected bf16") != std::string::npos);
}

TEST_CASE("a bias is added to every row, in place") {
  OpCase c(OpKind::add_bias);
  c.updates("y", {2, 3}, {1, 2, 3, 4, 5, 6}).reads("b", {3}, {10, 20, 30});
  CHECK(c.run().at("y") == Numbers{11, 22, 33, 14, 25, 36});
}
