// The budget of a plan as people write it.
#pragma once

#include <cstdint>
#include <string>

#include "traces/trace.h"

namespace tidemark {

/// A size ("6GiB"), a share of the peak of one steady step of the program, rounded down to
/// k_granule_bytes ("60%"), or a device of the table ("h100-80g"). Throws InputError.
[[nodiscard]] std::int64_t budget_of(const std::string& text, const Trace& source);

}  // namespace tidemark
