// From an op to the kernel that executes it on the CPU.
#pragma once

#include <string>

#include "profiler/kernels/kernel_call.h"

namespace tidemark {

/// Empty when a CPU kernel can execute `op`: its kind has one, its floating operands are all f32 or
/// all f64 (some may be bf16 beside f32, as the op table says), tokens and targets are i32, and
/// every buffer is as large as its shape says. Else what is wrong. Operands must fit the op table
/// (op_error).
[[nodiscard]] std::string kernel_error(const Trace& trace, const Op& op);

/// The part of kernel_error that holds for every backend: not whether this CPU multiplies bfloat16.
[[nodiscard]] std::string operand_error(const Trace& trace, const Op& op);

/// Executes the op. kernel_error must be empty; structural kinds and report_loss are the
/// backend's. Throws InputError when data hold a token or class that the op does not have.
void execute_kernel(const KernelCall& call);

/// The loss scalar (f32 or f64) of a report_loss op.
[[nodiscard]] double reported_loss(const KernelCall& call);

}  // namespace tidemark
