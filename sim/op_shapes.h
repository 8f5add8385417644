// Which operand shapes fit together, one function per family of ops. Each returns an empty text, or
// what is wrong ("w is [4, 3] f32, expected 2 rows of 3"). Operands must be there by role.
#pragma once

#include <string>

#include "traces/trace.h"

namespace tidemark::op_shapes {

/// For every kind: each operand holds its shape (elements x element size within size_bytes),
/// indices (holds_indices()) are i32, all other operands share one floating-point type;
/// where that is f32, factors of a product may be bf16 (OperandRule::may_be_bf16).
std::string content(const Trace& trace, const Op& op);

std::string any(const Trace& trace, const Op& op);
std::string load_batch(const Trace& trace, const Op& op);
std::string unary(const Trace& trace, const Op& op);
std::string output_gradient(const Trace& trace, const Op& op);
std::string input_gradient(const Trace& trace, const Op& op);
std::string dropout(const Trace& trace, const Op& op);
std::string add(const Trace& trace, const Op& op);
std::string sgd(const Trace& trace, const Op& op);
std::string adamw(const Trace& trace, const Op& op);
std::string linear_forward(const Trace& trace, const Op& op);
std::string linear_backward_data(const Trace& trace, const Op& op);
std::string linear_backward_weight(const Trace& trace, const Op& op);
std::string cross_entropy(const Trace& trace, const Op& op);
std::string embedding_forward(const Trace& trace, const Op& op);
std::string embedding_backward(const Trace& trace, const Op& op);
std::string layer_norm(const Trace& trace, const Op& op);
std::string attention(const Trace& trace, const Op& op);
std::string momentum(const Trace& trace, const Op& op);
std::string sum_of_squares(const Trace& trace, const Op& op);
std::string clip_factor(const Trace& trace, const Op& op);
std::string scale_by(const Trace& trace, const Op& op);
std::string conv2d(const Trace& trace, const Op& op);
std::string batch_norm(const Trace& trace, const Op& op);
std::string batch_norm_update(const Trace& trace, const Op& op);
std::string max_pool(const Trace& trace, const Op& op);
std::string average_pool(const Trace& trace, const Op& op);
std::string flash_attention(const Trace& trace, const Op& op);
std::string cached_attention(const Trace& trace, const Op& op);
std::string last_token(const Trace& trace, const Op& op);
std::string most_likely(const Trace& trace, const Op& op);
std::string rms_norm(const Trace& trace, const Op& op);
std::string rotary(const Trace& trace, const Op& op);
std::string swiglu(const Trace& trace, const Op& op);
std::string token_embedding(const Trace& trace, const Op& op);
std::string route(const Trace& trace, const Op& op);
std::string balance(const Trace& trace, const Op& op);
std::string dispatch(const Trace& trace, const Op& op);
std::string combine(const Trace& trace, const Op& op);
std::string slice_columns(const Trace& trace, const Op& op);
std::string insert_columns(const Trace& trace, const Op& op);
std::string add_bias(const Trace& trace, const Op& op);
std::string copy(const Trace& trace, const Op& op);
std::string all_gather(const Trace& trace, const Op& op);
std::string reduce_scatter(const Trace& trace, const Op& op);
std::string all_reduce(const Trace& trace, const Op& op);
std::string all_to_all(const Trace& trace, const Op& op);
std::string report_loss(const Trace& trace, const Op& op);

}  // namespace tidemark::op_shapes
