// The op table: for each OpKind its operands in order, its attributes, whether it may be executed
// again, what it costs, and which shapes fit. The one description that builder, kernels, cost
// model, transforms, checker and tests share.
//
// Letters: M rows (product of all dimensions but the last), K inputs, N outputs, B batch,
// T sequence (tokens), C channels, H heads, V vocabulary, E experts, S slots of all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "traces/trace.h"

namespace tidemark {

/// Rows of the score matrix that flash attention holds at a time.
inline constexpr std::int64_t k_flash_rows = 64;

/// Which samples a load_batch takes (attribute `part`; without one all of them): the last tenth,
/// rounded down, is held out from training. Fewer than ten are all trained on.
inline constexpr std::string_view k_training_part = "training";
inline constexpr std::string_view k_held_out_part = "held_out";
inline constexpr std::int64_t k_held_out_share = 10;

enum class Access : std::uint8_t {
  read,
  write,
  update,           // read-modify-write
  write_or_update,  // gradients: the first use writes, later uses accumulate
};

struct OperandRule {
  std::string_view role;
  Access access = Access::read;
  bool optional = false;
  bool may_be_bf16 = false;  // though the others are f32: what is only a factor of products
};

enum class AttributeType : std::uint8_t { integer, real, text };

struct AttributeRule {
  std::string_view name;
  AttributeType type = AttributeType::integer;
  bool optional = false;
};

/// Work of one execution. Bytes are what the kernel must read and write at least once. What grows
/// with the step, attention over a cache, is the mean over the steps that fill the cache.
struct OpWork {
  std::int64_t flops = 0;
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
};

struct OpRule {
  OpKind kind = OpKind::foreign;
  std::vector<OperandRule> operands;
  std::vector<AttributeRule> attributes;
  /// A pure function of its operands: may be executed again with the same result. Ops that update
  /// an operand are never recomputed alone, whatever this says.
  bool recomputable = false;
  /// Floating point operations of one execution.
  std::int64_t (*flops)(const Trace&, const Op&) = nullptr;
  /// Empty when the operand shapes and dtypes fit, else what is wrong ("w is [4, 3], x needs K =
  /// 2").
  std::string (*shape_error)(const Trace&, const Op&) = nullptr;
  /// The operand `shares_to` may be written although it shares its storage with the operand
  /// `shares_from`, which is read: all_gather's x inside y, reduce_scatter's y inside x.
  std::string_view shares_from = {};
  std::string_view shares_to = {};
};

[[nodiscard]] const OpRule& op_rule(OpKind kind);

/// True for operands that hold numbers of rows, i32: tokens, classes, slots of experts.
[[nodiscard]] bool holds_indices(std::string_view role);

/// Groups of rows that a linear op multiplies each by its own part of a weight: E of [E, N, K],
/// else 1.
[[nodiscard]] std::int64_t linear_groups(const Buffer& weight);

/// True when this operand of an f32 op is bf16, as its rule allows.
[[nodiscard]] bool is_rounded(const Trace& trace, const Op& op, const Operand& operand);

/// Floating point operations and least bytes moved by one execution of `op`.
[[nodiscard]] OpWork op_work(const Trace& trace, const Op& op);

/// Empty when operands, attributes and shapes of `op` fit its rule, else what is wrong.
/// Buffer ids must be in range.
[[nodiscard]] std::string op_error(const Trace& trace, const Op& op);

/// True for kinds that order streams or move bytes and compute nothing.
[[nodiscard]] bool is_structural(OpKind kind);

/// Product of all dimensions but the last; 1 for a scalar.
[[nodiscard]] std::int64_t row_count(const Buffer& buffer);
/// The last dimension; 1 for a scalar.
[[nodiscard]] std::int64_t column_count(const Buffer& buffer);
/// Product of all dimensions.
[[nodiscard]] std::int64_t element_count(const Buffer& buffer);

}  // namespace tidemark
