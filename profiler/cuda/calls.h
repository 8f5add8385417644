// From an op of the trace to the launches of the CUDA plug-in.
#pragma once

#include <string>
#include <vector>

#include "profiler/cuda/plugin_api.h"
#include "profiler/kernels/kernel_call.h"

namespace tidemark {

/// Empty when the CUDA backend executes ops like `op`: f32 with factors of products in bf16 (and
/// tokens and targets i32). Else what is wrong.
[[nodiscard]] std::string cuda_kernel_error(const Trace& trace, const Op& op);

/// True for kinds whose values come from the host: data and initial weights. The CPU kernel makes
/// them, so that a run begins with the same bits on both backends.
[[nodiscard]] bool is_made_on_host(OpKind kind);

/// The launches of one op, in order. The pointers of `call` are the device's and are not followed.
/// Throws std::logic_error for a kind of which cuda_kernel_error is not empty.
[[nodiscard]] std::vector<cuda::Call> cuda_calls(const KernelCall& call);

}  // namespace tidemark
