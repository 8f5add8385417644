// A rank's share of the tokens of a micro-batch: which ops of a decoder work on each token by
// itself, and how such an op is written for the share.
#pragma once

#include <cstdint>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// B sequences of T tokens.
struct TokenGrid {
  std::int64_t sequences = 0;
  std::int64_t tokens = 0;
  [[nodiscard]] std::int64_t rows() const { return sequences * tokens; }
  bool operator==(const TokenGrid&) const = default;
};

/// Tokens [position, position + part.tokens) of sequences [sequence, sequence + part.sequences).
struct TokenShare {
  TokenGrid whole;
  TokenGrid part;
  std::int64_t sequence = 0;
  std::int64_t position = 0;
};

/// The grid of the tokens that the step loads. Throws InputError when it loads something else, or
/// micro-batches that differ in it.
[[nodiscard]] TokenGrid token_grid_of(const Trace& source);

/// Part `index` of `count` equal parts of all rows, in order: whole sequences, or a part of one.
/// Throws InputError when there are no such parts.
[[nodiscard]] TokenShare share_of_rows(const TokenGrid& grid, std::int32_t index,
                                       std::int32_t count);

/// Norms, residual sums, dropout, embeddings, linear layers, the loss, and what loads the tokens.
[[nodiscard]] bool works_by_token(OpKind kind);

/// What else stands in a decoder's block: attention, rotary embedding and nonlinearities.
[[nodiscard]] bool works_in_block(OpKind kind);
[[nodiscard]] bool is_attention(OpKind kind);

/// True when that operand of an op of either has a row for every token: no weights, gradients of
/// them, losses, scores of attention and scratch.
[[nodiscard]] bool has_row_per_token(const Op& op, const Operand& operand);

/// The shape of a buffer [B,T,...] or [B T,...] with the rows of the share. Throws InputError when
/// it is neither.
[[nodiscard]] std::vector<std::int64_t> share_shape(const Buffer& buffer, const TokenShare& share);

/// Makes `op`, which works on all tokens in `before` and is for a share now, load the tokens, know
/// the positions, draw the masks and take the part of the mean loss that are its own.
void set_share(Op& op, const Trace& before, const TokenShare& share);

}  // namespace tidemark
