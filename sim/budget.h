// The budget of a plan as people write it.
#pragma once

#include <cstdint>
#include <string>

#include "traces/trace.h"

namespace tidemark {

/// Peak on the device of one steady step of the program: also where the recording was cut short. Of
/// a trace without a program that of its recording.
[[nodiscard]] std::int64_t step_peak_bytes(const Trace& source);

/// A size ("6GiB"), a share of the peak of one steady step of the program, rounded down to
/// k_granule_bytes ("60%"), or a device of the table ("h100-80g"). Throws InputError.
[[nodiscard]] std::int64_t budget_of(const std::string& text, const Trace& source);

}  // namespace tidemark
