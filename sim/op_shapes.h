// Which operand shapes fit each op kind: the shape functions of the op table.
#pragma once

#include <string>
#include <string_view>

#include "traces/trace.h"

namespace tidemark {

/// The buffer of the operand with this role, which the op must have.
[[nodiscard]] const Buffer& buffer_of(const Trace& trace, const Op& op, std::string_view role);

/// Empty when every operand holds its shape: elements x element size within size_bytes, indices
/// (roles target and tokens) are i32, and all other operands share one floating-point type.
[[nodiscard]] std::string content_error(const Trace& trace, const Op& op);

// One function per rule of the op table. Operands are there and in order; empty when they fit,
// else what is wrong.
[[nodiscard]] std::string any_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string unary_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string output_gradient_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string input_gradient_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string add_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string sgd_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string adamw_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string linear_forward_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string linear_backward_data_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string linear_backward_weight_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string cross_entropy_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string embedding_forward_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string embedding_backward_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string layer_norm_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string attention_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string copy_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string all_gather_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string reduce_scatter_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string all_reduce_shape(const Trace& trace, const Op& op);
[[nodiscard]] std::string report_loss_shape(const Trace& trace, const Op& op);

}  // namespace tidemark
