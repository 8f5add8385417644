// The least time of a step: its matrix products alone, back to back, each at its best.
#pragma once

#include "traces/trace.h"

namespace tidemark {

/// CPU milliseconds of all products of linear layers and attention (all T x T of a head, as
/// composite attention does them) in one step of `program`, with the product's own library.
[[nodiscard]] double gemm_floor_ms(const Trace& program);

}  // namespace tidemark
