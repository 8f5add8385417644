// The sum of a reduction: in a fixed order, so that it is the same wherever it is made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "traces/enums.h"

namespace tidemark::kernels {

/// y[i] = ((x0[i] + x1[i]) + x2[i]) + ... for `count` elements of f32 or f64. y may be one of x.
/// Throws std::logic_error for another dtype.
void ordered_sum(std::span<const std::byte* const> x, std::byte* y, std::int64_t count,
                 DType dtype);

}  // namespace tidemark::kernels
