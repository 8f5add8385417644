// Whether this machine can record with CUPTI: asked in the order driver, library, subscription, so
// that the first thing that is missing is the one that is named.
#pragma once

#include "profiler/cupti/driver.h"

namespace tidemark {

/// Also where the headers of CUPTI were not found: then it says so.
[[nodiscard]] Capability probe_cupti();

}  // namespace tidemark
