// From a run configuration to a level-2 trace: forward, backward and optimizer as ops.
#pragma once

#include "sim/config.h"
#include "traces/trace.h"

namespace tidemark {

/// The keep-all program of `config`: init allocates and fills weights and optimizer state, the body
/// is one step. Layers, buffers and ops carry names; durations are absent. Passes check().
/// Throws InputError for an invalid configuration.
[[nodiscard]] Trace build_program(const RunConfig& config);

}  // namespace tidemark
