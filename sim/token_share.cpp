#include "sim/token_share.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "sim/op_table.h"
#include "sim/program_builder.h"
#include "traces/error.h"

namespace tidemark {
namespace {

[[noreturn]] void refuse(const std::string& place, const std::string& expected,
                         const std::string& found) {
  throw InputError(InputError::Parts{.place = place, .expected = expected, .found = found});
}

void add_to(Op& op, const std::string& name, std::int64_t more) {
  const auto found = std::ranges::find(op.attributes, name, &Attribute::name);
  if (found != op.attributes.end()) {
    found->integer += more;
  } else if (more != 0) {
    op.attributes.push_back(integer(name, more));
  }
}

void set_loaded(Op& op, const TokenShare& share) {
  add_to(op, "cursor", share.sequence);
  if (share.part.tokens == share.whole.tokens) return;
  if (find_attribute(op, "width") == nullptr) {
    op.attributes.push_back(integer("width", share.whole.tokens));
    op.attributes.push_back(integer("position", 0));
  }
  add_to(op, "position", share.position);
}

/// `columns`: numbers per token.
void set_mask(Op& op, const TokenShare& share, std::int64_t columns) {
  const auto& [whole, part, sequence, position] = share;
  if (part.tokens == whole.tokens || part.sequences == 1) {  // rows behind each other
    return add_to(op, "first", (sequence * whole.tokens + position) * columns);
  }
  for (const char* name : {"first", "run"}) {
    if (integer_at(op, name, 0) == 0) continue;
    refuse("op '" + op.name + "'", "a mask that was not split before", name);
  }
  op.attributes.push_back(integer("run", part.tokens * columns));
  op.attributes.push_back(integer("stride", whole.tokens * columns));
  op.attributes.push_back(integer("offset", position * columns));
}

/// Scores are [B,H,T,T]: a share has some rows of each head.
void set_score_mask(Op& op, const TokenShare& share) {
  if (real_of(op, "probability") <= 0) return;
  op.attributes.push_back(integer("run", share.part.tokens * share.whole.tokens));
  op.attributes.push_back(integer("stride", share.whole.tokens * share.whole.tokens));
  op.attributes.push_back(integer("offset", share.position * share.whole.tokens));
}

/// A mean over fewer rows counts as much less.
void set_scale(Op& op, const TokenShare& share) {
  const double part =
      static_cast<double>(share.part.rows()) / static_cast<double>(share.whole.rows());
  const auto found = std::ranges::find(op.attributes, "scale", &Attribute::name);
  if (found != op.attributes.end()) {
    found->real *= part;
  } else {
    op.attributes.push_back(real("scale", part));
  }
}

}  // namespace

TokenGrid token_grid_of(const Trace& source) {
  TokenGrid grid;
  for (const Op& op : source.ops) {
    if (op.kind != OpKind::load_batch) continue;
    const Buffer& x = source[op.operands[0].buffer];
    const bool tokens = x.dtype == DType::i32 && x.shape.size() == 2;
    const TokenGrid here = tokens ? TokenGrid{x.shape[0], x.shape[1]} : TokenGrid{};
    if (!tokens || (grid.rows() > 0 && here != grid)) {
      refuse("op '" + op.name + "'", "the same number of tokens in every micro-batch", x.name);
    }
    grid = here;
  }
  if (grid.rows() == 0) refuse("program", "a load_batch of tokens", "none");
  return grid;
}

TokenShare share_of_rows(const TokenGrid& grid, std::int32_t index, std::int32_t count) {
  const std::int64_t rows = grid.rows() / count;
  const bool whole_sequences = rows > 0 && rows % grid.tokens == 0;
  const bool part_of_one = rows > 0 && grid.tokens % rows == 0;
  if (grid.rows() % count != 0 || (!whole_sequences && !part_of_one)) {
    refuse("--layout sp",
           fmt::format("ranks that take whole sequences, or equal parts of one, of {} of {} tokens",
                       grid.sequences, grid.tokens),
           fmt::format("{} ranks", count));
  }
  const std::int64_t first = index * rows;
  return {.whole = grid,
          .part = whole_sequences ? TokenGrid{rows / grid.tokens, grid.tokens} : TokenGrid{1, rows},
          .sequence = first / grid.tokens,
          .position = first % grid.tokens};
}

bool works_by_token(OpKind kind) {
  switch (kind) {
    case OpKind::load_batch:
    case OpKind::embedding_forward:
    case OpKind::embedding_backward:
    case OpKind::token_embedding_forward:
    case OpKind::token_embedding_backward:
    case OpKind::layer_norm_forward:
    case OpKind::layer_norm_backward:
    case OpKind::rms_norm_forward:
    case OpKind::rms_norm_backward:
    case OpKind::linear_forward:
    case OpKind::linear_backward_data:
    case OpKind::linear_backward_weight:
    case OpKind::dropout_forward:
    case OpKind::dropout_backward:
    case OpKind::add:
    case OpKind::softmax_cross_entropy_forward:
    case OpKind::softmax_cross_entropy_backward:
      return true;
    default:
      return false;
  }
}

bool is_attention(OpKind kind) {
  return kind == OpKind::attention_forward || kind == OpKind::attention_backward ||
         kind == OpKind::flash_attention_forward || kind == OpKind::flash_attention_backward;
}

bool works_in_block(OpKind kind) {
  switch (kind) {
    case OpKind::rotary_forward:
    case OpKind::rotary_backward:
    case OpKind::swiglu_forward:
    case OpKind::swiglu_backward:
    case OpKind::gelu_forward:
    case OpKind::gelu_backward:
      return true;
    default:
      return is_attention(kind);
  }
}

bool has_row_per_token(const Op& op, const Operand& operand) {
  if (op.kind == OpKind::add) return true;  // whose b is no bias
  constexpr std::array<std::string_view, 3> k_scores{"probabilities", "log_sum_exp", "workspace"};
  if (is_attention(op.kind) && std::ranges::find(k_scores, operand.role) != k_scores.end()) {
    return false;
  }
  constexpr std::array<std::string_view, 10> k_others{
      "w", "b", "dw", "db", "wte", "wpe", "dwte", "dwpe", "loss", "bf16_factors"};
  return std::ranges::find(k_others, operand.role) == k_others.end();
}

std::vector<std::int64_t> share_shape(const Buffer& buffer, const TokenShare& share) {
  const auto& [whole, part, sequence, position] = share;
  std::vector<std::int64_t> shape = buffer.shape;
  if (shape.size() >= 2 && shape[0] == whole.sequences && shape[1] == whole.tokens) {
    shape[0] = part.sequences;
    shape[1] = part.tokens;
  } else if (!shape.empty() && shape[0] == whole.rows()) {
    shape[0] = part.rows();
  } else {
    refuse("buffer '" + buffer.name + "'",
           fmt::format("a row for each of {} x {} tokens", whole.sequences, whole.tokens),
           fmt::format("{} numbers", element_count(buffer)));
  }
  return shape;
}

void set_share(Op& op, const Trace& before, const TokenShare& share) {
  switch (op.kind) {
    case OpKind::load_batch:
      return set_loaded(op, share);
    case OpKind::embedding_forward:
    case OpKind::embedding_backward:
    case OpKind::rotary_forward:
    case OpKind::rotary_backward:
      return add_to(op, "position", share.position);
    case OpKind::dropout_forward:
    case OpKind::dropout_backward: {
      const Buffer& values = before[before[op.origin].operands[0].buffer];
      return set_mask(op, share, element_count(values) / share.whole.rows());
    }
    case OpKind::softmax_cross_entropy_forward:
    case OpKind::softmax_cross_entropy_backward:
      return set_scale(op, share);
    default:
      if (is_attention(op.kind)) set_score_mask(op, share);
  }
}

}  // namespace tidemark
