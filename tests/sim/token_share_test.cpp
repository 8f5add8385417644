#include "sim/token_share.h"

#include "../catch.h"
#include "sim/program_builder.h"
#include "traces/error.h"

using namespace tidemark;

namespace {

/// Every token of the grid, by its place in order.
std::vector<std::int64_t> rows_of(const TokenShare& share) {
  std::vector<std::int64_t> out;
  for (std::int64_t b = 0; b < share.part.sequences; ++b) {
    for (std::int64_t t = 0; t < share.part.tokens; ++t) {
      out.push_back((share.sequence + b) * share.whole.tokens + share.position + t);
    }
  }
  return out;
}

/// A dropout of [B,T,columns] written for the share.
Op dropout_of(const TokenShare& share, std::int64_t columns) {
  Trace before;
  Buffer x;
  x.shape = {share.whole.sequences, share.whole.tokens, columns};
  before.buffers.push_back(x);
  Op op;
  op.kind = OpKind::dropout_forward;
  op.operands.push_back({"x", BufferId{0}, 0, -1});
  before.ops.push_back(op);
  op.origin = OpId{0};
  set_share(op, before, share);
  return op;
}

/// Number of element i in the mask of the whole, as dropout_mask.h says.
std::int64_t number_of(const Op& op, std::int64_t i) {
  const std::int64_t j = integer_at(op, "first", 0) + i;
  const std::int64_t run = integer_at(op, "run", 0);
  return run == 0 ? j
                  : integer_at(op, "offset", 0) + j / run * integer_at(op, "stride", 0) + j % run;
}

}  // namespace

TEST_CASE("shares of rows are whole sequences or parts of one, together everything in order") {
  for (const auto& [grid, count] : {std::pair{TokenGrid{4, 6}, 2},
                                    {TokenGrid{4, 6}, 4},
                                    {TokenGrid{2, 6}, 4},
                                    {TokenGrid{1, 6}, 3}}) {
    CAPTURE(grid.sequences, grid.tokens, count);
    std::vector<std::int64_t> all;
    for (std::int32_t index = 0; index < count; ++index) {
      const std::vector<std::int64_t> rows = rows_of(share_of_rows(grid, index, count));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    REQUIRE(std::ssize(all) == grid.rows());
    for (std::int64_t row = 0; row < grid.rows(); ++row) {
      CHECK(all[static_cast<std::size_t>(row)] == row);
    }
  }
  CHECK_THROWS_WITH(share_of_rows({1, 6}, 0, 4), Catch::Contains("1 of 6 tokens"));
  CHECK_THROWS_AS(share_of_rows({3, 6}, 0, 2), InputError);  // one and a half sequences
  CHECK_THROWS_AS(share_of_rows({1, 2}, 0, 4), InputError);
}

TEST_CASE(
    "the mask of a share is that of the whole: rows behind each other, and of each sequence") {
  const TokenShare behind = share_of_rows({2, 6}, 3, 4);
  const TokenShare of_each{.whole = {2, 6}, .part = {2, 3}, .position = 3};
  for (const TokenShare& share : {behind, of_each}) {
    const Op op = dropout_of(share, 5);
    const std::vector<std::int64_t> rows = rows_of(share);
    for (std::int64_t i = 0; i < std::ssize(rows) * 5; ++i) {
      CHECK(number_of(op, i) == rows[static_cast<std::size_t>(i / 5)] * 5 + i % 5);
    }
  }
}

TEST_CASE("a share of a share has the mask of the whole, too") {
  const TokenShare outer{.whole = {2, 6}, .part = {2, 3}, .position = 3};
  Op op = dropout_of(outer, 5);
  Trace before;
  Buffer x;
  x.shape = {2, 3, 5};
  before.buffers.push_back(x);
  before.ops.push_back(op);
  op.origin = OpId{0};
  const TokenShare inner = share_of_rows({2, 3}, 1, 2);  // the second sequence
  set_share(op, before, inner);
  const std::vector<std::int64_t> rows = rows_of(outer);
  for (std::int64_t i = 0; i < inner.part.rows() * 5; ++i) {
    const auto row = static_cast<std::size_t>(inner.part.rows() + i / 5);
    CHECK(number_of(op, i) == rows[row] * 5 + i % 5);
  }
}

TEST_CASE("what is loaded, looked up and reckoned of a share are its own") {
  const TokenShare share = share_of_rows({2, 6}, 3, 4);  // the second half of the second sequence
  Op load;
  load.kind = OpKind::load_batch;
  load.attributes = {per_step("cursor", 4, 2)};
  set_share(load, {}, share);
  CHECK(integer_at(load, "cursor", 1) == 4 + 2 + 1);
  CHECK(integer_at(load, "width", 0) == 6);
  CHECK(integer_at(load, "position", 0) == 3);

  Op embedding;
  embedding.kind = OpKind::embedding_backward;
  set_share(embedding, {}, share);
  CHECK(integer_at(embedding, "position", 0) == 3);

  Op loss;
  loss.kind = OpKind::softmax_cross_entropy_forward;
  set_share(loss, {}, share);
  CHECK(real_of(loss, "scale") == 0.25);
  loss.kind = OpKind::softmax_cross_entropy_backward;
  set_share(loss, {}, share);
  CHECK(real_of(loss, "scale") == 0.0625);
}

TEST_CASE("buffers of tokens have the rows of the share, others are refused") {
  const TokenShare share = share_of_rows({2, 6}, 3, 4);
  Buffer buffer;
  buffer.shape = {2, 6, 5};
  CHECK(share_shape(buffer, share) == std::vector<std::int64_t>{1, 3, 5});
  buffer.shape = {12};
  CHECK(share_shape(buffer, share) == std::vector<std::int64_t>{3});
  buffer.shape = {5, 5};
  CHECK_THROWS_WITH(share_shape(buffer, share), Catch::Contains("2 x 6 tokens"));
}
