// What an import makes of one device.
#pragma once

#include <cstdint>

#include "traces/trace.h"

namespace tidemark {

struct ImportedDevice {
  std::int64_t device = 0;  // its number in the recording; trace.meta.rank counts from 0
  Trace trace;
  std::int64_t start_bytes = 0;         // live when the recording began
  std::int64_t unknown_bytes = 0;       // requested in the recording, and its category is not known
  std::int64_t all_bytes = 0;           // requested in the recording
  std::int64_t end_reserved_bytes = 0;  // a snapshot's own figures at its end
  std::int64_t end_allocated_bytes = 0;
  std::int64_t end_active_bytes = 0;
  std::int64_t end_requested_bytes = 0;  // -1 = not recorded
};

}  // namespace tidemark
