// The launch of an op of image models or of generation.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "profiler/cuda/plugin_api.h"
#include "profiler/kernels/kernel_call.h"

namespace tidemark {

/// Operands by role, with the bit of those that are added to.
[[nodiscard]] cuda::Call call_of(const KernelCall& op, cuda::Kernel kernel,
                                 const std::vector<std::string_view>& roles);

/// None for other kinds. Throws InputError as KernelCall::position() does.
[[nodiscard]] std::optional<cuda::Call> find_image_call(const KernelCall& op);

}  // namespace tidemark
