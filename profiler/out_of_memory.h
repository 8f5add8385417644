// A space that is too small for what a program asks for. Caught in `main`: exit code 3.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "sim/timeline.h"
#include "traces/trace.h"

namespace tidemark {

/// What was asked for and what was in the way.
struct MemoryShortage {
  Space space{};
  BufferId buffer;                 // none when the arena was asked directly
  std::int64_t request_bytes = 0;  // as the allocator rounded it
  std::int64_t capacity_bytes = 0;
  std::int64_t live_bytes = 0;          // set aside in the arena, cached segments included
  std::int64_t largest_hole_bytes = 0;  // most that one more block could have
  CategoryBytes live_by_category{};     // sums to live_bytes when the buffers are known
  bool operator==(const MemoryShortage&) const = default;
};

class OutOfMemory : public std::runtime_error {
 public:
  explicit OutOfMemory(const MemoryShortage& shortage)
      : std::runtime_error("out of memory: " + std::to_string(shortage.request_bytes) +
                           " bytes asked for, largest hole " +
                           std::to_string(shortage.largest_hole_bytes) + " of " +
                           std::to_string(shortage.capacity_bytes)),
        shortage_(shortage) {}

  [[nodiscard]] const MemoryShortage& shortage() const { return shortage_; }

 private:
  MemoryShortage shortage_;
};

}  // namespace tidemark
