// What the name of a range says: NVTX ranges and the annotations of PyTorch's profiler.
#pragma once

#include <cstdint>
#include <string_view>

#include "traces/enums.h"

namespace tidemark {

/// What a range is called without what changes from call to call: up to the first comma, as in
/// PyTorch's "aten::linear, seq = 17"; "range" when nothing is left.
[[nodiscard]] std::string_view stable_name(std::string_view range);

/// The phase that a range opens by its words, `outer` when it names none: "forward", "backward",
/// "optimizer" (also "optim" and "adam"), "eval" and "validation", "inference".
[[nodiscard]] Phase phase_of(std::string_view range, Phase outer);

/// The number of the step that a range is: "step 12", "iteration 12", "iter 12", "batch 12"; -1 for
/// any other name.
[[nodiscard]] std::int32_t step_of(std::string_view range);

/// The number of a step as PyTorch's profiler names it, "ProfilerStep#12"; -1 for any other name.
[[nodiscard]] std::int32_t profiler_step(std::string_view range);

}  // namespace tidemark
